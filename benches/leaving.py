"""How long the provider goes on for a caller who has left: three APIs, each at four moments of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import NamedTuple

from benches.native import Missing
from benches.processes import node

__all__ = ["APIS", "WINDOWS", "Left", "left"]

WINDOWS = {
    "whole": "a whole answer is being waited for",
    "asked": "a stream is being waited for",
    "opened": "the stream has begun and said nothing",
    "speaking": "words have been heard",
}
_TALK = [{"role": "user", "content": "What is a pipeline?"}]
APIS: dict[str, tuple[str, dict[str, object]]] = {
    "chat": ("/v1/chat/completions", {"messages": _TALK}),
    "messages": ("/v1/messages", {"messages": _TALK, "max_tokens": 100}),
    "responses": ("/v1/responses", {"input": "What is a pipeline?"}),
}
_CONFIG = """\
providers:
  up: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}
models:
  one: {{type: deployment, provider: up, name: one, price: {{input: 1, output: 1}}}}
"""
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PATIENCE = 10.0


class Left(NamedTuple):
    """Milliseconds from the caller's leaving until the provider's connection was closed."""

    api: str
    window: str
    rounds: int
    median: float
    slowest: float


async def left(rounds: int = 20) -> list[Left]:
    """Leaves so often at each moment of each API, on a connection of its own each time. Raises Missing."""
    async with _provider() as provider:
        with node(_CONFIG.format(port=provider.port)) as (_, _, port, key):
            found = []
            for api in APIS:
                for window in WINDOWS:
                    seconds = [await _left(provider, (port, key), api, window) for _ in range(rounds + 1)][1:]
                    found.append(Left(api, window, rounds, statistics.median(seconds) * 1000, max(seconds) * 1000))
            return found


async def _left(provider: _Provider, place: tuple[int, str], api: str, window: str) -> float:
    """Seconds of one leaving. Raises Missing where the provider is not let go."""
    port, key = place
    path, fields = APIS[api]
    body = json.dumps({**fields, "model": "one", "stream": window != "whole"}).encode()
    provider.expect(window)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            if window == "speaking":
                await reader.readuntil(b"word")
            else:
                await provider.reached.wait()
                await asyncio.sleep(0.02)  # what was sent has arrived at the gateway
            began = perf_counter()
            writer.close()
            await provider.gone.wait()
    except (TimeoutError, asyncio.IncompleteReadError):
        raise Missing(f"{api}, {WINDOWS[window]}: no answer, or nobody left within {_PATIENCE:.0f} s") from None
    return provider.gone_at - began


class _Provider:
    """A provider that answers as far as the moment asks, and notes when it is left."""

    def __init__(self) -> None:
        self.port = 0
        self.expect("asked")

    def expect(self, window: str) -> None:
        self._window = window
        self.reached = asyncio.Event()
        self.gone = asyncio.Event()
        self.gone_at = 0.0

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            if self._window in ("opened", "speaking"):
                writer.write(_HEAD + _event(role="assistant", content=""))
            self.reached.set()
            speaking = asyncio.create_task(_speak(writer)) if self._window == "speaking" else None
            with contextlib.suppress(ConnectionError):
                await reader.read(1)
            self.gone_at = perf_counter()
            self.gone.set()
            if speaking is not None:
                speaking.cancel()
        writer.close()


async def _speak(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(0.02)
        writer.write(_event(content="word "))


def _event(**delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "one", "choices": [choice]}
    text = b"data: " + json.dumps(said).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(text), text)


@asynccontextmanager
async def _provider() -> AsyncIterator[_Provider]:
    provider = _Provider()
    server = await asyncio.start_server(provider.visited, "127.0.0.1", 0)
    async with server:
        provider.port = server.sockets[0].getsockname()[1]
        yield provider


if __name__ == "__main__":
    for each in asyncio.run(left()):
        print(each)
