"""A provider who thinks by rule: it calls its tools, reads what they said, and fills in what is asked.

So an agent's whole conversation can be led with it, in OpenAI's chat completions and in Anthropic's messages, whole and
streamed. What it says at the end is built of the tools' results, each beside the argument of the very call that it
answers: a call that lost its id, its place or a piece of its arguments on the way is heard in the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.net.providers import Provider, Visit, provider
from tests.upstream import DONE, frames, head

__all__ = ["CITIES", "FORECAST", "GREETING", "SPENT", "Oracle", "oracle"]

GREETING = "Guten Tag, „Köln“ 👋"
FORECAST: dict[str, Any] = {"city": "Köln", "degrees": 21.5}
CITIES = ("Köln", "Bonn")
SPENT = (14, 6)
"""Tokens that every answer takes and gives."""
_CUT = 7
"""Bytes of a piece on the socket: signs and frames are cut anywhere."""


@dataclass(frozen=True)
class Said:
    """What it has decided to answer."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def pieces(self) -> list[str]:
        return [self.text[at : at + 5] for at in range(0, len(self.text), 5)]

    def numbered(self) -> Iterator[tuple[str, str, list[str]]]:
        """Each call's id and name, and its arguments in two pieces."""
        for place, (name, arguments) in enumerate(self.calls):
            data = json.dumps(arguments, ensure_ascii=False)
            yield f"call_{place}{name}", name, [data[:4], data[4:]]


@dataclass(frozen=True)
class Question:
    """What it has understood of a request, whichever the format."""

    tools: tuple[str, ...]
    forced: str | None
    must: bool
    """Whether some tool is to be called, whichever."""
    filling: bool
    """Whether the answer is to be JSON after a schema."""
    results: tuple[str, ...]
    """What the tools said last, each behind the city of its call."""

    def answered(self) -> Said:
        last = self.tools[-1] if self.must and "weather" not in self.tools else None
        fills = self.forced or ("final_result" if "final_result" in self.tools else last)
        if self.results and fills:
            return Said(calls=((fills, FORECAST),))
        if self.results:
            return Said("; ".join(self.results))
        if self.filling:
            return Said(json.dumps(FORECAST, ensure_ascii=False))
        if "weather" in self.tools:
            return Said("I look.", tuple(("weather", {"city": city}) for city in CITIES))
        return Said(calls=((fills, FORECAST),)) if fills else Said(GREETING)


@dataclass
class Oracle:
    """It listens, and remembers what it was asked."""

    place: Provider
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.place.origin.port}/v1"

    @property
    def paths(self) -> list[str]:
        return [path.rpartition("/v1/")[2] for path, _ in self.asked]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.asked]


@asynccontextmanager
async def oracle() -> AsyncIterator[Oracle]:
    """An oracle in this process."""
    asked: list[tuple[str, dict[str, Any]]] = []

    async def thinks(visit: Visit) -> None:
        while True:
            top, sent = await visit.request()
            path, body = top.split()[1], json.loads(sent)
            asked.append((path, body))
            whole, streamed = (_message, _messages) if path.endswith("/messages") else (_completion, _chunks)
            said = (_of_anthropic if path.endswith("/messages") else _of_openai)(body).answered()
            if not body.get("stream"):
                data = json.dumps(whole(body, said)).encode()
                visit.say(head(content_type="application/json") + _piece(data) + _piece(b""))
                continue
            stream = b"".join(streamed(body, said))
            fragments = (stream[at : at + _CUT] for at in range(0, len(stream), _CUT))
            visit.say(head() + b"".join(map(_piece, fragments)) + _piece(b""))

    async with provider(thinks) as place:
        yield Oracle(place, asked)


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _read(content: Any) -> str:
    """The text of a content that is a string or a list of parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _of_openai(body: dict[str, Any]) -> Question:
    choice = body.get("tool_choice")
    messages: list[dict[str, Any]] = body["messages"]
    called = {
        call["id"]: json.loads(call["function"]["arguments"])
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    results = [
        f"{called[message['tool_call_id']]['city']}: {_read(message['content'])}"
        for message in messages
        if message["role"] == "tool"
    ]
    return Question(
        tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
        choice["function"]["name"] if isinstance(choice, dict) else None,
        choice == "required",
        (body.get("response_format") or {}).get("type") == "json_schema",
        tuple(results),
    )


def _of_anthropic(body: dict[str, Any]) -> Question:
    choice = body.get("tool_choice") or {}
    blocks: list[dict[str, Any]] = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    called = {block["id"]: block["input"] for block in blocks if block["type"] == "tool_use"}
    results = [
        f"{called[block['tool_use_id']]['city']}: {_read(block['content'])}"
        for block in blocks
        if block["type"] == "tool_result"
    ]
    return Question(
        tuple(tool["name"] for tool in body.get("tools") or ()),
        choice.get("name"),
        choice.get("type") == "any",
        "format" in (body.get("output_config") or {}),
        tuple(results),
    )


def _usage() -> dict[str, Any]:
    return dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), (*SPENT, sum(SPENT)), strict=True))


def _completion(body: dict[str, Any], said: Said) -> dict[str, Any]:
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": "".join(pieces)}}
        for call_id, name, pieces in said.numbered()
    ]
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else "stop"}
    stamp = {"id": "chatcmpl-7", "object": "chat.completion", "created": 1_790_000_000, "model": body["model"]}
    return {**stamp, "choices": [choice], "usage": _usage()}


def _chunks(body: dict[str, Any], said: Said) -> Iterator[bytes]:
    counts = bool((body.get("stream_options") or {}).get("include_usage"))
    stamp = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": body["model"]}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if said.text else None, "refusal": None}]
    deltas += [{"content": piece} for piece in said.pieces]
    for place, (call_id, name, pieces) in enumerate(said.numbered()):
        first = {"index": place, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [{"index": place, "function": {"arguments": piece}} for piece in pieces]
        deltas += [{"tool_calls": [call]} for call in (first, *rest)]
    ends: list[str | None] = [None] * len(deltas) + ["tool_calls" if said.calls else "stop"]
    for delta, end in zip([*deltas, {}], ends, strict=True):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        # An eager provider counts on its last choice as well as after it, with the same figures.
        told = _usage() if counts and end and body["model"] == "eager" else None
        yield frames({**stamp, "choices": [choice], **({"usage": told} if counts else {})})
    if counts:
        yield frames({**stamp, "choices": [], "usage": _usage()})
    yield DONE


def _message(body: dict[str, Any], said: Said) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
    content += [
        {"type": "tool_use", "id": call_id, "name": name, "input": json.loads("".join(pieces))}
        for call_id, name, pieces in said.numbered()
    ]
    return {
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "tool_use" if said.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": SPENT[0], "output_tokens": SPENT[1]},
    }


def _messages(body: dict[str, Any], said: Said) -> Iterator[bytes]:
    opened = {**_message(body, Said()), "stop_reason": None, "usage": {"input_tokens": SPENT[0], "output_tokens": 1}}
    yield _event("message_start", message=opened)
    blocks: list[tuple[dict[str, Any], list[dict[str, str]]]] = []
    if said.text:
        texts = [{"type": "text_delta", "text": piece} for piece in said.pieces]
        blocks.append(({"type": "text", "text": ""}, texts))
    for call_id, name, pieces in said.numbered():
        begun = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        blocks.append((begun, [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]]))
    for index, (begun, deltas) in enumerate(blocks):
        yield _event("content_block_start", index=index, content_block=begun)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    stop = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=stop, usage={"input_tokens": SPENT[0], "output_tokens": SPENT[1]})
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + frames({"type": kind, **fields})
