"""A journal in memory: what tests need, and a node whose runs may die with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time

import msgspec

from dirigent.core.identity import Priority
from dirigent.core.journal import (
    Cancelled,
    Claimed,
    Decided,
    Ended,
    Entry,
    Fenced,
    RunStatus,
    Submission,
    joined,
    parted,
)

__all__ = ["MemoryJournal"]

_ORDER: Mapping[Priority, int] = {"critical": 0, "normal": 1, "bulk": 2}


class _Kept(msgspec.Struct):
    """A run and all that is known of it."""

    submission: Submission
    due: float | None
    status: RunStatus = "ready"
    fence: int = 0
    owner: str | None = None
    news: bool = False
    stopped: Cancelled | None = None
    entries: list[Entry] = []


class MemoryJournal:
    """The port `Journal`, by the same rules as the one in the database; nothing of it outlives the process."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._runs: dict[str, _Kept] = {}
        self.news: Callable[[], None] = lambda: None

    async def submit(self, submission: Submission) -> bool:
        if submission.run in self._runs:
            return False
        due = max(self._clock(), submission.starts or 0.0)
        self._runs[submission.run] = _Kept(submission, due)
        self.news()
        return True

    async def claim(self, worker: str, seconds: float, most: int) -> Sequence[Claimed]:
        now = self._clock()
        ready = [(kept.due, kept) for kept in self._runs.values() if kept.due is not None and kept.due <= now]
        ready.sort(key=lambda pair: (_ORDER[pair[1].submission.priority], pair[0]))
        claims = []
        for _, kept in ready[: max(0, most)]:
            kept.status, kept.owner, kept.fence = "running", worker, kept.fence + 1
            kept.due, kept.news = now + seconds, False
            claims.append(Claimed(kept.submission, kept.fence, tuple(kept.entries)))
        return claims

    async def soonest(self) -> float | None:
        dues = [kept.due for kept in self._runs.values() if kept.due is not None]
        return max(0.0, min(dues) - self._clock()) if dues else None

    async def renew(self, worker: str, fences: Mapping[str, int], seconds: float) -> Mapping[str, Cancelled | None]:
        held: dict[str, Cancelled | None] = {}
        for run, fence in fences.items():
            kept = self._runs.get(run)
            if kept is not None and (kept.owner, kept.fence, kept.status) == (worker, fence, "running"):
                kept.due = self._clock() + seconds
                held[run] = kept.stopped
        return held

    async def append(self, run: str, fence: int, entries: Sequence[Entry]) -> None:
        self._held(run, fence).entries += [_as_kept(entry) for entry in entries]

    async def rest(self, run: str, fence: int, until: float | None) -> None:
        kept = self._held(run, fence)
        now = self._clock()
        ready = kept.news or (until is not None and until <= now)
        kept.status, kept.owner = "ready" if ready else "waiting", None
        kept.due, kept.news = now if kept.news else until, False
        if ready:
            self.news()

    async def end(self, run: str, fence: int, ended: Ended) -> None:
        kept = self._held(run, fence)
        kept.entries.append(_as_kept(ended))
        kept.status, kept.owner, kept.due = ended.status, None, None
        self.news()

    async def wake(self, run: str, entry: Entry) -> bool:
        kept = self._runs.get(run)
        if kept is None or kept.status not in ("ready", "running", "waiting"):
            return False
        if isinstance(entry, Decided) and any(
            isinstance(each, Decided) and each.path == entry.path for each in kept.entries
        ):
            return False
        kept.entries.append(_as_kept(entry))
        kept.news = True
        if isinstance(entry, Cancelled):
            kept.stopped = kept.stopped or entry
        if kept.status != "running":
            kept.status, kept.due = "ready", self._clock()
        self.news()
        return True

    async def load(self, run: str, after: int = 0) -> Sequence[Entry]:
        kept = self._runs.get(run)
        return [] if kept is None else kept.entries[after:]

    async def submission(self, run: str) -> Submission | None:
        """What was submitted under this id."""
        kept = self._runs.get(run)
        return None if kept is None else kept.submission

    def _held(self, run: str, fence: int) -> _Kept:
        kept = self._runs.get(run)
        if kept is None or kept.fence != fence or kept.status != "running":
            raise Fenced(f"another worker goes on with the run {run}, or it is over")
        return kept


def _as_kept(entry: Entry) -> Entry:
    """The entry as it would be read from a table: what is no plain data must fail here too."""
    return joined(*parted(entry))
