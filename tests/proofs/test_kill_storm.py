"""The local model is killed again and again under load: every caller gets an answer or a reason, the node lives on."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.journeys.node import node
from tests.journeys.test_stopping import children
from tests.journeys.weights import give_weights

pytestmark = pytest.mark.prove

KILLS = 15


async def test_a_storm_of_kills_is_survived_with_an_answer_or_a_reason_for_every_caller(tmp_path: Path) -> None:
    data = tmp_path / "data"
    give_weights(data)
    statuses: list[int] = []
    codes: set[str] = set()
    with node(data) as one:
        await asyncio.to_thread(one.until, lambda: one.chat(max_tokens=2).status == 200, 30)
        storming = True

        async def caller() -> None:
            while storming:
                answer = await asyncio.to_thread(one.chat, max_tokens=8)
                statuses.append(answer.status)
                if answer.status != 200:
                    codes.add(answer.json["error"]["code"])

        async with asyncio.TaskGroup() as callers:
            for _ in range(4):
                callers.create_task(caller())
            for _ in range(KILLS):
                await asyncio.sleep(2)
                for child in children(one.process.pid, "dirigent.local.process"):
                    os.kill(child, signal.SIGKILL)
            storming = False
        alive = await asyncio.to_thread(one.call, "GET", "/health/live")
        await asyncio.to_thread(one.until, lambda: one.chat(max_tokens=2).status == 200, 60)
        left = children(one.process.pid, "dirigent.local.process")

    print(f"{len(statuses)} calls through {KILLS} kills: {statuses.count(200)} answered, others {sorted(codes)}")
    assert alive.status == 200
    assert set(statuses) <= {200, 503}
    assert codes <= {"unavailable", "no_candidate"}
    assert statuses.count(200) > KILLS
    assert len(left) == 1
