"""What happens in a tenant, while it happens: finished requests out of their records, and happenings of every node.

Everything is read back from the database, so that it does not matter which worker or node served a request or met a
happening. Whoever watches costs a worker one look every quarter of a second, however many watch; the requests
themselves know nothing of it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

import msgspec

from dirigent.control.records import RunRow, run_row
from dirigent.core.errors import LimitExceeded
from dirigent.store.database import Connection, Database, DatabaseGone
from dirigent.store.happenings import happenings, latest
from dirigent.store.records import at_places, latest_places
from dirigent.store.usage import place_at

__all__ = ["LiveEvents", "Told"]

_EVERY = 0.25
"""Seconds between two looks."""
_LATE = 20_000
"""Milliseconds by which a record may reach the database late and still be told."""
_AT_ONCE = 500
"""Requests and happenings that one look takes in; beyond it the latest requests are told, and how many were not."""
_KEPT = 2_000
"""Events that are kept for those who read slowly."""
_QUIET = 15.0
"""Seconds of silence after which a sign of life goes out."""
_FORGOTTEN = 10.0
"""Seconds without anybody who watches after which a tenant is begun anew."""
_MOST_STREAMS = 64
_ID = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")
_JSON = msgspec.json.Encoder()


class Told(msgspec.Struct, frozen=True):
    """One event: where it stands, and it as JSON."""

    place: int
    """The place of the latest record that was told with it or before it."""
    seq: int
    """The number of the latest happening that was."""
    event: bytes

    def framed(self) -> bytes:
        """It as a server-sent event."""
        return b"id: %d.%d\ndata: %b\n\n" % (self.place, self.seq, self.event)


class LiveEvents:
    """Tells every watcher what happens in its tenant (admin.app.Live); belongs to one event loop."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._views: dict[str, _View] = {}
        self._streams = 0

    def events(self, tenant: str, after: str | None = None) -> AsyncGenerator[bytes, None]:
        """What happens in a tenant, framed as server-sent events; begins behind the event of the id `after`.

        Raises LimitExceeded where too many watch already.
        """
        if self._streams >= _MOST_STREAMS:
            raise LimitExceeded(f"{_MOST_STREAMS} watch on this worker already", retry_after=10.0)
        return self._events(tenant, after)

    async def _events(self, tenant: str, after: str | None) -> AsyncGenerator[bytes, None]:
        self._streams += 1
        try:
            view = self._view(tenant)
            number, quiet_since = -1, time.monotonic()
            yield b": you are watching\n\n"  # so that the head goes out at once, even where nothing happens
            while True:
                try:
                    await view.look(self._clock())
                    if number < 0:
                        number, upto = view.number, view.upto
                        for told in await view.missed(after, upto):
                            yield told.framed()
                        yield b"id: %d.%d\n\n" % upto  # from here on, for who comes again before anything happens
                except DatabaseGone:
                    pass  # it is looked for again, and what happened meanwhile is told then
                fresh, number = view.behind(number)
                for told in fresh:
                    yield told.framed()
                now = time.monotonic()
                if fresh:
                    quiet_since = now
                elif now - quiet_since >= _QUIET:
                    quiet_since = now
                    yield b": nothing happens\n\n"
                await asyncio.sleep(_EVERY)
        finally:
            self._streams -= 1

    def _view(self, tenant: str) -> _View:
        view = self._views.get(tenant)
        if view is None or view.idle > _FORGOTTEN:
            self._views = {name: each for name, each in self._views.items() if each.idle <= _FORGOTTEN}
            view = self._views[tenant] = _View(self._database, tenant)
        return view


class _View:
    """What one worker knows of what happens in one tenant; all who watch it share the looks."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant
        self._kept: deque[Told] = deque(maxlen=_KEPT)
        self.number = 0
        """How many events there have been."""
        self._seen: deque[int] = deque(maxlen=2 * _AT_ONCE)
        self._place = 0
        self._seq = 0
        self._begun = False
        self._looked = 0.0
        self._looking = asyncio.Lock()

    @property
    def idle(self) -> float:
        """Seconds since somebody has looked."""
        return time.monotonic() - self._looked if self._begun else 0.0

    async def look(self, now: float) -> None:
        """Takes in what is new, unless somebody has just done so. Raises DatabaseGone."""
        async with self._looking:
            if time.monotonic() - self._looked < _EVERY / 2 and self._begun:
                return
            if not self._begun:
                await self._database.reading(partial(self._begin, now=now))
                self._begun = True
            else:
                self._take(*await self._database.reading(partial(self._read, now=now)))
            self._looked = time.monotonic()

    @property
    def upto(self) -> tuple[int, int]:
        """The last place and the last number that were taken in."""
        return self._place, self._seq

    async def missed(self, after: str | None, upto: tuple[int, int]) -> Sequence[Told]:
        """What happened behind the event of this id, up to what was taken in then. Raises DatabaseGone."""
        found = _ID.fullmatch(after or "")
        if found is None:
            return ()
        seen = int(found[1]), int(found[2])
        return await self._database.reading(partial(self._between, seen=seen, upto=upto))

    def behind(self, number: int) -> tuple[Sequence[Told], int]:
        """The events behind this one, and the number of the last; who was too slow is told how many are gone."""
        if number < 0 or number == self.number:
            return (), number
        many = self.number - number
        kept = [*self._kept]
        if many <= len(kept):
            return kept[-many:], self.number
        first = kept[0]
        return [Told(first.place, first.seq, _skipped(many - len(kept))), *kept], self.number

    # --- on a thread --------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection, now: float) -> None:
        """What is there already is nothing that happens."""
        places = latest_places(connection, self._tenant, place_at(int(now * 1000) - _LATE), _AT_ONCE)
        self._seen.extend(places)
        self._place = max(places, default=place_at(int(now * 1000) - _LATE))
        self._seq = latest(connection, self._tenant)

    def _read(self, connection: Connection, now: float) -> tuple[list[Told], set[int]]:
        seen = {*self._seen}
        places = latest_places(connection, self._tenant, place_at(int(now * 1000) - _LATE), _AT_ONCE)
        new = [place for place in places if place not in seen]
        return self._told(connection, new, self._place, self._seq, many=len(places) == len(new) == _AT_ONCE), {*new}

    def _between(self, connection: Connection, seen: tuple[int, int], upto: tuple[int, int]) -> Sequence[Told]:
        found = latest_places(connection, self._tenant, seen[0], _AT_ONCE)
        told = self._told(
            connection, [place for place in found if place <= upto[0]], *seen, many=len(found) == _AT_ONCE
        )
        return [each for each in told if each.seq <= upto[1]]

    def _told(self, connection: Connection, places: Sequence[int], place: int, seq: int, *, many: bool) -> list[Told]:
        told: list[Told] = []
        if many:
            told.append(Told(place, seq, _skipped(None)))
        for record in at_places(connection, self._tenant, places):
            place = max(place, record.place)
            told.append(Told(place, seq, _request(run_row(record))))
        for happened in happenings(connection, self._tenant, seq, _AT_ONCE):
            seq = happened.seq
            told.append(Told(place, seq, happened.event.encode()))
        return told

    def _take(self, told: Sequence[Told], places: set[int]) -> None:
        self._kept.extend(told)
        self.number += len(told)
        self._seen.extend(sorted(places))
        if told:
            self._place, self._seq = told[-1].place, told[-1].seq


def _request(row: RunRow) -> bytes:
    return b'{"kind":"request",' + _JSON.encode(row)[1:]


def _skipped(events: int | None) -> bytes:
    """That some events are not told: so many of them, or, where nobody has counted them, None."""
    return _JSON.encode({"kind": "skipped", "events": events})
