"""An annex: what happens when its process crashes, hangs, is too slow for its asker, or is not wanted for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dirigent.annex.annex import Annex
from dirigent.core.errors import DirigentError, Invalid, Unavailable, Unsupported

CALCULATOR = """
import os, sys, time
import msgspec
from dirigent.core.errors import DirigentError, Invalid, Unavailable, Unsupported
from dirigent.annex.process import inhabit

class Ask(msgspec.Struct, array_like=True):
    what: str

class Told(msgspec.Struct):
    text: str

def work(ask, breathe):
    print("noise that native code makes")
    match ask.what:
        case "crash": os.abort()
        case "invalid": raise Invalid("that is no sum", param="input")
        case "unsupported": raise Unsupported("not in this language", param="input")
        case "lacking": raise Unavailable("a file is missing")
        case "bug": raise KeyError("x")
        case "environment": return Told(" ".join(sorted(os.environ)))
        case "sleep": time.sleep(600)
        case "breathe":
            for _ in range(8):
                time.sleep(0.45)
                breathe()
    return Told(ask.what)

inhabit(Ask, work)
"""


PARENT = """
import asyncio, sys
import msgspec
from dirigent.annex.annex import Annex

class Ask(msgspec.Struct, array_like=True):
    what: str

class Told(msgspec.Struct):
    text: str

async def main():
    annex = Annex("the calculator", [sys.executable, "-c", sys.argv[1]], Told)
    await annex.do(Ask("hello"))
    print(annex.pid, flush=True)
    await annex.do(Ask("sleep"))

asyncio.run(main())
"""


class Ask(msgspec.Struct, frozen=True, array_like=True):
    what: str


class Told(msgspec.Struct, frozen=True):
    text: str


@asynccontextmanager
async def calculator(*, finishes: bool = False, **settings: float) -> AsyncGenerator[Annex[Told], None]:
    """An annex that does odd things on request."""
    timing = {"idle": 60.0, "hangs": 60.0} | settings
    annex = Annex(
        "the calculator",
        [sys.executable, "-c", CALCULATOR],
        Told,
        idle=timing["idle"],
        hangs=timing["hangs"],
        finishes=finishes,
    )
    try:
        yield annex
    finally:
        await annex.close()


def alive(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    """Whether the process ends within thirty seconds."""
    for _ in range(600):
        if not alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def started(annex: Annex[Told]) -> int:
    """The process id, as soon as there is one."""
    for _ in range(6_000):
        if annex.pid is not None:
            return annex.pid
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_one_process_answers_one_ask_after_the_other() -> None:
    async with calculator() as annex:
        assert annex.pid is None, "nothing is started before it is needed"

        answers = await asyncio.gather(*(annex.do(Ask(f"number {number}")) for number in range(5)))
        first = annex.pid

        assert [answer.text for answer in answers] == [f"number {number}" for number in range(5)]
        assert (await annex.do(Ask("later"))).text == "later"
        assert annex.pid == first


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("invalid", Invalid, "that is no sum"),
        ("unsupported", Unsupported, "not in this language"),
        ("lacking", Unavailable, "the calculator cannot work: a file is missing"),
        ("bug", Unavailable, "KeyError"),
    ],
)
async def test_a_refusal_reaches_the_asker_and_costs_no_process(
    what: str, error: type[DirigentError], words: str
) -> None:
    async with calculator() as annex:
        await annex.do(Ask("hello"))
        first = annex.pid

        with pytest.raises(error, match=words) as refusal:
            await annex.do(Ask(what))

        assert type(refusal.value) is error
        assert refusal.value.param == ("input" if error is not Unavailable else None)
        assert (await annex.do(Ask("hello"))).text == "hello"
        assert annex.pid == first


async def test_a_crash_costs_one_answer() -> None:
    async with calculator() as annex:
        crash, after = await asyncio.gather(annex.do(Ask("crash")), annex.do(Ask("after")), return_exceptions=True)

        assert isinstance(crash, Unavailable)
        assert "broke off" in crash.message
        assert after == Told("after")


async def test_a_process_killed_from_outside_is_started_anew() -> None:
    async with calculator() as annex:
        await annex.do(Ask("hello"))
        first = annex.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)
        assert await gone(first)
        results = await asyncio.gather(annex.do(Ask("again")), return_exceptions=True)
        again = results[0] if isinstance(results[0], Told) else await annex.do(Ask("again"))

        assert again.text == "again"
        assert annex.pid not in {None, first}


async def test_who_gives_up_in_the_middle_frees_the_annex_at_once() -> None:
    async with calculator() as annex:
        patient = asyncio.create_task(annex.do(Ask("sleep")))
        behind = asyncio.create_task(annex.do(Ask("behind")))
        impatient = asyncio.create_task(annex.do(Ask("never mind")))
        sleeping = await started(annex)

        impatient.cancel()
        patient.cancel()

        assert (await asyncio.wait_for(behind, 30)).text == "behind"
        assert await gone(sleeping), "native code cannot be interrupted, so its process is ended"


async def test_an_annex_that_finishes_keeps_its_process_when_who_asked_gives_up() -> None:
    async with calculator(finishes=True) as annex:
        impatient = asyncio.create_task(annex.do(Ask("breathe")))
        working = await started(annex)
        never = asyncio.create_task(annex.do(Ask("crash")))
        await asyncio.sleep(0)

        impatient.cancel()
        never.cancel()

        assert (await asyncio.wait_for(annex.do(Ask("behind")), 30)).text == "behind"
        assert annex.pid == working, "what had begun was finished, and what had not begun was dropped"


async def test_closing_an_annex_that_finishes_refuses_what_it_does_and_what_waits() -> None:
    async with calculator(finishes=True) as annex:
        asks = [asyncio.create_task(annex.do(Ask("sleep"))) for _ in range(2)]
        working = await started(annex)

        await annex.close()

        ended = await asyncio.gather(*asks, return_exceptions=True)
        assert all(isinstance(error, Unavailable) for error in ended)
        assert await gone(working)


async def test_a_process_that_says_nothing_is_ended() -> None:
    async with calculator(hangs=1.0) as annex:
        with pytest.raises(Unavailable, match="said nothing for 1 seconds"):
            await annex.do(Ask("sleep"))

        assert annex.pid is None


async def test_long_work_that_breathes_is_not_taken_for_hung() -> None:
    async with calculator(hangs=3) as annex:
        assert (await annex.do(Ask("breathe"))).text == "breathe"


async def test_a_process_that_nobody_needs_is_ended() -> None:
    async with calculator(idle=0.2) as annex:
        await annex.do(Ask("hello"))
        first = annex.pid
        assert first is not None

        assert await gone(first)
        assert (await annex.do(Ask("hello again"))).text == "hello again"


async def test_nothing_of_our_environment_reaches_a_process_that_reads_what_strangers_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_PROVIDERS_KEY", "secret")

    async with calculator() as annex:
        names = (await annex.do(Ask("environment"))).text.split()

    assert "SOME_PROVIDERS_KEY" not in names
    assert "PYTHONPATH" in names


async def test_more_asks_than_anybody_would_wait_for_are_refused_at_once() -> None:
    async with calculator() as annex:
        waiting = [asyncio.create_task(annex.do(Ask("sleep"))) for _ in range(9)]
        await asyncio.sleep(0)

        with pytest.raises(Unavailable, match="overloaded"):
            await annex.do(Ask("one more"))

        await annex.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in ended), "closing refuses whatever still waits"


async def test_a_process_that_always_breaks_off_is_left_alone_after_three_times() -> None:
    annex = Annex("the wreck", [sys.executable, "-c", "raise SystemExit(3)"], Told)
    for _ in range(3):
        with pytest.raises(Unavailable, match="broke off"):
            await annex.do(Ask("hello"))

    with pytest.raises(Unavailable, match="it rests for") as refusal:
        await annex.do(Ask("hello"))

    assert 0 < (refusal.value.retry_after or 0) <= 30
    await annex.close()


async def test_the_process_ends_with_its_parent_even_in_the_middle_of_work() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, CALCULATOR, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    assert alive(child)

    parent.kill()
    await parent.wait()

    assert await gone(child)
