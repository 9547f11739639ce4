"""Scripted providers that speak OpenAI chat completions on a real socket: they pause, cut off and fail as told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec

from tests.net.providers import Manner, Visit

__all__ = ["DONE", "after", "answer", "chunk", "frames", "head", "pieces", "refusing", "streaming", "whole"]

DONE = b"data: [DONE]\n\n"


def answer(text: str = "Guten Tag", **fields: Any) -> dict[str, Any]:
    """A whole answer, as OpenAI sends it."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        **fields,
    }


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """One event of a stream, as OpenAI sends it; without a delta and a finish it has no choice."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [choice] if delta is not None or finish is not None else [],
        **fields,
    }


def frames(*events: object) -> bytes:
    """Events as server-sent events."""
    return b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)


def head(status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """The head of an answer whose body comes in pieces."""
    given = {"content-type": content_type, "transfer-encoding": "chunked", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Word\r\n{lines}\r\n".encode()


def whole(body: object, status: int = 200, content_type: str = "application/json", **headers: str) -> Manner:
    """Answers every request with this body: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.say(head(status, content_type, **headers) + _piece(data) + _piece(b""))

    return manner


def refusing(status: int, body: object = b"", content_type: str = "application/json", **headers: str) -> Manner:
    """Refuses every request with this status."""
    return whole(body, status, content_type, **headers)


def streaming(*pieces: bytes, pause: float = 0.0, cut: bool = False) -> Manner:
    """Streams these pieces, each for itself, then ends the answer; with `cut` the connection instead."""

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.say(head())
            for piece in pieces:
                await asyncio.sleep(pause)
                visit.say(_piece(piece))
            if cut:
                await visit.writer.drain()
                return
            visit.say(_piece(b""))

    return manner


def after(seconds: float, *said: bytes) -> Manner:
    """Takes the request, says these bytes as they are, and after `seconds` of silence goes."""

    async def manner(visit: Visit) -> None:
        await visit.request()
        for data in said:
            visit.say(data)
        async with asyncio.timeout(seconds):
            await visit.until_gone()

    return manner


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` cut at these places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


def _piece(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b"0\r\n\r\n"
