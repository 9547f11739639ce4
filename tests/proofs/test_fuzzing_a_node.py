"""A whole node between vicious callers and hostile providers: it answers in words, and forgets them all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dirigent.gateway.wire import Limits
from tests.journeys.node import Node, node
from tests.journeys.upstream import upstream
from tests.proofs.callers import visit
from tests.proofs.dialogue import dialogue
from tests.proofs.footprint import Footprint
from tests.proofs.reference import Fault, answers_in, requests_in
from tests.proofs.replies import Ending, Reply, reply
from tests.upstream import DONE, answer, chunk, frames

pytestmark = pytest.mark.prove

REQUESTS = 6_000
CALLS = 2_500
CONFIG = """\
    providers:
      vendor: {{type: compatible, base_url: "{url}"}}
    models:
      auto:
        type: deployment
        provider: vendor
        name: v
        price: {{input: 1, output: 2}}
        timeouts: {{connect: 2, first_byte: 1, idle: 1, total: 3}}
        breaker: {{failures: 1000000, fewest: 1000000, rest: 0.001, longest: 0.001}}   # who rests meets nobody
    """
MARK = re.compile(rb"<[0-9a-f]{12}>")


def post(key: str, words: str, *, stream: bool = False) -> bytes:
    """A chat completion, asked in raw bytes."""
    asked = {"model": "auto", "messages": [{"role": "user", "content": words}], "stream": stream}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
    )
    return f"{head}\r\n\r\n".encode() + body


async def call_viciously(one: Node, requests: int, seed: int) -> list[str]:
    """Makes this many requests, good ones among them; returns what was wrong."""
    findings: list[str] = []
    made = visits = 0
    nested = post(one.key, "smuggled").decode()

    async def caller() -> None:
        nonlocal made, visits
        while made < requests:
            visits += 1
            chance = random.Random(f"{seed}/{visits}")
            parts = dialogue(chance)
            for _ in range(chance.randint(1, 3)):
                parts.insert(
                    chance.randrange(len(parts) + 1), post(one.key, f"good {nested}", stream=chance.random() < 0.5)
                )
            made += len(parts)
            reading = requests_in(b"".join(parts), Limits())
            if reading.end in ("between", "unsure"):
                parts.append(b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                reading = requests_in(b"".join(parts), Limits())
            leaving = 0.0 if reading.end == "within" else chance.random()
            sent, whole = await visit(one.port, "127.0.0.1", chance, parts, leaving)
            try:
                answers, rest = answers_in(sent, [asked.method for asked in reading.requests])
            except Fault as fault:
                findings.append(f"{seed}/{visits}: the answers are not HTTP: {fault}")
                continue
            statuses = [told.status for told in answers]
            if any(status >= 500 for status in statuses) or (whole and (rest or len(statuses) < reading.certain)):
                findings.append(f"{seed}/{visits}: {statuses} to {reading.certain} requests, then {rest!r:.80}")

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(caller())
    return findings


async def test_vicious_callers_reach_no_model_with_what_they_hide_and_leave_nothing_in_a_node(tmp_path: Path) -> None:
    async with upstream() as vendor:
        with node(tmp_path / "data", CONFIG.format(url=vendor.url)) as one:
            await call_viciously(one, REQUESTS // 4, 1)
            await asyncio.sleep(3)  # refused callers are given two seconds to read
            before = Footprint(one.process.pid)

            findings = await call_viciously(one, REQUESTS, 2)
            await asyncio.sleep(3)
            after = Footprint(one.process.pid)
            alive = await asyncio.to_thread(one.chat)

    words = Counter(body["messages"][0]["content"].partition(" ")[0] for body in vendor.asked)
    print(f"{words}; memory {before.kilobytes} -> {after.kilobytes} kB; files {before.files} -> {after.files}")
    assert findings == []
    assert words.keys() == {"good", "Say"}
    assert words["good"] > REQUESTS // 10
    assert alive.status == 200
    assert after.files <= before.files + 16  # connections that rest in the pool
    assert after.kilobytes - before.kilobytes < 8_192


class Hostile:
    """A provider on a real socket, whose every answer is fuzzed."""

    def __init__(self) -> None:
        self.url = ""
        self.marks: dict[str, bytes] = {}
        """The mark of each answer, by the words that were asked."""

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(int(line[16:]) for line in head.split("\r\n") if line.startswith("content-length: "))
        asked = json.loads(await reader.readexactly(length))
        words = asked["messages"][0]["content"]
        chance = random.Random(words)
        mark = self.marks[words] = b"<%012x>" % chance.getrandbits(48)
        plan = self._plan(chance, mark, stream=asked.get("stream", False))
        for piece in plan.torn:
            writer.write(piece)
            await asyncio.sleep(0)
        await writer.drain()
        while plan.ending is Ending.FLOODS:
            writer.write(plan.wire[-4_000:])
            await writer.drain()
        if plan.ending is Ending.FALLS_SILENT:
            await reader.read(1)
        return plan.ending is Ending.KEEPS

    def _plan(self, chance: random.Random, mark: bytes, *, stream: bool) -> Reply:
        text = mark.decode()
        if stream:
            events = frames(chunk({"role": "assistant", "content": text}), chunk({}, finish="stop"))
            return reply(chance, mark, events + DONE, b"text/event-stream")
        return reply(chance, mark, json.dumps(answer(text)).encode(), b"application/json")


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    one = Hostile()
    server = await asyncio.start_server(one.visited, "127.0.0.1", 0, backlog=256)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield one
    finally:
        server.close()


async def call_for_hostile_answers(one: Node, vendor: Hostile, calls: int, seed: int) -> tuple[Counter[int], list[str]]:
    statuses: Counter[int] = Counter()
    findings: list[str] = []
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            words, stream = f"{seed}/{number}", number % 2 == 0
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            try:
                writer.write(post(one.key, words, stream=stream).replace(b"host: a", b"host: a\r\nconnection: close"))
                async with asyncio.timeout(10):
                    sent = await reader.read(-1)
            finally:
                writer.transport.abort()
            foreign = set(MARK.findall(sent)) & set(vendor.marks.values()) - {vendor.marks.get(words)}
            try:
                told, _ = answers_in(sent, ["POST"])
            except Fault as fault:
                findings.append(f"{words}: not HTTP: {fault}")
                continue
            if foreign or len(told) > 1 or (not told and not stream):
                findings.append(f"{words}: {foreign} in {sent!r:.600}")
            status = told[0].status if told else 0
            statuses[status] += 1
            if status >= 400 and "error" not in json.loads(told[0].body):
                findings.append(f"{words}: {status} without an error: {told[0].body!r:.300}")
            if status == 500 or (status == 200 and not stream and "choices" not in json.loads(told[0].body)):
                findings.append(f"{words}: {status} {told[0].body!r:.300}")

    async with asyncio.TaskGroup() as group:
        for _ in range(24):
            group.create_task(caller())
    return statuses, findings


async def test_hostile_answers_become_errors_in_words_and_leave_nothing_in_a_node(tmp_path: Path) -> None:
    async with hostile() as vendor:
        with node(tmp_path / "data", CONFIG.format(url=vendor.url)) as one:
            await call_for_hostile_answers(one, vendor, CALLS // 4, 1)
            await asyncio.sleep(1)
            before = Footprint(one.process.pid)

            statuses, findings = await call_for_hostile_answers(one, vendor, CALLS, 2)
            await asyncio.sleep(1)
            after = Footprint(one.process.pid)

    print(f"{statuses}; memory {before.kilobytes} -> {after.kilobytes} kB; files {before.files} -> {after.files}")
    assert findings == []
    assert statuses[200] > CALLS // 8  # it rests at times, as it should
    assert after.files <= before.files + 24  # connections that rest in the pools
    assert after.kilobytes - before.kilobytes < 8_192
