"""The contract of an engine: it finds runs that may go on, holds each for one worker, and has a stretch of it walked.

A *segment* is what happens between two waits: from a wake-up to the next wait, or to the end. An engine decides where
and when segments happen; what happened stands in the journal alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from time import time
from typing import Protocol

import msgspec

from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.journal import (
    Cancelled,
    Claimed,
    Ended,
    Entry,
    Fenced,
    State,
    Submission,
    Suspended,
    fold,
)
from dirigent.core.logbook import Append
from dirigent.core.ports import Journal

__all__ = ["LEASE", "Segment", "Segments", "Worker", "wakes"]

_log = logging.getLogger("dirigent.engines")
LEASE = 2.0
"""Seconds for which a worker holds a run; after so long without a sign of life another one goes on with it."""
_AGAIN = 0.2
"""Seconds after which something is tried again that a database which is away has refused."""
_LOOK_EVERY = 0.25
"""Seconds between two looks at a run that goes on elsewhere."""


class Segment(Protocol):
    """Goes on with runs."""

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        """How the run ended; every entry but the last is written by `append`. Raises Suspended where it waits."""
        ...

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        """Takes note of a run that is over, once that is durable."""
        ...

    def rested(self, run: str) -> None:
        """Takes note of a run that is no longer walked here."""
        ...


class Worker(Protocol):
    """An engine as a node has it: the port `Engine`, and when it begins and ends."""

    async def submit(self, submission: Submission) -> bool: ...
    async def submission(self, run: str) -> Submission | None: ...
    async def wake(self, run: str, entry: Entry) -> bool: ...
    async def entries(self, run: str, after: int = 0) -> Sequence[Entry]: ...
    def follow(self, run: str, after: int = 0) -> AsyncGenerator[Entry, None]: ...
    async def start(self, segment: Segment) -> None: ...
    def told(self) -> None: ...
    async def close(self, seconds: float = 0.0) -> None: ...


def wakes(state: State, now: float) -> float | None:
    """When a run that waits goes on by itself at the latest; None where only somebody's word lets it go on."""
    times = [until for until in state.slept.values() if until > now]
    times += [asked.due for asked in state.waiting if asked.due is not None and asked.due > now]
    return min(times, default=None)


class Segments:
    """Walks segments over a journal. Whoever claims runs, in whatever way, has them walked here."""

    def __init__(self, journal: Journal, segment: Segment, written: Callable[[str], None] = lambda _: None) -> None:
        self._journal = journal
        self._segment = segment
        self._written = written
        self._tasks: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self._cancelled: dict[str, Cancelled] = {}
        self._closing = False

    @property
    def fences(self) -> dict[str, int]:
        """The runs that are walked now, each with its fence."""
        return {run: fence for run, (fence, _) in self._tasks.items()}

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, claimed: Claimed) -> asyncio.Task[None]:
        """Walks a segment in a task of its own, which never raises."""
        run = claimed.submission.run
        task = asyncio.create_task(self._walk(claimed), name=f"run {run}")
        self._tasks[run] = (claimed.fence, task)
        task.add_done_callback(lambda _: self._over(run, claimed.fence))
        return task

    def heed(self, held: dict[str, int], known: dict[str, Cancelled | None]) -> None:
        """Ends what somebody has cancelled, and lets go of what is no longer ours, by the answer to a renewal."""
        for run, fence in held.items():
            present = self._tasks.get(run)
            if present is None or present[0] != fence or present[1].done():
                continue
            if run not in known:
                present[1].cancel()
            elif (order := known[run]) is not None and run not in self._cancelled:
                self._cancelled[run] = order
                present[1].cancel()

    async def close(self, seconds: float) -> None:
        """Lets what is walked come to its next wait for so many seconds; what is left then goes on elsewhere."""
        tasks = [task for _, task in self._tasks.values()]
        if tasks and seconds:
            await asyncio.wait(tasks, timeout=seconds)
        self._closing = True
        left = [task for _, task in self._tasks.values()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    def _over(self, run: str, fence: int) -> None:
        present = self._tasks.get(run)
        if present is not None and present[0] == fence:
            del self._tasks[run]
            self._cancelled.pop(run, None)

    async def _walk(self, claimed: Claimed) -> None:
        run, state = claimed.submission.run, fold(claimed.entries)
        try:
            await self._walked(claimed, state)
        except Fenced:
            _log.info("another worker goes on with the run %s", run)
        except asyncio.CancelledError:
            order = self._cancelled.get(run)
            with suppress(DirigentError):
                if order is not None:
                    await self._end(claimed, state, _CANCELLED)
                elif self._closing:
                    await self._journal.rest(run, claimed.fence, time())
        except Exception:  # noqa: BLE001  whatever it was, whoever waits for the run is told that it is over
            _log.exception("the run %s stumbled on a fault of our own", run)
            with suppress(Fenced):
                await self._end(claimed, state, Ended(status="failed", code=DirigentError.code))
        finally:
            self._segment.rested(run)

    async def _walked(self, claimed: Claimed, state: State) -> None:
        run, fence = claimed.submission.run, claimed.fence
        if state.cancelled is not None:
            await self._end(claimed, state, _CANCELLED)
            return

        async def append(entries: Sequence[Entry]) -> None:
            await _until_durable(lambda: self._journal.append(run, fence, entries))
            self._written(run)

        try:
            ended = await self._segment.walk(claimed, state, append)
        except Suspended:
            await _until_durable(lambda: self._journal.rest(run, fence, wakes(state, time())))
        except Fenced:
            raise
        except DirigentError as error:
            await self._end(claimed, state, Ended(status="failed", code=error.code, output=_told(error)))
        else:
            await self._end(claimed, state, ended)

    async def _end(self, claimed: Claimed, state: State, ended: Ended) -> None:
        run, fence = claimed.submission.run, claimed.fence
        ended = msgspec.structs.replace(ended, at=time())
        await _until_durable(lambda: self._journal.end(run, fence, ended))
        self._segment.over(claimed, state, ended)
        self._written(run)


_CANCELLED = Ended(status="cancelled", code="cancelled")


def _told(error: DirigentError) -> dict[str, str]:
    return {"error": error.message}


async def _until_durable(write: Callable[[], Awaitable[None]]) -> None:
    """Writes, again and again while the database is away: meanwhile nobody else can take the run over either."""
    while True:
        try:
            await write()
        except Unavailable:
            await asyncio.sleep(_AGAIN)
        else:
            return
