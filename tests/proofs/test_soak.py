"""A minute of load with failures, in whole answers, streams and abandoned ones: nothing may stay behind."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from openai import APIError, AsyncOpenAI

from tests.journeys.node import Node, node
from tests.journeys.upstream import Manners, Upstream, upstream

pytestmark = pytest.mark.prove

SECONDS = 60.0
CALLERS = 16
CONFIG = """\
    providers:
      shaky: {{type: compatible, base_url: "{shaky}"}}
      steady: {{type: compatible, base_url: "{steady}"}}
    models:
      shaky: {{type: deployment, provider: shaky, name: s, price: {{input: 1, output: 2}}}}
      steady: {{type: deployment, provider: steady, name: t, price: {{input: 1, output: 2}}}}
      auto: {{type: router, candidates: [shaky], fallback: [steady], strategy: complexity}}
    """


class Footprint:
    """What a process holds: memory that is its own, and open files and sockets."""

    def __init__(self, pid: int) -> None:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        self.kilobytes = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
        self.files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def call(client: AsyncOpenAI, number: int) -> str:
    """One call of one of three sorts; returns how it ended."""
    question = f"question {number}: what is a pipeline?"
    if number % 3 == 0:
        whole = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": question}])
        return "answered" if whole.choices[0].message.content else "empty"
    stream = await client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": question}], stream=True
    )
    async for _ in stream:
        if number % 3 == 1:
            await stream.close()
            return "left"
    return "answered"


async def load(one: Node, shaky: Upstream, seconds: float) -> dict[str, int]:
    """Keeps all callers busy; one answer in twenty of the first candidate fails."""
    ends: dict[str, int] = {}
    until = time.monotonic() + seconds

    async def caller(client: AsyncOpenAI, start: int) -> None:
        number = start
        while time.monotonic() < until:
            shaky.manners.status = 500 if random.random() < 0.05 else 200
            number += CALLERS
            try:
                end = await call(client, number)
            except APIError as error:
                end = f"refused: {error}"
            ends[end] = ends.get(end, 0) + 1

    async with one.async_openai(timeout=30) as client, asyncio.TaskGroup() as callers:
        for start in range(CALLERS):
            callers.create_task(caller(client, start))
    return ends


async def test_a_minute_of_load_with_failures_leaves_nothing_behind(tmp_path: Path) -> None:
    async with upstream(Manners(pause=0.001)) as shaky, upstream(Manners(pause=0.001)) as steady:
        with node(tmp_path / "data", CONFIG.format(shaky=shaky.url, steady=steady.url)) as one:
            await load(one, shaky, 10)
            await asyncio.sleep(2)
            before = Footprint(one.process.pid)

            ends = await load(one, shaky, SECONDS)
            await asyncio.sleep(2)
            after = Footprint(one.process.pid)

    calls = sum(ends.values())
    print(f"{calls} calls: {ends}")
    print(f"memory {before.kilobytes} -> {after.kilobytes} kB; files {before.files} -> {after.files}")
    assert set(ends) == {"answered", "left"}
    assert calls > 1_000
    assert after.files <= before.files + 2 * CALLERS  # connections that rest in the pools
    assert after.kilobytes - before.kilobytes < 4_096
