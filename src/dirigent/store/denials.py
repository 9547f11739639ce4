"""Refusals of the data plane on their way into the audit: each is told, and a flood of them in a few lines.

The first of its kind stands in the chain at once. What is alike in the next minute is counted and told in one line, so
nobody fills the chain by asking again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from time import time
from typing import ClassVar

import msgspec

from dirigent.core.observations import Refused
from dirigent.store.audit import Entry, Told, append_many
from dirigent.store.beginning import DEFAULT
from dirigent.store.database import Database
from dirigent.store.outbox import Outbox

__all__ = ["Denials"]

_log = logging.getLogger("dirigent.audit")
_ALIKE = 60.0
"""Seconds for which what is alike is counted before it is told."""
_LOOK_EVERY = 1.0
_KINDS = 100
"""Kinds of refusals of one tenant that are told apart at a time; the others are counted by their code."""
_LONGEST = 512

_Kind = tuple[str, str, str, str, str, str]
"""Tenant, actor, code, resource, purpose and rule."""


class _Tally:
    """How often something was refused again."""

    __slots__ = ("entry", "last", "since", "times")

    def __init__(self, since: float, entry: Entry, times: int) -> None:
        self.since = self.last = since
        self.entry = entry
        self.times = times


class Denials:
    """An observer that tells the audit what was refused, without ever waiting for it.

    `start` begins to write, first of all what an earlier process could not; `close` writes what is left. Of a process
    that is killed, what was counted in the last minute beyond the first of its kind is lost, and nothing else.
    """

    hears: ClassVar[tuple[type, ...]] = (Refused,)
    """What else it is told it leaves aside."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        policy: Callable[[], str] = str,
        clock: Callable[[], float] = time,
        alike: float = _ALIKE,
    ) -> None:
        """`policy` is the version of the rules that count now."""
        self.outbox: Outbox[Told, Told] = Outbox("denials", database, Told, append_many, folder=folder)
        self._policy = policy
        self._clock = clock
        self._alike = alike
        self._tallies: dict[_Kind, _Tally] = {}
        self._kinds: dict[str, int] = {}
        self._lock = Lock()
        self._some = Event()
        """Set while anything is counted."""
        self._stop = Event()
        self._teller = Thread(target=self._tell_until_stopped, name="denials", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self.outbox.start()
        self._teller.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Tells what was refused; anything else is not for here."""
        if not isinstance(observation, Refused):
            return
        entry = self._entry(observation)
        tenant = observation.tenant or DEFAULT
        kind = (tenant, entry.actor, observation.code, entry.resource, entry.purpose, entry.words)
        with self._lock:
            tally = self._tallies.get(kind)
            if tally is None and self._kinds.get(tenant, 0) >= _KINDS:
                kind = (tenant, "", observation.code, "", "", "")
                tally = self._tallies.get(kind)
                if tally is None:
                    entry = Entry("*", entry.action, decision="denied", facts={"code": observation.code})
                    tally = self._tallies[kind] = _Tally(observation.at, entry, 0)
            if tally is not None:
                tally.times += 1
                tally.last = observation.at
                return
            self._tallies[kind] = _Tally(observation.at, entry, 0)
            self._some.set()
            self._kinds[tenant] = self._kinds.get(tenant, 0) + 1
        self.outbox.put(Told(tenant, int(observation.at * 1000), entry))

    def tell(self, *, all_of_it: bool = False) -> None:
        """Tells what was counted for a minute; with `all_of_it` what was counted since then too."""
        now = self._clock()
        with self._lock:
            due = [kind for kind, tally in self._tallies.items() if all_of_it or now - tally.since >= self._alike]
            told = [(kind, self._tallies.pop(kind)) for kind in due]
            if not self._tallies:
                self._some.clear()
            for kind in due:
                if kind[1]:
                    self._kinds[kind[0]] -= 1
        for (tenant, *_), tally in told:
            if tally.times:
                facts = {**tally.entry.facts, "times": tally.times, "since": int(tally.since * 1000)}
                entry = msgspec.structs.replace(tally.entry, request="", facts=facts)
                self.outbox.put(Told(tenant, int(tally.last * 1000), entry))

    def close(self) -> None:
        """Writes what is left, and ends."""
        self._stop.set()
        self._some.set()
        if self._teller.is_alive():
            self._teller.join()
        self.tell(all_of_it=True)
        self.outbox.close()

    def _entry(self, refused: Refused) -> Entry:
        return Entry(
            actor=f"key:{refused.key}" if refused.key is not None else "nobody",
            action="request.answer",
            resource=f"model:{refused.model}" if refused.model is not None else "",
            decision="denied",
            purpose=refused.purpose or "",
            policy=self._policy(),
            revision=refused.revision or "",
            request=refused.run,
            words=refused.rule[:_LONGEST],
            facts={"code": refused.code},
        )

    def _tell_until_stopped(self) -> None:
        while not self._stop.is_set() and self._some.wait() and not self._stop.wait(_LOOK_EVERY):
            try:
                self.tell()
            except Exception:  # noqa: BLE001 -- the next ones deserve their attempt
                _log.exception("what was refused could not be told")
