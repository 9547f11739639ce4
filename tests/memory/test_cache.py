"""Answers kept in memory: bounded, by vector, and forgotten."""

from __future__ import annotations

from dirigent.core.events import TextDelta
from dirigent.core.ports import Kept
from dirigent.memory import MemoryCache


def kept(run: str, text: str = "x", tenant: str = "t") -> Kept:
    return Kept(run, tenant, (TextDelta(text),))


async def test_the_least_lately_used_makes_room() -> None:
    cache = MemoryCache(most=20_000)
    for run in ("a", "b", "c", "d"):
        await cache.keep("p", run.encode(), kept(run, "x" * 3500), 60)
    await cache.find("p", b"a")

    await cache.keep("p", b"e", kept("e", "x" * 3500), 60)

    assert [run for run in "abcde" if await cache.find("p", run.encode())] == ["a", "c", "d", "e"]


async def test_what_would_fill_a_quarter_of_the_room_is_not_kept() -> None:
    cache = MemoryCache(most=20_000)

    await cache.keep("p", b"k", kept("a", "x" * 5001), 60)

    assert await cache.find("p", b"k") is None


async def test_the_nearest_comes_first_within_its_partition_and_family() -> None:
    cache = MemoryCache()
    for run, partition, family, vector in (
        ("far", "p", b"f", (0.0, 1.0)),
        ("near", "p", b"f", (0.96, 0.28)),
        ("same", "p", b"f", (1.0, 0.0)),
        ("other family", "p", b"g", (1.0, 0.0)),
        ("other partition", "q", b"f", (1.0, 0.0)),
    ):
        await cache.keep(partition, run.encode(), kept(run), 60, family=family, vector=vector)

    found = await cache.near("p", b"f", (1.0, 0.0), 0.9)
    await cache.forget("t", "same")

    assert [each.run for each in found] == ["same", "near"]
    assert [each.run for each in await cache.near("p", b"f", (1.0, 0.0), 0.9)] == ["near"]
