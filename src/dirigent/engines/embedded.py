"""The engine that needs nothing but the journal: each worker takes what is ready, and holds it by a lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from dirigent.core.errors import DirigentError
from dirigent.core.journal import Claimed, Ended, Entry, Submission
from dirigent.core.ports import Journal
from dirigent.engines.engine import LEASE, Segment, Segments

__all__ = ["EmbeddedEngine"]

_log = logging.getLogger("dirigent.engines")
_PLACES = 200
"""Runs that one worker walks at once; those that wait take no place."""
_NET = 0.5
"""Seconds between two looks for runs of which nobody has told: those whose worker was killed, and those that slept."""
_IDLE = 2.0
"""The same where nothing is walked here; a run whose time comes before is looked for then."""
_MOMENT = 0.02


class EmbeddedEngine:
    """Runs durable runs in this process.

    A run is claimed, walked to its next wait or its end, and let go; its claim is renewed meanwhile, so a worker that
    dies loses it within two seconds and another one goes on. Runs that wait are rows and nothing else.
    """

    def __init__(self, journal: Journal, worker: str, *, places: int = _PLACES, lease: float = LEASE) -> None:
        self._journal = journal
        self._worker = worker
        self._places = places
        self._lease = lease
        self._news = asyncio.Event()
        self._followed: dict[str, set[asyncio.Event]] = {}
        self._segments: Segments | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._walks = asyncio.Event()
        """Set when something has begun to be walked: until then there is nothing to renew."""
        self._renewing = asyncio.Event()

    async def submit(self, submission: Submission) -> bool:
        """Takes a run on; False where there is one of this id already."""
        made = await self._journal.submit(submission)
        self._heard()
        return made

    async def submission(self, run: str) -> Submission | None:
        """What was submitted under this id."""
        return await self._journal.submission(run)

    async def wake(self, run: str, entry: Entry) -> bool:
        """Tells a run what comes from outside."""
        woken = await self._journal.wake(run, entry)
        if woken:
            self._heard()
        return woken

    async def entries(self, run: str, after: int = 0) -> Sequence[Entry]:
        """The entries that are written by now."""
        return await self._journal.load(run, after)

    async def follow(self, run: str, after: int = 0) -> AsyncGenerator[Entry, None]:
        """The entries of a run as they are written, wherever it runs, those behind the first `after`; ends with it."""
        news = asyncio.Event()
        self._followed.setdefault(run, set()).add(news)
        try:
            while True:
                news.clear()
                for entry in await self._journal.load(run, after):
                    after += 1
                    yield entry
                    if isinstance(entry, Ended):
                        return
                await _set_within(news, _NET / 2)
        finally:
            self._followed[run].discard(news)
            if not self._followed[run]:
                del self._followed[run]

    async def start(self, segment: Segment) -> None:
        """Begins to take runs."""
        self._loop = asyncio.get_running_loop()
        self._segments = Segments(self._journal, segment, self._wrote)
        self._tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._renew())]

    def told(self) -> None:
        """Something has changed in the journal, says a thread of whatever kind."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._heard)

    async def close(self, seconds: float = 0.0) -> None:
        """Takes nothing more, and lets what is walked come to its next wait for so many seconds.

        What is still walked then is let go, so that another worker goes on at once.
        """
        if self._segments is None:
            return
        taking, renewing = self._tasks
        taking.cancel()
        await asyncio.wait([taking])
        await self._segments.close(seconds)  # what is walked until then is held as long
        renewing.cancel()
        await asyncio.wait([renewing])

    def _heard(self) -> None:
        self._news.set()
        self._renewing.set()  # it may be told to end
        for run in self._followed:
            self._wrote(run)

    def _wrote(self, run: str) -> None:
        for news in self._followed.get(run, ()):
            news.set()

    async def _take(self) -> None:
        segments = self._walking
        pause = _NET
        while True:
            await _set_within(self._news, pause)
            pause = _NET
            try:
                while room := self._places - len(segments):
                    claims = await self._journal.claim(self._worker, self._lease, room)
                    for claimed in claims:
                        self._begin(claimed).add_done_callback(lambda _: self._freed())
                    if len(claims) < room:
                        break
                if not segments:
                    soonest = await self._journal.soonest()
                    if soonest is None or soonest > 0:  # what is due by now, others have to take
                        pause = _IDLE if soonest is None else min(max(soonest, _MOMENT), _IDLE)
            except DirigentError as error:
                _log.warning("no runs can be taken for now: %s", error.message)
                await asyncio.sleep(_NET)
            except Exception:  # noqa: BLE001  a fault of ours must not end what everybody waits for
                _log.exception("no runs can be taken for now")
                await asyncio.sleep(_NET)

    def _begin(self, claimed: Claimed) -> asyncio.Task[None]:
        """Walks a segment, whose claim is renewed from now on."""
        self._walks.set()
        return self._walking.begin(claimed)

    def _freed(self) -> None:
        if len(self._walking) == self._places - 1:  # there was no room, and others may wait for it
            self._news.set()

    async def _renew(self) -> None:
        segments = self._walking
        while True:
            if not segments:
                await _set_within(self._walks, None)
            await _set_within(self._renewing, self._lease / 4)
            held = segments.fences
            if not held:
                continue
            try:
                segments.heed(held, dict(await self._journal.renew(self._worker, held, self._lease)))
            except DirigentError as error:
                _log.warning("the claims on %d runs cannot be renewed for now: %s", len(held), error.message)
            except Exception:  # noqa: BLE001  as above
                _log.exception("the claims on %d runs cannot be renewed for now", len(held))

    @property
    def _walking(self) -> Segments:
        if self._segments is None:
            raise RuntimeError("the engine was not started")
        return self._segments


async def _set_within(event: asyncio.Event, seconds: float | None) -> None:
    """Returns when the event is set, or after the time, where there is one; it is cleared."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
