"""Several pieces of work at once: who fails ends the others, who waits does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dirigent.core.errors import DirigentError
from dirigent.core.journal import Suspended

__all__ = ["together"]

T = TypeVar("T")


async def together(works: Sequence[Callable[[], Awaitable[T]]], most: int | None = None) -> list[T]:
    """What each of them gives, in their order, at most so many at once.

    The first that fails ends all others, and their upstreams are closed by the time it is raised; of several that have
    failed, the first in order is raised. One that waits, for people or for a time, lets the others come to their own
    end first; then Suspended is raised.
    """
    if len(works) == 1:
        return [await works[0]()]
    gate = asyncio.Semaphore(most) if most is not None and most < len(works) else None
    results: dict[int, T] = {}
    failures: dict[int, DirigentError] = {}
    waiting: dict[int, Suspended] = {}
    tasks: list[asyncio.Task[None]] = []

    async def one(place: int, work: Callable[[], Awaitable[T]]) -> None:
        try:
            if gate is None:
                results[place] = await work()
                return
            async with gate:
                results[place] = await work()
        except Suspended as pause:
            waiting[place] = pause
        except DirigentError as error:
            failures[place] = error
            for task in tasks:
                if task is not tasks[place]:
                    task.cancel()

    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(one(place, work)) for place, work in enumerate(works)]
    except BaseExceptionGroup as faults:
        raise faults.exceptions[0] from None  # a fault of our own: it ends the run, as it would without the others
    if failures:
        raise failures[min(failures)]
    if waiting:
        raise waiting[min(waiting)]
    return [results[place] for place in range(len(works))]
