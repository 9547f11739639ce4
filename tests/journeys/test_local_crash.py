"""The local model's process is killed: the node lives, says so, and the next callers are answered."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from openai import APIError

from tests.journeys.node import Answered, Node, node
from tests.journeys.test_stopping import children
from tests.journeys.weights import give_weights

IMPATIENT = """\
    providers:
      local: {type: llama_cpp, patience: 0}
    models:
      local: {type: deployment, provider: local, name: smollm2-135m-instruct}
      echo: {type: echo}
    """


def test_after_a_kill_the_next_requests_are_answered_by_a_new_process(data: Path) -> None:
    give_weights(data)
    with node(data) as one:
        assert one.chat(max_tokens=4).status == 200
        (before,) = children(one.process.pid, "dirigent.local.process")
        os.kill(before, signal.SIGKILL)

        answers = [one.chat(max_tokens=4) for _ in range(3)]

        (after,) = children(one.process.pid, "dirigent.local.process")
        assert after != before
        assert [answer.status for answer in answers] == [200, 200, 200]


async def test_while_the_model_is_away_the_gateway_answers_and_says_so(data: Path) -> None:
    give_weights(data)
    with node(data, IMPATIENT) as one:
        await asyncio.to_thread(one.until, lambda: one.chat("local", max_tokens=2).status == 200)
        refused = await asyncio.to_thread(_asked_after_a_kill, one)
        for _ in range(4):  # now and then the next one stands before anybody has asked
            if refused.status == 200:
                refused = await asyncio.to_thread(_asked_after_a_kill, one)
        other = await asyncio.to_thread(one.chat, "echo")
        alive = await asyncio.to_thread(one.call, "GET", "/health/live")
        await asyncio.to_thread(one.until, lambda: one.chat("local", max_tokens=2).status == 200)

    assert refused.status == 503
    assert refused.json["error"]["code"] == "unavailable"
    assert "smollm2-135m-instruct" in refused.json["error"]["message"]
    assert int(refused.headers["retry-after"]) >= 1
    assert (other.status, alive.status) == (200, 200)


async def test_a_stream_that_is_cut_by_the_kill_ends_with_an_error_and_not_with_a_false_end(data: Path) -> None:
    give_weights(data)
    question: Any = [{"role": "user", "content": "Count to a thousand."}]
    with node(data) as one:
        async with one.async_openai() as client:
            stream = await client.chat.completions.create(
                model="local", messages=question, max_tokens=1000, stream=True
            )
            chunks = [await anext(stream)]
            (child,) = children(one.process.pid, "dirigent.local.process")
            os.kill(child, signal.SIGKILL)
            with pytest.raises(APIError) as broken:
                chunks.extend([chunk async for chunk in stream])

    assert broken.value.code == "unavailable"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * len(chunks)


def _asked_after_a_kill(one: Node) -> Answered:
    (child,) = children(one.process.pid, "dirigent.local.process")
    os.kill(child, signal.SIGKILL)
    return one.chat("local", max_tokens=2)
