"""Places at deployments, in memory: who waits for one, and whose turn is next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from math import ceil

from dirigent.core.errors import Busy
from dirigent.core.identity import Principal, Priority
from dirigent.core.ports import Queue

__all__ = ["MemorySlots"]

_CLASSES: tuple[Priority, ...] = ("critical", "normal", "bulk")
_PASSED_OVER = 10
"""After so many places for those before it, a class that waits has one: so nobody starves."""
_WEIGHT = 0.2
_LONGEST = 60
"""The most seconds after which we say that asking again makes sense."""

_Key = tuple[str, str, str]
_Waiter = asyncio.Future[None]


class MemorySlots:
    """Places of this process (core.ports.Slots)."""

    def __init__(self) -> None:
        self._desks: dict[str, _Desk] = {}

    async def take(
        self, model: str, places: int, queue: Queue, *, priority: Priority, principal: Principal, patience: float
    ) -> None:
        """Returns with a place, at once where one is free."""
        desk = self._desks.get(model)
        if desk is None:
            desk = self._desks[model] = _Desk()
        desk.places = places
        desk.call()  # there may be more places than before
        if desk.taken < places and not desk.waiting:
            desk.taken += 1
            return
        if patience <= 0:
            raise _busy(model, desk, "no place is free")
        self._make_room(model, desk, queue, priority)
        await _turn(model, desk, priority, (principal.tenant, principal.project, principal.key), patience)

    def free(self, model: str, seconds: float) -> None:
        """Calls the next."""
        desk = self._desks[model]
        desk.held += _WEIGHT * (seconds - desk.held)
        desk.taken -= 1
        desk.call()

    def waiting(self, model: str) -> int:
        """How many wait for a place."""
        desk = self._desks.get(model)
        return desk.waiting if desk is not None else 0

    @staticmethod
    def _make_room(model: str, desk: _Desk, queue: Queue, priority: Priority) -> None:
        """Refuses whoever has come last to the lowest class, be it this one."""
        if desk.waiting < queue.length:
            return
        error = _busy(model, desk, f"{desk.waiting} requests wait already")
        for lower in reversed(_CLASSES[_CLASSES.index(priority) + 1 :]):
            if (last := desk.lines[lower].last()) is not None:
                desk.lines[lower].remove(last)
                if not last.done():
                    last.set_exception(error)
                return
        raise error


async def _turn(model: str, desk: _Desk, priority: Priority, key: _Key, patience: float) -> None:
    """Waits in line. Whoever leaves meanwhile leaves no trace: a place given in that moment goes to the next."""
    line = desk.lines[priority]
    waiter: _Waiter = asyncio.get_running_loop().create_future()
    line.add(key, waiter)
    try:
        async with asyncio.timeout(patience):
            await waiter
    except BaseException as fault:
        if waiter.cancelled() or not waiter.done():
            line.remove(waiter)
        elif waiter.exception() is None:
            desk.taken -= 1
            desk.call()
        if isinstance(fault, TimeoutError):
            raise _busy(model, desk, f"no place became free within {patience:g} s") from None
        raise


class _Desk:
    """The places of one deployment, and the lines before it."""

    def __init__(self) -> None:
        self.places = 1
        self.taken = 0
        self.held = 1.0
        """Typical seconds for which a place is held."""
        self.lines = {priority: _Line() for priority in _CLASSES}

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self.lines.values())

    def call(self) -> None:
        """Gives every free place to whoever is next."""
        while self.taken < self.places and (line := self._next()) is not None:
            waiter = line.pop()
            if not waiter.done():  # else it has just left, and its task does not know yet
                self.taken += 1
                waiter.set_result(None)

    def _next(self) -> _Line | None:
        """The line whose turn it is: the first that is not empty, unless one behind it was passed over too often."""
        waiting = [line for line in self.lines.values() if len(line)]
        if not waiting:
            return None
        chosen = next((line for line in reversed(waiting) if line.passed_over >= _PASSED_OVER), waiting[0])
        for line in waiting[waiting.index(chosen) + 1 :]:
            line.passed_over += 1
        chosen.passed_over = 0
        return chosen


class _Line:
    """Who waits in one class: each key in its turn, and those of one key in the order in which they came."""

    def __init__(self) -> None:
        self.passed_over = 0
        self._waiters: OrderedDict[_Key, deque[_Waiter]] = OrderedDict()
        self._keys: dict[_Waiter, _Key] = {}
        """Everybody who waits, in the order in which they came, with their key."""

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[_Waiter]:
        return iter(self._keys)

    def add(self, key: _Key, waiter: _Waiter) -> None:
        self._keys[waiter] = key
        self._waiters.setdefault(key, deque()).append(waiter)

    def pop(self) -> _Waiter:
        """Takes out whose turn it is."""
        key, waiters = next(iter(self._waiters.items()))
        waiter = waiters.popleft()
        del self._keys[waiter]
        if waiters:
            self._waiters.move_to_end(key)
        else:
            del self._waiters[key]
        return waiter

    def last(self) -> _Waiter | None:
        """Who came last."""
        return next(reversed(self._keys), None)

    def remove(self, waiter: _Waiter) -> None:
        """Takes out somebody who leaves, if they still wait."""
        key = self._keys.pop(waiter, None)
        if key is None:
            return
        waiters = self._waiters[key]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[key]


def _busy(model: str, desk: _Desk, words: str) -> Busy:
    wait = ceil(desk.held * (desk.waiting + 1) / desk.places)
    return Busy(
        f"{model!r} answers {desk.taken} requests, as many as it may, and {words}",
        retry_after=float(min(max(wait, 1), _LONGEST)),
    )
