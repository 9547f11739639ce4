"""The callers that measure streams see what is wrong with one: a tool that cannot find fault proves nothing."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benches.native import Missing, body, call, upstream
from benches.processes import free_port
from benches.streams import FAULTS
from benches.workers import layout

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("taskset") is None, reason="needs gcc and taskset"
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WELL = [[0], [1], [2]]


@pytest.fixture(autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs and bodies stand in a folder of the tests' own, compiled once."""
    folder = tmp_path_factory.getbasetemp() / "native"
    monkeypatch.setenv("PERF", str(folder))
    return folder


@asynccontextmanager
async def provider(events: Sequence[Sequence[int]], *, stream: int = 7, done: bool = True) -> AsyncIterator[int]:
    """Answers every call with these events, each with the stamps of these places; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        writer.write(HEAD)
        for number, places in enumerate(events):
            now = time.monotonic_ns()
            owner = stream + (number if stream < 0 else 0)
            text = "".join(f"~{abs(owner):06x}.{place:04x}.{now:016x}.{now:016x}~" for place in places)
            said = b'data: {"content":"%b"}\n\n' % text.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(said), said))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n" if done else b"")
        writer.write(b"0\r\n\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def found(port: int, *options: str) -> dict[str, Any]:
    request = body("test", model="m", stream=True)
    return await asyncio.to_thread(call, port, "0", "key", "-b", request, "-n", "1", "-e", "3", *options)


async def test_a_stream_in_order_has_no_fault_and_its_latencies_are_counted() -> None:
    async with provider(WELL) as port:
        row = await found(port)

    assert (row["answered"], row["events"]) == (1, 3)
    assert [row[fault] for fault in FAULTS] == [0] * 5
    assert (row["first"]["count"], row["late"]["count"], row["gap"]["count"]) == (1, 3, 2)
    assert 0 < row["late"]["p50"] < 1_000_000


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([[0], [2]], "lost"),
        ([[0], [1, 2]], "merged"),
        ([[0], [2], [1]], "reordered"),
        ([[0], [1], [1], [2]], "doubled"),
    ],
)
async def test_an_event_that_went_astray_is_counted_as_what_befell_it(events: list[list[int]], fault: str) -> None:
    async with provider(events) as port:
        row = await found(port)

    assert {name: row[name] for name in FAULTS if row[name]} == {fault: 1}


async def test_events_of_somebody_else_and_streams_without_an_end_are_counted() -> None:
    async with provider(WELL, stream=-9) as port:
        mixed = await found(port)
    async with provider(WELL, done=False) as port:
        unfinished = await found(port)

    assert mixed["foreign"] == 2
    assert (unfinished["answered"], unfinished["broken"]) == (0, 1)


@pytest.mark.parametrize("pieces", ["whole", "chunk", "segment"])
def test_the_upstream_says_the_same_whole_or_byte_by_byte(pieces: str) -> None:
    port = free_port()
    streamed, whole = body("test", model="m", stream=True), body("test-whole", model="m")

    with upstream(port, "0", "-e", "3", "-i", "0", "-m", pieces):
        row = call(port, "0", "key", "-b", streamed, "-b", whole, "-c", "4", "-n", "20", "-e", "3")

    assert (row["answered"], row["wholes"], row["events"]) == (20, 10, 30)
    assert [row[fault] for fault in FAULTS] == [0] * 5


def test_faults_of_the_upstream_reach_whoever_asks_it_directly() -> None:
    port = free_port()
    streamed = body("test", model="m", stream=True)

    with upstream(port, "0", "-e", "4", "-i", "0", "-f", "500", "-s", "1"):
        row = call(port, "0", "key", "-b", streamed, "-c", "8", "-n", "64", "-e", "4", "-t", "5")

    assert row["asked"] == 64
    assert (row["answered"], row["refused"], row["broken"]) == (32, 8, 24)  # cut, silent and ended early are broken


def test_a_caller_who_leaves_is_no_failure() -> None:
    port = free_port()
    streamed = body("test", model="m", stream=True)

    with upstream(port, "0", "-e", "4", "-i", "5"):
        row = call(port, "0", "key", "-b", streamed, "-c", "4", "-n", "20", "-e", "4", "-l", "5")

    assert (row["answered"], row["left"], row["broken"]) == (16, 4, 0)


def test_cores_are_shared_out_without_anybody_standing_on_anothers_where_there_are_six() -> None:
    wide, narrow = layout(range(16)), layout([0, 1])

    assert wide.apart
    assert len({*wide.node[1].split(","), *wide.callers, *wide.upstreams}) == 6
    assert not narrow.apart
    with pytest.raises(Missing, match="two cores"):
        layout([0])
