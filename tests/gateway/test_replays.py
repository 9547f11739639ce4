from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.ports import Replay
from dirigent.gateway.replays import MemoryReplays

DAY = 86_400.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(size: int) -> Replay:
    return Replay(b"digest", 200, (("content-type", "text/plain"),), (b"x" * size,), streamed=False)


async def test_an_answer_is_found_until_its_time_is_over() -> None:
    clock = Clock()
    kept = MemoryReplays(clock=clock)
    await kept.keep("k", replay(10), DAY)

    clock.now = DAY - 1
    before = await kept.find("k")
    clock.now = DAY
    after = await kept.find("k")

    assert before == replay(10)
    assert after is None
    assert kept._size == 0


async def test_the_oldest_make_room() -> None:
    kept = MemoryReplays(most=10_000)

    for name in "abcde":
        await kept.keep(name, replay(1000), DAY)

    assert [name for name in "abcde" if await kept.find(name)] == ["b", "c", "d", "e"]


async def test_one_answer_never_drives_most_others_out() -> None:
    kept = MemoryReplays(most=10_000)
    await kept.keep("small", replay(10), DAY)

    await kept.keep("large", replay(5000), DAY)

    assert await kept.find("large") is None
    assert await kept.find("small") is not None


@given(some.lists(some.tuples(some.sampled_from("abcdef"), some.integers(0, 4000)), max_size=40))
async def test_what_is_kept_never_exceeds_its_bound(steps: list[tuple[str, int]]) -> None:
    kept = MemoryReplays(most=12_000)

    for name, size in steps:
        await kept.keep(name, replay(size), DAY)
        held = sum(each for _, each, _ in kept._kept.values())

        assert held == kept._size <= 12_000
