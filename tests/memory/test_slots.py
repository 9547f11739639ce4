"""Places at deployments: who waits, whose turn it is, and that none is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dirigent.core.errors import Busy
from dirigent.core.identity import Principal, Priority
from dirigent.core.ports import Queue
from dirigent.memory import MemorySlots


class Counter:
    """Somebody who asks for places at `m` and notes in which order they are given."""

    def __init__(self, places: int = 1, queue: Queue = Queue()) -> None:  # noqa: B008  frozen
        self.slots = MemorySlots()
        self.places = places
        self.queue = queue
        self.served: list[str] = []

    async def take(self, priority: Priority = "normal", key: str = "k", patience: float = 30.0) -> None:
        await self.slots.take(
            "m", self.places, self.queue, priority=priority, principal=Principal("t", "p", key), patience=patience
        )

    def free(self, seconds: float = 0.1) -> None:
        self.slots.free("m", seconds)

    async def visit(self, name: str, priority: Priority = "normal", key: str = "k") -> None:
        await self.take(priority, key)
        self.served.append(name)
        await asyncio.sleep(0)
        self.free()

    async def order(self, visits: Sequence[tuple[str, Priority, str]]) -> list[str]:
        """The order in which these are served who all come while the only place is taken."""
        await self.take()
        coming = [asyncio.ensure_future(self.visit(*visit)) for visit in visits]
        await asyncio.sleep(0.01)
        self.free()
        await asyncio.gather(*coming)
        return self.served


async def test_as_many_as_there_are_places_have_one_at_once() -> None:
    one = Counter(places=2)

    await one.take()
    await one.take()
    third = asyncio.ensure_future(one.take())
    await asyncio.sleep(0.01)
    waits = not third.done()
    one.free()
    await third

    assert waits
    assert one.slots.waiting("m") == 0


async def test_the_critical_come_before_the_normal_and_these_before_bulk() -> None:
    visits: list[tuple[str, Priority, str]] = [("b", "bulk", "k"), ("n", "normal", "k"), ("c", "critical", "k")]

    assert await Counter().order(visits) == ["c", "n", "b"]


async def test_each_key_has_its_turn_however_many_requests_another_one_has_sent() -> None:
    visits: list[tuple[str, Priority, str]] = [(f"loud{number}", "normal", "loud") for number in range(4)]
    visits += [("quiet0", "normal", "quiet"), ("quiet1", "normal", "quiet")]

    assert await Counter().order(visits) == ["loud0", "quiet0", "loud1", "quiet1", "loud2", "loud3"]


async def test_bulk_is_not_starved_while_others_keep_coming() -> None:
    visits: list[tuple[str, Priority, str]] = [("bulk", "bulk", "k")]
    visits += [(f"c{number}", "critical", "k") for number in range(30)]

    served = await Counter().order(visits)

    assert served.index("bulk") == 10


async def test_who_leaves_the_queue_leaves_no_trace() -> None:
    one = Counter()
    await one.take()
    leaving, staying = (asyncio.ensure_future(one.take(key=key)) for key in "ab")
    await asyncio.sleep(0.01)

    leaving.cancel()
    await asyncio.wait([leaving])
    waiting = one.slots.waiting("m")
    one.free()
    await asyncio.wait_for(staying, 30)

    assert waiting == 1
    assert one.slots.waiting("m") == 0


async def test_a_place_that_was_given_to_somebody_who_left_in_that_moment_goes_to_the_next() -> None:
    one = Counter()
    await one.take()
    leaving, staying = (asyncio.ensure_future(one.take(key=key)) for key in "ab")
    await asyncio.sleep(0.01)

    one.free()
    leaving.cancel()  # before it has noticed that it had the place
    await asyncio.wait_for(staying, 30)

    assert leaving.cancelled()


async def test_a_full_queue_refuses_with_the_time_after_which_a_place_is_likely() -> None:
    one = Counter(queue=Queue(length=2))
    await one.take()
    for _ in range(60):
        one.free(5.0)
        await one.take()
    waiting = [asyncio.ensure_future(one.take()) for _ in range(2)]
    await asyncio.sleep(0.01)

    with pytest.raises(Busy, match="2 requests wait already") as refused:
        await one.take()
    for each in waiting:
        each.cancel()

    assert (refused.value.code, refused.value.retryable, refused.value.fallback) == ("busy", True, True)
    assert refused.value.retry_after == pytest.approx(15, abs=1)


async def test_a_full_queue_makes_room_for_a_higher_priority() -> None:
    one = Counter(queue=Queue(length=2))
    await one.take()
    early, late = (asyncio.ensure_future(one.take("bulk", key)) for key in "ab")
    await asyncio.sleep(0.01)
    critical = asyncio.ensure_future(one.take("critical"))
    await asyncio.sleep(0.01)

    with pytest.raises(Busy):
        await late
    one.free()
    await asyncio.wait_for(critical, 30)
    one.free()
    await asyncio.wait_for(early, 30)


async def test_whose_time_is_over_is_refused_and_no_longer_waits() -> None:
    one = Counter()
    await one.take()

    with pytest.raises(Busy, match=r"within 0\.05 s"):
        await one.take(patience=0.05)
    with pytest.raises(Busy, match="no place is free"):
        await one.take(patience=0)

    assert one.slots.waiting("m") == 0


async def test_more_places_are_given_at_once_when_there_are_more() -> None:
    one = Counter()
    await one.take()
    waiting = asyncio.ensure_future(one.take())
    await asyncio.sleep(0.01)

    one.places = 3
    await asyncio.wait_for(one.take(), 30)

    await asyncio.wait_for(waiting, 30)


Step = tuple[str, Priority, int]
steps = some.lists(
    some.tuples(
        some.sampled_from(["come", "come", "free", "leave", "turn"]),
        some.sampled_from(["critical", "normal", "bulk"]),
        some.integers(0, 5),
    ),
    max_size=50,
)


@settings(max_examples=60)
@given(steps, some.integers(1, 3), some.integers(0, 4))
def test_however_they_come_and_go_no_place_is_lost_and_none_given_twice(
    taken: list[Step], places: int, length: int
) -> None:
    asyncio.run(come_and_go(taken, places, length))


async def come_and_go(taken: list[Step], places: int, length: int) -> None:
    one = Counter(places, Queue(length=length))
    comers: list[asyncio.Task[None]] = []
    held = 0

    def arrived() -> list[asyncio.Task[None]]:
        return [each for each in comers if each.done() and not each.cancelled() and each.exception() is None]

    for what, priority, number in taken:
        match what:
            case "come":
                comers.append(asyncio.create_task(one.take(priority, f"k{number}")))
            case "free" if arrived():
                comers.remove(arrived()[0])
                one.free()
            case "leave" if comers and not comers[number % len(comers)].done():
                comers[number % len(comers)].cancel()
            case "turn":
                await asyncio.sleep(0)
        held = len(arrived())
        assert held <= places
        assert one.slots.waiting("m") <= max(length, 0)
    await settled(lambda: all(each.done() for each in comers) or len(arrived()) == places)
    while waiting := [each for each in comers if not each.done()]:
        comers.remove(arrived()[0])
        one.free()
        await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    for _ in arrived():
        one.free()
    for _ in range(places):
        await one.take(patience=0)
    with pytest.raises(Busy):
        await one.take(patience=0)


async def settled(truth: Callable[[], bool]) -> None:
    """Returns once it holds; fails where it never does."""
    for _ in range(100):
        if truth():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to rest")
