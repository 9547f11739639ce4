"""The dialects of the matrix: as callers and providers speak them, in whole and in streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from dirigent.core.profile import Profile
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.bedrock_converse import BedrockConverse
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.eventstream import EventMessages, framed
from dirigent.dialects.google_generate import GoogleGenerate
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses

__all__ = ["DIALECTS", "FOLDER", "NAMES", "Spoken", "decoded_stream", "encoded_stream", "kept", "outline"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "golden" / "matrix"

Json = dict[str, Any]


class Spoken(NamedTuple):
    """A dialect as it is spoken to one deployment, and where callers of it ask."""

    dialect: Dialect
    deployment: str
    path: str = ""
    streaming_path: str = ""


_SPOKEN: Final = {
    "openai_chat": Spoken(OpenAIChat(output_field="max_completion_tokens", only_output_field=True), "gpt-4o"),
    "openai_responses": Spoken(OpenAIResponses(), "gpt-5"),
    "anthropic_messages": Spoken(AnthropicMessages(), "claude-sonnet-4-5"),
    "google_generate": Spoken(
        GoogleGenerate(),
        "gemini-3-flash",
        "/v1beta/models/auto:generateContent",
        "/v1beta/models/auto:streamGenerateContent?alt=sse",
    ),
    "bedrock_converse": Spoken(
        BedrockConverse(),
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "/model/auto/converse",
        "/model/auto/converse-stream",
    ),
}
DIALECTS: Final = {
    name: each._replace(dialect=each.dialect.fitted(each.deployment, Profile())) for name, each in _SPOKEN.items()
}
NAMES: Final = tuple(DIALECTS)


def kept(folder: str, name: str) -> dict[str, Any]:
    """What stands in one of the matrix's files, by feature."""
    read: dict[str, Any] = msgspec.json.decode(_file(folder, name))
    return read


@cache
def _file(folder: str, name: str) -> bytes:
    return (FOLDER / folder / f"{name}.json").read_bytes()


def encoded_stream(name: str, events: Sequence[Json]) -> bytes:
    """The bytes in which a provider sends these events."""
    if name == "bedrock_converse":
        return b"".join([_framed(kind, each) for event in events for kind, each in event.items()])
    bodies = [msgspec.json.encode(event) for event in events]
    match name:
        case "google_generate":
            return b"".join([b"data: " + body + b"\r\n\r\n" for body in bodies])
        case "openai_chat":
            broken = bool(events) and "error" in events[-1]
            return b"".join([b"data: " + body + b"\n\n" for body in (*bodies, *(() if broken else (b"[DONE]",)))])
        case _:
            kinds = [str(event["type"]).encode() for event in events]
            return b"".join([b"event: %b\ndata: %b\n\n" % each for each in zip(kinds, bodies, strict=True)])


def _framed(kind: str, payload: Json) -> bytes:
    manner = "exception" if kind.endswith("Exception") else "event"
    named = ((f":{manner}-type", kind), (":content-type", "application/json"), (":message-type", manner))
    return framed(named, msgspec.json.encode(payload))


def decoded_stream(name: str, data: bytes) -> list[Json]:
    """The events in the bytes that a caller gets; what only ends the stream is none. Fails where the frame is wrong."""
    if name == "bedrock_converse":
        return [_unframed(message.headers, message.payload) for message in _messages(data)]
    frames = data.split(b"\n\n")
    assert frames.pop() == b""
    if name == "openai_chat" and frames and frames[-1] == b"data: [DONE]":
        frames.pop()
    told: list[Json] = []
    for frame in frames:
        *before, line = frame.split(b"\n")
        assert line.startswith(b"data: ")
        told.append(msgspec.json.decode(line[6:]))
        if name in ("openai_responses", "anthropic_messages"):
            assert before == [b"event: " + told[-1]["type"].encode()]
        else:
            assert before == []
    return told


def _messages(data: bytes) -> list[Any]:
    messages = EventMessages()
    read = messages.feed(data)
    assert messages.empty
    return list(read)


def _unframed(headers: Mapping[str, str], payload: bytes) -> Json:
    kind = headers.get(":event-type") or headers[":exception-type"]
    return {kind: msgspec.json.decode(payload)}


def outline(name: str, events: Sequence[Json]) -> list[str]:
    """What each event is, in a word or two; as many as are alike in a row count as one."""
    told = [_word(name, event) for event in events]
    counted = [(word, len(list(alike))) for word, alike in groupby(told)]
    return [word if times == 1 else f"{word} x{times}" for word, times in counted]


def _word(name: str, event: Json) -> str:
    match name:
        case "openai_chat":
            return " ".join(_chunk_words(event))
        case "google_generate":
            said = [
                key
                for one in event.get("candidates", ())
                for part in one.get("content", {}).get("parts", ())
                for key in part
            ]
            ends = [f"-> {one['finishReason']}" for one in event.get("candidates", ()) if "finishReason" in one]
            return " ".join([*said, *ends, *(key for key in ("usageMetadata", "error") if key in event)])
        case "bedrock_converse":
            ((kind, body),) = event.items()
            inner = body.get("delta") or body.get("start") or {}
            return " ".join([kind, *inner, *(f"-> {body[key]}" for key in ("stopReason",) if key in body)])
        case _:
            delta = event.get("delta") or event.get("content_block") or event.get("item") or {}
            return " ".join([event["type"], *([delta["type"]] if isinstance(delta, dict) and "type" in delta else [])])


def _chunk_words(event: Json) -> list[str]:
    said = [key for one in event.get("choices", ()) for key, value in one.get("delta", {}).items() if value is not None]
    ends = [f"-> {one['finish_reason']}" for one in event.get("choices", ()) if one.get("finish_reason")]
    return [*said, *ends, *(key for key in ("usage", "error") if event.get(key))]
