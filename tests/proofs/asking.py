"""Callers of the storm: every route that costs money, heard to the end or left in the middle, a connection each."""

from __future__ import annotations

import asyncio
import json
import random
import re
from decimal import Decimal
from typing import NamedTuple

__all__ = ["ROUTES", "Asked", "Route", "ask", "heard"]

_TURNS = [{"role": "user", "content": "Tell me about the weather in the mountains, and what to pack for three days."}]
_CODE = re.compile(rb'"code":\s*"([a-z_]+)"')
_COST = re.compile(rb"\r\nx-dirigent-cost: ([0-9.]+) ")
_BOUNDARY = "storm"


class Route(NamedTuple):
    """One way to spend money."""

    path: str
    model: str
    fields: dict[str, object]


def _chat(model: str, *, stream: bool = False, **fields: object) -> Route:
    return Route("/v1/chat/completions", model, {"messages": _TURNS, "max_tokens": 60, "stream": stream, **fields})


ROUTES: tuple[Route, ...] = (
    _chat("plain"),
    _chat("plain", stream=True),
    _chat("plain", stream=True),
    _chat("plain", n=2),
    _chat("routed", stream=True),
    _chat("hedged", stream=True),
    _chat("hedged"),
    _chat("judged"),
    _chat("nested"),
    _chat("nested", stream=True),
    Route("/v1/messages", "plain", {"messages": _TURNS, "max_tokens": 60}),
    Route("/v1/messages", "routed", {"messages": _TURNS, "max_tokens": 60, "stream": True}),
    Route("/v1/responses", "plain", {"input": "Tell me about the weather.", "max_output_tokens": 60}),
    Route("/v1/embeddings", "vectors", {"input": ["Tell me about the weather.", "And about the mountains."]}),
    Route("/v1/audio/speech", "voice", {"input": "Tell me about the weather.", "voice": "alloy"}),
    Route("/v1/audio/transcriptions", "ears", {}),
    Route("/v1/images/generations", "painter", {"prompt": "The weather in the mountains"}),
    Route("/v1/moderations", "guard", {"input": "Tell me about the weather."}),
)


class Asked(NamedTuple):
    """What a caller got: a status, 0 where the node broke off and -1 where the caller left; and the error's code."""

    status: int
    code: str = ""
    nano: int = 0
    """What it cost, as the head says."""


async def ask(port: int, key: str, route: Route, model: str, chance: random.Random) -> Asked:
    """Asks once; one of ten callers leaves before the end."""
    if chance.random() >= 0.1:
        return await heard(port, key, route, model)
    try:
        async with asyncio.timeout(chance.uniform(0.005, 0.12)):
            return await heard(port, key, route, model)
    except TimeoutError:
        return Asked(-1)


async def heard(port: int, key: str, route: Route, model: str) -> Asked:
    """Asks once, and hears the answer to its end."""
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request(route, model, key))
        whole = await reader.read(-1)
    except OSError:
        return Asked(0)
    finally:
        if writer is not None:
            writer.transport.abort()
    head, _, body = whole.partition(b"\r\n\r\n")
    if not head:
        return Asked(0)
    code, cost = _CODE.search(body), _COST.search(head)
    budget = "budget_exceeded" if b"budget" in body else ""  # some formats have words alone
    return Asked(
        int(head.split(b" ", 2)[1]),
        code[1].decode() if code is not None else budget,
        int(Decimal(cost[1].decode()).scaleb(9)) if cost is not None else 0,
    )


def _request(route: Route, model: str, key: str) -> bytes:
    if route.path.endswith("transcriptions"):
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        sound = "RIFF" + "0" * 300
        body = (
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="model"\r\n\r\n{model}\r\n'
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n'
            f"content-type: audio/wav\r\n\r\n{sound}\r\n--{_BOUNDARY}--\r\n"
        ).encode()
    else:
        kind = "application/json"
        body = json.dumps({"model": model, **route.fields}).encode()
    head = (
        f"POST {route.path} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
