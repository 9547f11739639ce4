"""A machine that does to a journal whatever workers, people and clocks may do, and holds it against a plain model.

Workers claim, write, rest, end and are lost; stale ones go on as if nothing had happened; people decide twice and at
the wrong time; time passes. What the journal says must be what the model says, at every step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dirigent.core.approvals import Verdict
from dirigent.core.identity import Principal
from dirigent.core.journal import Cancelled, Claimed, Decided, Ended, Entry, Fenced, Noted, Submission
from dirigent.store import Database
from dirigent.store.journal import StoredJournal
from dirigent.store.vault import Vault

__all__ = ["JournalMachine"]

T = TypeVar("T")
LEASE = 2.0
WORKERS = st.sampled_from(("v", "w"))


class _Modelled:
    """What the model knows of a run."""

    def __init__(self, run: str, due: float) -> None:
        self.run = run
        self.status = "ready"
        self.due: float | None = due
        self.fence = 0
        self.owner = ""
        self.news = False
        self.stopped = False
        self.entries: list[Entry] = []
        self.lapses = 0


class JournalMachine(RuleBasedStateMachine):
    """The machine; `database` and `kind` are set by whoever runs it."""

    database: ClassVar[Database]
    kind: ClassVar[type[StoredJournal]] = StoredJournal

    @initialize()
    def begin(self) -> None:
        self.now = 1_800_000_000.0
        self.loop = asyncio.new_event_loop()
        self.journal = self.kind(self.database, Vault(self.database, KEYS), clock=lambda: self.now)
        self.journal.start()
        self.mark = uuid4().hex[:12]
        self.runs: dict[str, _Modelled] = {}
        self.claims: list[tuple[str, Claimed]] = []
        self.done = 0

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            for modelled in self.runs.values():  # what is left would be claimed by the next machine
                self.say(self.journal.wake(modelled.run, Cancelled(by="teardown")))
            self.now += 10_000
            while claims := self.say(self.journal.claim("teardown", LEASE, 50)):
                for claim in claims:
                    self.say(self.journal.end(claim.submission.run, claim.fence, Ended(status="cancelled")))
            self.journal.close()
            self.loop.close()

    def say(self, what: Awaitable[T]) -> T:
        return self.loop.run_until_complete(_of(what))

    # --- what may happen ----------------------------------------------------------------------------------------------

    @rule(later=st.sampled_from((0.0, 0.0, 5.0)))
    def submit(self, later: float) -> None:
        run = f"{self.mark}-{len(self.runs)}"
        who = Principal("acme", "sales", "k")
        submission = Submission(run=run, principal=who, model="m", revision="r", starts=self.now + later)
        assert self.say(self.journal.submit(submission))
        assert not self.say(self.journal.submit(submission))
        self.runs[run] = _Modelled(run, self.now + later)

    @rule(worker=WORKERS, most=st.integers(1, 3))
    def claim(self, worker: str, most: int) -> None:
        claims = self.say(self.journal.claim(worker, LEASE, most))
        due = [each for each in self.runs.values() if each.due is not None and each.due <= self.now]
        assert len(claims) <= min(most, len(due))
        given_up = 0
        for claim in claims:
            known = self.runs[claim.submission.run]
            assert known.due is not None, "a run that waits or is over was claimed"
            assert known.due <= self.now, "a run that another worker holds was claimed"
            assert list(claim.entries) == known.entries, "a claim does not know what was written"
            assert claim.fence > known.fence
            known.lapses = known.lapses + 1 if known.status == "running" else 0
            known.status, known.owner, known.fence = "running", worker, claim.fence
            known.due, known.news = self.now + LEASE, False
            self.claims.append((worker, claim))
        for each in due:  # a run over which too many workers were lost is given up
            if each.run not in {claim.submission.run for claim in claims}:
                given_up += self._given_up(each)
        assert len(claims) + given_up == min(most, len(due))

    def _given_up(self, known: _Modelled) -> int:
        entries = self.say(self.journal.load(known.run))
        if not entries or not isinstance(entries[-1], Ended) or known.lapses < 5:
            return 0
        known.status, known.due = "failed", None
        known.entries = list(entries)
        return 1

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 1_000), many=st.integers(1, 2))
    def append(self, which: int, many: int) -> None:
        worker, claim = self.claims[which % len(self.claims)]
        entries: list[Entry] = []
        for _ in range(many):
            self.done += 1
            entries.append(Noted(at=self.now, path=f"n{self.done}", value=self.done))
        known = self.runs[claim.submission.run]
        if self._holds(worker, claim):
            self.say(self.journal.append(known.run, claim.fence, entries))
            known.entries += entries
            known.lapses = 0
        else:
            self._fenced(self.journal.append(known.run, claim.fence, entries))

    @precondition(lambda self: self._lost())
    @rule(which=st.integers(0, 1_000))
    def append_after_the_loss(self, which: int) -> None:
        lost = self._lost()
        claim = lost[which % len(lost)]
        self.done += 1
        late = Noted(at=self.now, path=f"n{self.done}", value=self.done)
        self._fenced(self.journal.append(claim.submission.run, claim.fence, [late]))

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 1_000), seconds=st.sampled_from((None, -1.0, 3.0)))
    def rest(self, which: int, seconds: float | None) -> None:
        worker, claim = self.claims[which % len(self.claims)]
        known = self.runs[claim.submission.run]
        until = None if seconds is None else self.now + seconds
        if not self._holds(worker, claim):
            self._fenced(self.journal.rest(known.run, claim.fence, until))
            return
        self.say(self.journal.rest(known.run, claim.fence, until))
        known.status = "ready" if known.news or (seconds is not None and seconds <= 0) else "waiting"
        known.due = self.now if known.news else until
        known.news = False

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 1_000), status=st.sampled_from(("done", "failed")))
    def end(self, which: int, status: Any) -> None:
        worker, claim = self.claims[which % len(self.claims)]
        known = self.runs[claim.submission.run]
        ended = Ended(at=self.now, status=status, output={"a": 1})
        if not self._holds(worker, claim):
            self._fenced(self.journal.end(known.run, claim.fence, ended))
            return
        self.say(self.journal.end(known.run, claim.fence, ended))
        known.status, known.due = status, None
        known.entries.append(ended)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1_000), path=st.sampled_from("ab"), times=st.integers(1, 3))
    def decide(self, which: int, path: str, times: int) -> None:
        known = self._run(which)
        self.done += 1
        decisions = [
            Decided(at=self.now, path=path, approval=path, verdict=Verdict("edited", answer=self.done * 10 + number))
            for number in range(times)
        ]
        said = self.say(_all([self.journal.wake(known.run, each) for each in decisions]))
        answered = any(isinstance(each, Decided) and each.path == path for each in known.entries)
        counts = known.status in ("ready", "running", "waiting") and not answered
        assert sum(said) == int(counts), "not exactly the first decision counts"
        if counts:
            self._heard(known, decisions[said.index(True)])

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1_000))
    def cancel(self, which: int) -> None:
        known = self._run(which)
        order = Cancelled(at=self.now, by="m")
        open_ = known.status in ("ready", "running", "waiting")
        assert self.say(self.journal.wake(known.run, order)) == open_
        if open_:
            known.stopped = True
            self._heard(known, order)

    @precondition(lambda self: self.claims)
    @rule(worker=WORKERS)
    def renew(self, worker: str) -> None:
        fences = {claim.submission.run: claim.fence for by, claim in self.claims if by == worker}
        held = self.say(self.journal.renew(worker, fences, LEASE))
        mine = {run for run, fence in fences.items() if self._is_held(run, worker, fence)}
        assert set(held) == mine
        for run in mine:
            self.runs[run].due = self.now + LEASE
            assert (held[run] is not None) == self.runs[run].stopped

    @rule(seconds=st.sampled_from((0.5, 1.9, 2.1, 6.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def each_run_is_what_was_written_of_it(self) -> None:
        for known in list(getattr(self, "runs", {}).values())[-3:]:
            assert list(self.say(self.journal.load(known.run))) == known.entries

    def _run(self, which: int) -> _Modelled:
        return list(self.runs.values())[which % len(self.runs)]

    def _heard(self, known: _Modelled, entry: Entry) -> None:
        known.entries.append(entry)
        known.news = True
        if known.status != "running":
            known.status, known.due = "ready", self.now

    def _lost(self) -> list[Claimed]:
        """Claims to runs that go on elsewhere."""
        return [
            claim
            for worker, claim in self.claims
            if self.runs[claim.submission.run].status == "running" and not self._holds(worker, claim)
        ]

    def _holds(self, worker: str, claim: Claimed) -> bool:
        return self._is_held(claim.submission.run, worker, claim.fence)

    def _is_held(self, run: str, worker: str, fence: int) -> bool:
        known = self.runs[run]
        return (known.status, known.owner, known.fence) == ("running", worker, fence)

    def _fenced(self, what: Awaitable[None]) -> None:
        try:
            self.say(what)
        except Fenced:
            return
        raise AssertionError("a worker that no longer has the run has written")


KEYS = Path(mkdtemp(prefix="dirigent-machine-"))


async def _of(what: Awaitable[T]) -> T:
    return await what


async def _all(many: list[Any]) -> list[bool]:
    return list(await asyncio.gather(*many))
