"""An operator stops a node: whoever is being answered is answered, and nobody else is kept waiting."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from openai import APIConnectionError

from tests.journeys.node import Node, node
from tests.journeys.weights import give_weights
from tests.local.workbench import processes

QUESTION: Any = [{"role": "user", "content": "hello"}]
CONFIG = """\
    models:
      auto: {type: echo, says: "one two three four five six seven eight nine ten", pause: 0.3}
      endless: {type: echo, says: "on and on and on and on and on and on and on and on", pause: 1}
    """


async def test_running_answers_are_finished_and_new_callers_are_turned_away(data: Path) -> None:
    with node(data, CONFIG) as one:
        async with one.async_openai() as client:
            whole = asyncio.create_task(client.chat.completions.create(model="auto", messages=QUESTION))
            await asyncio.sleep(0.2)
            stream = await client.chat.completions.create(model="auto", messages=QUESTION, stream=True)
            said = [(await anext(stream)).choices[0].delta.content or ""]
            one.signal(signal.SIGTERM)
            await asyncio.to_thread(one.until, lambda: not listens(one))
            refused = await asyncio.gather(
                one.async_openai().models.list().__aiter__().__anext__(), return_exceptions=True
            )
            said += [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            answer = await whole
        status = await asyncio.to_thread(one.process.wait, 60)

    assert "".join(said) == answer.choices[0].message.content == "one two three four five six seven eight nine ten"
    assert isinstance(refused[0], APIConnectionError)
    assert status == 0
    assert not (data / "server.json").exists()


def test_an_idle_node_leaves_at_once(data: Path) -> None:
    with node(data, CONFIG) as one:
        one.chat("auto", "hello")
        status = one.stop()

    assert status == 0


async def test_a_second_signal_cuts_what_the_first_one_waits_for(data: Path) -> None:
    with node(data, CONFIG) as one:
        async with one.async_openai() as client:
            stream = await client.chat.completions.create(model="endless", messages=QUESTION, stream=True)
            await anext(stream)
            one.signal(signal.SIGINT)
            await asyncio.sleep(0.3)
            still = one.process.poll()
            one.signal(signal.SIGINT)
            status = await asyncio.to_thread(one.process.wait, 20)  # by itself it would go on for thirty seconds

    assert still is None
    assert status == 0


def test_the_local_model_ends_with_its_node_even_where_the_node_is_killed(data: Path) -> None:
    give_weights(data)
    with node(data) as one:
        one.until(lambda: one.call("GET", "/health/ready", key=None).json["local"])
        assert one.chat(max_tokens=2).status == 200
        (child,) = children(one.process.pid, "dirigent.local.process")
        one.signal(signal.SIGKILL)
        one.process.wait()

        one.until(lambda: child not in processes("dirigent.local.process"))


def listens(one: Node) -> bool:
    try:
        one.call("GET", "/health/live", key=None)
    except ConnectionError:
        return False
    return True


def children(parent: int, mark: str) -> list[int]:
    """The processes below `parent` whose command line contains `mark`."""
    found = []
    for pid in processes(mark):
        above = pid
        while above > 1:
            status = Path("/proc", str(above), "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            above = int(status[1])
            if above == parent:
                found.append(pid)
                break
    return found
