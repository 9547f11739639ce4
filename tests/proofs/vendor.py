"""A provider of the storm, in a process of its own, that behaves badly and keeps its own books of what it charges.

`python -m tests.proofs.vendor FOLDER` prints its port. Its manners are drawn by lot for each request: it answers well,
leaves out the usage or tells it late, falls silent, breaks off, refuses, or goes on for as long as it likes. It charges
for what it has made, whether that was heard or not, and writes each charge down at once, under the deployment's name.
A model whose name ends with `deaf` does not hear `max_tokens` half of the time; no other one makes more than it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.parsed import ROOT

__all__ = ["INPUT", "OUTPUT", "Bills", "Vendor", "vendor"]

INPUT, OUTPUT = 1_000, 2_000
"""Nano-units for a token: one and two dollars a million."""
_WORD = "lorem "
_MANNERS = ("well",) * 10 + ("silent", "silent", "late", "late", "stalls", "cuts", "fails", "busy")
_MODEL = re.compile(rb'name="model"\r\n\r\n([^\r]*)')
_AT_ONCE = 6
"""Tokens in each piece of a stream."""
_TASKS = {
    "/v1/audio/speech": (b"audio/mpeg", b"ID3" + b"\0" * 200),
    "/v1/audio/transcriptions": (b"application/json", b'{"text":"lorem ipsum"}'),
    "/v1/images/generations": (b"application/json", b'{"created":1790000000,"data":[{"b64_json":"AAAA"}]}'),
}
"""Answers that have no usage."""


class Bills:
    """What was charged, by deployment, in nano-units."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "bills"

    def read(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for line in self._file.read_text(encoding="ascii").splitlines() if self._file.exists() else ():
            name, _, nano = line.partition(" ")
            found[name] += int(nano)
        return found


class _Vendor:
    def __init__(self, folder: Path) -> None:
        self._chance = random.Random(11)
        self._bills = os.open(folder / "bills", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(head[0].split(" ")[1], headers, body, writer):
                    break
        writer.transport.abort()

    async def _answer(self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        if headers.get("content-type", "").startswith("multipart/"):
            found = _MODEL.search(body)
            asked: dict[str, Any] = {"model": found[1].decode() if found is not None else "nobody"}
        else:
            asked = json.loads(body)
        name, manner = asked["model"], self._chance.choice(_MANNERS)
        if manner in {"fails", "busy"}:
            status = 500 if manner == "fails" else 429
            _whole(writer, status, b"application/json", b'{"error":{"message":"not now","type":"x","code":null}}')
            return True
        tokens = max(1, len(body) // 6)
        if path == "/v1/chat/completions":
            return await self._chat(asked, name, manner, tokens, writer)
        if manner == "stalls":
            await asyncio.sleep(1.5)
        self._charge(name, tokens, 0)
        if manner == "cuts":
            return False
        if path in _TASKS:
            _whole(writer, 200, *_TASKS[path])
            return True
        usage = {} if manner == "silent" else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        if path == "/v1/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
            _json(writer, {"object": "list", "data": data, "model": name, **usage})
        else:
            result = {"flagged": False, "categories": {}, "category_scores": {}}
            _json(writer, {"id": "modr-1", "model": name, "results": [result]})
        return True

    async def _chat(
        self, asked: dict[str, Any], name: str, manner: str, prompt: int, writer: asyncio.StreamWriter
    ) -> bool:
        allowed = asked.get("max_completion_tokens") or asked.get("max_tokens") or 10_000
        many = self._chance.randrange(1, min(allowed, 80) + 1)
        if name.endswith("deaf") and self._chance.random() < 0.5:
            many = 12 * allowed
        if name.endswith("judge"):
            many = min(allowed, 3)
        if not asked.get("stream"):
            await asyncio.sleep(many * 0.000_3)
            if manner == "stalls":
                await asyncio.sleep(1.5)
            self._charge(name, prompt, many)  # whoever has left by now is charged all the same
            if manner == "cuts":
                return False
            words = f"{self._chance.randrange(11)} it is" if name.endswith("judge") else (_WORD * many).strip()
            message = {"role": "assistant", "content": words, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            told = {} if manner == "silent" else {"usage": _usage(prompt, many)}
            _json(writer, {**_stamp(name, "chat.completion"), "choices": [choice], **told})
            return True
        return await self._stream(asked, name, manner, (prompt, many), writer)

    async def _stream(
        self, asked: dict[str, Any], name: str, manner: str, tokens: tuple[int, int], writer: asyncio.StreamWriter
    ) -> bool:
        prompt, many = tokens
        made, ends = 0, many
        if manner in {"stalls", "cuts"}:
            ends = self._chance.randrange(many)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            while made < ends and not writer.transport.is_closing():
                piece = min(_AT_ONCE, ends - made)
                made += piece
                delta = {"index": 0, "delta": {"content": _WORD * piece}, "finish_reason": None}
                _event(writer, {**_stamp(name, "chat.completion.chunk"), "choices": [delta]})
                await asyncio.sleep(0.002)
            if manner == "stalls":
                await asyncio.sleep(1.5)
        finally:
            self._charge(name, prompt, made)
        if manner in {"stalls", "cuts"} or writer.transport.is_closing():
            return False
        _event(
            writer,
            {**_stamp(name, "chat.completion.chunk"), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        )
        if manner == "late":
            await asyncio.sleep(0.2)
        if manner != "silent" and (asked.get("stream_options") or {}).get("include_usage"):
            _event(writer, {**_stamp(name, "chat.completion.chunk"), "choices": [], "usage": _usage(prompt, many)})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        return True

    def _charge(self, name: str, prompt: int, made: int) -> None:
        os.write(self._bills, f"{name} {prompt * INPUT + made * OUTPUT}\n".encode())


def _usage(prompt: int, made: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def _stamp(name: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-storm", "created": 1_790_000_000, "model": name, "object": kind}


def _json(writer: asyncio.StreamWriter, body: object) -> None:
    _whole(writer, 200, b"application/json", json.dumps(body).encode())


def _whole(writer: asyncio.StreamWriter, status: int, kind: bytes, body: bytes) -> None:
    writer.write(
        b"HTTP/1.1 %d Word\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)
    )


def _event(writer: asyncio.StreamWriter, body: object) -> None:
    data = b"data: " + json.dumps(body).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


class Vendor(NamedTuple):
    """A running one."""

    port: int
    bills: Bills


@contextmanager
def vendor(folder: Path) -> Iterator[Vendor]:
    """A vendor that writes its bills into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.proofs.vendor", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Vendor(int(process.stdout.readline()), Bills(folder))
        finally:
            process.kill()


async def _stand(folder: Path) -> None:
    server = await asyncio.start_server(_Vendor(folder).visited, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_stand(Path(sys.argv[1])))
