"""The whole answer that a stream adds up to: by the SDKs where they add, else as their callers do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from tests.dialects.matrix.spoken import Json

__all__ = ["folded_stream"]

_ANTHROPIC: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def folded_stream(name: str, events: Sequence[Json]) -> Json:
    """The answer that a caller has who has read all of these events."""
    match name:
        case "openai_chat":
            return _chat(events)
        case "openai_responses":
            answer: Json = events[-1]["response"]
            return answer
        case "anthropic_messages":
            return _messages(events)
        case "google_generate":
            return _contents(events)
        case _:
            return _converse(events)


def _chat(events: Sequence[Json]) -> Json:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for event in events:
        state.handle_chunk(ChatCompletionChunk.model_validate(event))
    answer: Json = msgspec.to_builtins(state.current_completion_snapshot.to_dict())
    for choice in (choice for event in events for choice in event["choices"] if choice.get("stop_reason")):
        answer["choices"][choice["index"]]["stop_reason"] = choice["stop_reason"]  # the SDK forgets it
    for choice in answer["choices"]:
        choice["message"].pop("parsed", None)
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return answer | {"object": "chat.completion"}


def _messages(events: Sequence[Json]) -> Json:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            read = _ANTHROPIC.validate_python(event)
            snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    answer: Json = snapshot.to_dict()
    for block in answer["content"]:
        block.pop("parsed_output", None)
    return answer


def _contents(events: Sequence[Json]) -> Json:
    """Texts of one kind that follow each other are one, and what comes last counts."""
    candidates: dict[int, Json] = {}
    answer: Json = {}
    for event in events:
        for each in event.pop("candidates", ()):
            held = candidates.setdefault(each.get("index", 0), {"content": {"parts": []}})
            content = each.pop("content", {})
            for part in content.pop("parts", ()):
                _join(held["content"]["parts"], part)
            held["content"] |= content
            held |= each
        answer |= event
    return {**answer, "candidates": [candidates[index] for index in sorted(candidates)]}


def _join(parts: list[Json], part: Json) -> None:
    """A seal that comes behind a thought is that thought's; one behind a text is a part of its own."""
    last = parts[-1] if parts else {}
    alike = "text" in part and "text" in last and part.get("thought") == last.get("thought")
    if alike and "thoughtSignature" not in last and ("thought" in part or "thoughtSignature" not in part):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def _converse(events: Sequence[Json]) -> Json:
    blocks: dict[int, Json] = {}
    answer: Json = {}
    for event in events:
        ((kind, body),) = event.items()
        match kind:
            case "contentBlockStart":
                blocks[body["contentBlockIndex"]] = {"toolUse": {**body["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta":
                _grow(blocks.setdefault(body["contentBlockIndex"], {}), body["delta"])
            case "messageStop":
                answer |= body
            case "metadata":
                answer |= body
            case _:
                continue
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = msgspec.json.decode(block["toolUse"]["input"] or "{}")
    content = [blocks[index] for index in sorted(blocks)]
    return {**answer, "output": {"message": {"role": "assistant", "content": content}}}


def _grow(block: Json, delta: Json) -> None:
    match delta:
        case {"text": text}:
            block["text"] = block.get("text", "") + text
        case {"toolUse": {"input": text}}:
            block["toolUse"]["input"] += text
        case {"reasoningContent": {"redactedContent": _}}:
            block |= delta
        case {"reasoningContent": thought}:
            held = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
            held["text"] += thought.get("text", "")
            held |= {key: value for key, value in thought.items() if key == "signature"}
