"""A provider of the tests: it speaks OpenAI's chat completions on a real socket and does what its manners say.

In the test's own process it is `async with upstream(...)`; as a process that can be killed it is `standing(...)`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.parsed import ROOT

__all__ = ["Manners", "Standing", "Upstream", "standing", "upstream"]


@dataclass
class Manners:
    """How a provider behaves."""

    says: str = "Hello from the other side."
    delay: float = 0.0
    """Seconds before the first byte of an answer."""
    pause: float = 0.0
    """Seconds before each further piece of a stream."""
    repeats: int = 1
    """How often the words are said."""
    status: int = 200
    cuts_after: int | None = None
    """Pieces of a stream after which the connection breaks off."""


@dataclass
class Upstream:
    """A provider that listens, and what it has seen."""

    manners: Manners = field(default_factory=Manners)
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests."""
    keys: list[str] = field(default_factory=list)
    """What stood in `authorization`."""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first byte of an answer has been sent, or an answer is being waited for."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a caller closes its connection in the middle of an answer."""
    gone_at: float = 0.0
    """When that was, by the loop's clock."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._conversation(reader, writer)
        writer.transport.abort()

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
            self.asked.append(body)
            self.keys.append(headers.get("authorization", ""))
            answering = asyncio.ensure_future(self._answer(body, writer))
            leaving = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.gone_at = asyncio.get_running_loop().time()
                self.gone.set()
                answering.cancel()
                return
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            if not answering.result():
                return

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answers; False where the connection is to break off."""
        manners = self.manners
        if manners.delay:
            self.began.set()
            await asyncio.sleep(manners.delay)
        if manners.status != 200:
            error = {"error": {"message": "the provider is at its end", "type": "server_error", "code": None}}
            _whole(writer, manners.status, error)
            return True
        words = " ".join([manners.says] * manners.repeats).split(" ")
        usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
        stamp = {"id": "chatcmpl-upstream", "created": 1_790_000_000, "model": body.get("model")}
        if not body.get("stream"):
            message = {"role": "assistant", "content": " ".join(words), "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            _whole(writer, 200, {**stamp, "object": "chat.completion", "choices": [choice], "usage": usage})
            self.began.set()
            return True
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        stamp["object"] = "chat.completion.chunk"
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word if place == 0 else f" {word}"} for place, word in enumerate(words)]
        for place, delta in enumerate(deltas):
            if place:
                await asyncio.sleep(manners.pause)
            if place == manners.cuts_after:
                return False
            _event(writer, {**stamp, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            self.began.set()
        _event(writer, {**stamp, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            _event(writer, {**stamp, "choices": [], "usage": usage})
        _piece(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        return True


def _whole(writer: asyncio.StreamWriter, status: int, body: object) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def _event(writer: asyncio.StreamWriter, body: object) -> None:
    _piece(writer, b"data: " + json.dumps(body).encode() + b"\n\n")


def _piece(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


@asynccontextmanager
async def upstream(manners: Manners | None = None) -> AsyncIterator[Upstream]:
    """A provider in this process."""
    one = Upstream(manners or Manners())
    server = await asyncio.start_server(one.visited, "127.0.0.1", 0, backlog=1024)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


@dataclass
class Standing:
    """A provider in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def standing(says: str, *, delay: float = 0.0, pause: float = 0.0, repeats: int = 1) -> Iterator[Standing]:
    """A provider that can be killed."""
    command = [sys.executable, "-m", "tests.journeys.upstream", says, str(delay), str(pause), str(repeats)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Standing(process, int(process.stdout.readline()))
        finally:
            process.kill()


async def _stand(manners: Manners) -> None:
    async with upstream(manners) as one:
        print(one.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("says")
    parser.add_argument("delay", type=float)
    parser.add_argument("pause", type=float)
    parser.add_argument("repeats", type=int)
    given = parser.parse_args()
    asyncio.run(_stand(Manners(given.says, delay=given.delay, pause=given.pause, repeats=given.repeats)))
