"""The journal of runs in the database: append-only, fenced, sealed, and durable when a call returns.

A run's bodies are sealed by one key, that of its subject or else of the day on which it was submitted, before they
leave this process. Who has the highest fence of a run writes; everybody else is refused in the same statement that
would have written.

Longer than 400 lines, because what a worker may do to a run and what refuses it to all others stand side by side.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from time import time
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from dirigent.core.errors import DirigentError
from dirigent.core.journal import (
    Asked,
    Cancelled,
    Claimed,
    Decided,
    Ended,
    Entry,
    Submission,
    parted,
)
from dirigent.store import journal_rows as kept
from dirigent.store.aside import AT_MOST
from dirigent.store.brief import Values
from dirigent.store.database import Database
from dirigent.store.grouped import Grouped, How, Sheet
from dirigent.store.vault import Envelope, KeyLost, SubjectKey, Vault, enclosed

__all__ = ["TOPIC", "Erased", "StoredJournal"]

TOPIC = "runs"
"""The topic of the pulse that counts on when a run may be taken, was told something, or is over."""

_log = logging.getLogger("dirigent.store")
_LAPSES = 5
"""Workers that may be lost over a run, one after the other and without a word, before it is given up."""
_LOCKED = 5.0
"""Seconds for which a run whose key is not on this node is left to others."""
_TOLD_EVERY = 60.0
_REMEMBERED = 10_000
"""Keys of runs that are kept open."""
_AT_ONCE = 8
"""So many entries are put on the loop before others on it get a turn."""


class Erased(DirigentError):
    """What this run was about has been erased, so that it cannot go on."""

    code = "erased"


class _Row(NamedTuple):
    """An entry on its way into the table."""

    at: int
    kind: str
    path: str | None
    facts: str
    sealed: bytes | None


class StoredJournal:
    """The port `Journal` over SQLite and PostgreSQL.

    `asked` is called in the transaction that writes a question, `over` in the one in which a run ends; `news` on any
    thread, whenever a run of this process became ready or was told to end, so that nobody waits for the pulse.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        asked: Callable[[Connection, Submission, Asked], None] = lambda *_: None,
        over: Callable[[Connection, str, Ended], None] = lambda *_: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._database = database
        self._vault = vault
        self._asked = asked
        self._over = over
        self._clock = clock
        self._soonest: int | None = None
        """When the next run can be claimed, as the last claim saw it."""
        self._grouped = Grouped(database, "journal", kept.APPEND_BRIEF)
        self._ciphers: OrderedDict[str, AESGCM] = OrderedDict()
        self._lock = Lock()
        self._held: dict[str, Claimed] = {}
        self._open = False
        self._told = 0.0
        self._put_at_once = 0
        self.news: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begins to write."""
        self._grouped.start()

    def close(self) -> None:
        """Writes what waits, and ends."""
        self._grouped.close()

    def refresh(self) -> None:
        """Takes over what was shredded or sealed anew; to be called whenever the pulse `vault` has moved on."""
        with self._lock:
            self._ciphers.clear()
        if self._open:
            try:
                self._vault.refresh()
            except DirigentError as fault:
                _log.warning("the keys of runs cannot be read anew yet: %s", fault.message)

    @property
    def transactions(self) -> int:
        """How many transactions this process has made durable for the journal."""
        return self._grouped.transactions

    # --- what others do to a run --------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> bool:
        def prepare() -> tuple[SubjectKey, str, bytes]:
            self._make_ready()
            name = submission.subject or f"*{datetime.fromtimestamp(self._clock(), UTC):%Y-%m-%d}"
            key = self._vault.key(submission.principal.tenant, name)
            facts, sealed = kept.sealed_submission(submission, key.cipher)
            return key, facts, sealed

        def work(sheet: Sheet, prepared: tuple[SubjectKey, str, bytes]) -> bool:
            key, facts, sealed = prepared
            if not self._vault.admitted(sheet.connection, key.envelope):
                self._vault.forget()
                raise _Shredded("the key is gone")
            starts = submission.starts
            values = {
                **kept.columns(submission),
                "now": self._now(),
                "due": self._now() if starts is None else max(self._now(), kept.milliseconds(starts)),
                "facts": facts,
                "key": key.envelope.id,
                "sealed": sealed,
            }
            made = sheet.one(kept.SUBMIT, values) is not None
            if made:
                sheet.tell(TOPIC)
            return made

        for _ in range(3):
            try:
                made = await self._grouped.write(work, prepare=prepare, order=submission.run)
            except _Shredded:  # the subject was erased this very moment: what is new is sealed by a new key
                continue
            if made:
                self.news()
            return made
        raise Erased("what is known of this subject is being erased; ask again in a moment", retry_after=1.0)

    async def wake(self, run: str, entry: Entry) -> bool:
        def prepare() -> _Row | None:
            return self._row_from_outside(run, entry)

        def work(sheet: Sheet, row: _Row | None) -> bool:
            return row is not None and self._woken(sheet, run, entry, row)

        woken = await self._grouped.write(work, prepare=prepare, order=run)
        if woken:
            self.news()
        return woken

    def _row_from_outside(self, run: str, entry: Entry) -> _Row | None:
        """An entry from outside as it is kept; None where there is no run that could be told."""
        self._make_ready()
        try:
            return self._row(run, entry)
        except _Unknown:
            return None

    def _woken(self, sheet: Sheet, run: str, entry: Entry, row: _Row) -> bool:
        stopped = row.facts if isinstance(entry, Cancelled) else None
        path = row.path if isinstance(entry, Decided) else None
        values = {"run": run, "now": self._now(), "stopped": stopped, "path": path}
        if not self._database.lite:  # what others have just answered is seen by the statement after the wait for them
            sheet.one(kept.LOCK, values)
        found = sheet.one(kept.WAKE if path is None else kept.WAKE_ONCE, values)
        if found is None:
            return False
        self._insert(sheet, run, int(found[0]), [row])
        sheet.tell(TOPIC)
        return True

    async def load(self, run: str, after: int = 0) -> Sequence[Entry]:
        rows, key = await self._database.reading(lambda connection: kept.entries_of(connection, run, after))
        return await self._opened_entries(run, rows, key)

    async def submission(self, run: str) -> Submission | None:
        """What was submitted under this id; without what people wrote where that is erased or too old."""
        row = await self._database.reading(lambda connection: kept.submitted(connection, run))
        if row is None:
            return None
        facts, sealed, key = row
        return kept.opened_submission(facts, sealed, self._cipher_of(run, key))

    # --- what its worker does -----------------------------------------------------------------------------------------

    async def claim(self, worker: str, seconds: float, most: int) -> Sequence[Claimed]:
        if most <= 0:
            return ()
        self._soonest = await self._database.reading(kept.soonest)
        if self._soonest is None or self._soonest > self._now():
            return ()

        def work(sheet: Sheet) -> list[tuple[Any, ...]]:
            now = self._now()
            values = {"worker": worker, "now": now, "until": now + int(seconds * 1000), "most": most}
            rows = sheet.all(kept.CLAIM if self._database.lite else kept.CLAIM_SHARED, values)
            return [_with_entries(sheet, row) for row in rows]

        if not await asyncio.to_thread(self._ready):
            return ()
        return await self._taken(await self._grouped.write(work, how="barely"))

    async def soonest(self) -> float | None:
        return None if self._soonest is None else max(0.0, (self._soonest - self._now()) / 1000)

    async def due(self, most: int) -> Sequence[tuple[str, int]]:
        """Runs that may be taken now, each with its present fence, in the order of `claim`."""
        return await self._database.reading(lambda connection: kept.due_now(connection, self._now(), most))

    async def take(self, run: str, fence: int, worker: str, seconds: float) -> Claimed | None:
        """Takes this run, where it may still be taken and its fence is still this one."""
        if not await asyncio.to_thread(self._ready):
            return None

        def work(sheet: Sheet) -> list[tuple[Any, ...]]:
            now = self._now()
            values = {"run": run, "fence": fence, "worker": worker, "now": now, "until": now + int(seconds * 1000)}
            return [_with_entries(sheet, row) for row in sheet.all(kept.TAKE, values)]

        return next(iter(await self._taken(await self._grouped.write(work, order=run, how="barely"))), None)

    async def idle(self, segments: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Those of these segments, each a run and its fence before it was taken, that nobody walks any more."""
        return await self._database.reading(
            lambda connection: [
                (run, fence) for run, fence in segments if not kept.walked(connection, run, fence, self._now())
            ]
        )

    async def _taken(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[Claimed]:
        """What was claimed, opened; what cannot be gone on with is ended, or left to others."""
        if not rows:
            return ()
        claims, lost, locked = await asyncio.to_thread(self._claims, rows)
        for run, fence in locked:  # another node may have the key
            await self.rest(run, fence, self._clock() + _LOCKED)
        for run, fence, code in lost:  # nobody can go on with it, so it ends, and says why
            await self.end(run, fence, Ended(at=self._clock(), status="failed", code=code))
        return sorted(claims, key=lambda claim: kept.PRIORITIES[claim.submission.priority])

    async def renew(self, worker: str, fences: Mapping[str, int], seconds: float) -> Mapping[str, Cancelled | None]:
        if not fences:
            return {}
        held = sorted(fences.items())

        def work(sheet: Sheet) -> list[Any]:
            until = self._now() + int(seconds * 1000)
            if not self._database.lite:
                runs, numbers = [run for run, _ in held], [fence for _, fence in held]
                values = {"worker": worker, "until": until, "runs": runs, "fences": numbers}
                return sheet.all(kept.RENEW_SHARED, values)
            found = []
            for run, fence in held:
                row = sheet.one(kept.RENEW, {"worker": worker, "until": until, "run": run, "fence": fence})
                if row is not None:
                    found.append(row)
            return found

        rows = await self._grouped.write(work, how="barely")
        return {run: None if stopped is None else kept.cancelled(stopped) for run, stopped in rows}

    async def append(self, run: str, fence: int, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if len(entries) == 1 and self._grouped.quick and self._put(run, fence, entries[0]):
            self._put_at_once += 1
            if self._put_at_once % _AT_ONCE == 0:  # whoever else is on this loop gets a turn
                await asyncio.sleep(0)
            return

        def prepare() -> list[Values]:
            try:
                return [(run, fence, *self._row(run, entry)) for entry in entries]
            except _Unknown:
                raise _erased(run) from None

        def work(sheet: Sheet, said: list[Values]) -> None:
            values = {"run": run, "fence": fence, "many": len(said)}
            if not self._database.lite:
                sheet.one(kept.LOCK, values)  # what comes from outside is counted by the statement after the wait
            length = self._checked(run, sheet.one(kept.APPEND, values))
            self._insert(sheet, run, length - len(said) + 1, [_Row(*each[2:]) for each in said])  # type: ignore[arg-type]
            held = self._held.get(run)
            for entry in entries:
                if isinstance(entry, Asked) and held is not None:
                    question, submission = entry, held.submission
                    sheet.last(lambda connection, q=question, s=submission: self._asked(connection, s, q))  # type: ignore[misc]

        how: How = "freely" if any(isinstance(entry, Asked) for entry in entries) else "briefly"
        await self._grouped.write(work, prepare=prepare, order=run, how=how)

    def _put(self, run: str, fence: int, entry: Entry) -> bool:
        """Whether an entry is durable that was small enough, and about which nothing is wrong."""
        with self._lock:
            cipher = self._ciphers.get(run)
        if cipher is None or isinstance(entry, Asked):
            return False
        facts, body = parted(entry)
        if len(facts) + len(body or b"") > AT_MOST:
            return False
        return self._grouped.put((run, fence, *self._row_of(run, entry, facts, body, cipher)))

    async def rest(self, run: str, fence: int, until: float | None) -> None:
        def work(sheet: Sheet) -> bool:
            due = None if until is None else kept.milliseconds(until)
            found = sheet.one(kept.REST, {"run": run, "fence": fence, "now": self._now(), "due": due})
            if found is None:
                raise kept.fenced(run)
            ready = bool(found[0] == "ready")
            if ready:
                sheet.tell(TOPIC)
            return ready

        ready = await self._grouped.write(work, order=run)
        self._let_go(run, fence)
        if ready:
            self.news()

    async def end(self, run: str, fence: int, ended: Ended) -> None:
        def prepare() -> _Row:
            try:
                return self._row(run, ended)
            except _Unknown:  # its key is gone: what can be said in the open is said
                return self._row(run, msgspec.structs.replace(ended, output=None))

        def work(sheet: Sheet, row: _Row) -> None:
            values = {"run": run, "fence": fence, "status": ended.status, "now": self._now()}
            if not self._database.lite:
                sheet.one(kept.LOCK, values)
            found = sheet.one(kept.END, values)
            if found is None:
                raise kept.fenced(run)
            self._insert(sheet, run, int(found[0]), [row if found[1] else row._replace(sealed=None)])
            sheet.last(lambda connection: self._over(connection, run, ended))
            sheet.tell(TOPIC)

        await self._grouped.write(work, prepare=prepare, order=run)
        self._let_go(run, fence)
        self.news()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _make_ready(self) -> None:
        """Takes the keys into use. Raises KeyLost where they are not on this node."""
        if not self._open:
            self._vault.open()
            self._open = True

    def _ready(self) -> bool:
        """Whether this node has the keys without which no run can be read."""
        try:
            self._make_ready()
        except KeyLost as fault:
            if self._clock() > self._told + _TOLD_EVERY:
                self._told = self._clock()
                _log.warning("this node goes on with no runs: %s", fault.message)
            return False
        return True

    def _let_go(self, run: str, fence: int) -> None:
        held = self._held.get(run)
        if held is not None and held.fence == fence:
            del self._held[run]
            with self._lock:  # a run that waits holds nothing here
                self._ciphers.pop(run, None)

    @staticmethod
    def _checked(run: str, found: Any) -> int:
        """The length of the run after an append. Raises Fenced, and Erased where its key is gone."""
        if found is None:
            raise kept.fenced(run)
        length, live = found
        if not live:
            raise _erased(run)
        return int(length)

    @staticmethod
    def _insert(sheet: Sheet, run: str, first: int, rows: Sequence[_Row]) -> None:
        for seq, row in enumerate(rows, first):
            values = row._asdict()
            values["run"], values["seq"] = run, seq
            sheet.put(kept.INSERT, values)

    def _row(self, run: str, entry: Entry) -> _Row:
        """An entry as it is kept. Raises _Unknown where a body cannot be sealed, for the run or its key is gone."""
        facts, body = parted(entry)
        return self._row_of(run, entry, facts, body, None if body is None else self._cipher(run))

    def _row_of(self, run: str, entry: Entry, facts: bytes, body: bytes | None, cipher: AESGCM | None) -> _Row:
        sealed = None if body is None or cipher is None else enclosed(cipher, body, kept.about(run, facts))
        kind = str(type(entry).__struct_config__.tag)
        return _Row(
            kept.milliseconds(entry.at or self._clock()), kind, getattr(entry, "path", None), facts.decode(), sealed
        )

    def _cipher(self, run: str) -> AESGCM:
        with self._lock:
            known = self._ciphers.get(run)
            if known is not None:
                self._ciphers.move_to_end(run)
                return known
        row = self._database.read(lambda connection: kept.envelope_of(connection, run))
        cipher = self._cipher_of(run, row)
        if cipher is None:
            raise _Unknown(f"there is no run {run!r} that could be written to")
        return cipher

    def _cipher_of(self, run: str, envelope: Envelope | None) -> AESGCM | None:
        """The key of a run, open; None where it is gone."""
        with self._lock:
            if envelope is None:
                self._ciphers.pop(run, None)
                return None
            known = self._ciphers.get(run)
        if known is not None:
            return known
        try:
            cipher = self._vault.opening(envelope)
        except KeyLost:
            return None
        with self._lock:
            self._ciphers[run] = cipher
            if len(self._ciphers) > _REMEMBERED:
                self._ciphers.popitem(last=False)
        return cipher

    def _claims(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[list[Claimed], list[tuple[str, int, str]], list[tuple[str, int]]]:
        """The runs with all that is written of them; those with which nobody can go on; those with which we cannot."""
        claims: list[Claimed] = []
        lost: list[tuple[str, int, str]] = []
        locked: list[tuple[str, int]] = []
        for run, fence, facts, sealed, _, lapses, envelope, entries in rows:
            if lapses > _LAPSES:
                lost.append((run, fence, "worker_lost"))
                continue
            cipher = self._cipher_of(run, kept.envelope_in(envelope))
            if envelope is not None and cipher is None:
                locked.append((run, fence))
                continue
            try:
                submission = kept.opened_submission(facts, sealed, cipher, whole=True)
                found = [kept.opened_entry(run, each, cipher, whole=True) for each in entries]
            except KeyLost:
                lost.append((run, fence, Erased.code))
                continue
            claim = Claimed(submission, int(fence), tuple(found))
            self._held[run] = claim
            claims.append(claim)
        return claims, lost, locked

    async def _opened_entries(self, run: str, rows: Sequence[Any], key: Envelope | None) -> list[Entry]:
        cipher = self._cipher_of(run, key)
        return [kept.opened_entry(run, (each.facts, each.sealed), cipher) for each in rows]


def _with_entries(sheet: Sheet, row: Any) -> tuple[Any, ...]:
    """A claimed run with its key and all that it wrote down."""
    envelope = None if row[4] is None else sheet.one(kept.ENVELOPE, {"key": row[4]})
    return (*row, envelope, sheet.all(kept.ENTRIES, {"run": row[0], "after": 0}))


def _erased(run: str) -> Erased:
    return Erased(f"what the run {run} was about has been erased")


class _Unknown(DirigentError):
    """There is no such run, or no key of it."""


class _Shredded(DirigentError):
    """The key with which something was sealed is gone already."""
