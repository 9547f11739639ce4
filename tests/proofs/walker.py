"""A worker that can be killed: it walks runs of five steps over a journal, and notes each effect before it happens."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time
from typing import Any

from dirigent.core.journal import Claimed, Effect, Ended, Spent, State
from dirigent.core.logbook import Append, Facts, Logbook
from dirigent.engines import EmbeddedEngine
from dirigent.store import Database
from dirigent.store.journal import StoredJournal
from dirigent.store.pulse import Pulse
from dirigent.store.vault import Vault

__all__ = ["STEPS", "result_of", "serve"]

STEPS: tuple[tuple[str, Effect], ...] = (
    ("read", "pure"), ("draft", "idempotent"), ("send", "once"), ("file", "idempotent"), ("sum", "pure")
)  # fmt: skip
_LONGEST = 0.02
"""Seconds that a step takes at most."""


def result_of(run: str) -> list[str]:
    """What a run comes to, whoever walks it and however often they are killed."""
    return [f"{run}:{step}" for step, _ in STEPS]


class Walking:
    """The story of each run, told over its logbook; every effect leaves a line in a file that all workers share."""

    def __init__(self, notes: Path) -> None:
        self._notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, what: str, run: str, **more: object) -> None:
        line = {"at": time(), "pid": os.getpid(), "what": what, "run": run, **more}
        os.write(self._notes, json.dumps(line).encode() + b"\n")

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        run = claimed.submission.run
        self.note("walk", run, fence=claimed.fence)
        book = Logbook(run, state, append)
        found = [await book.step(step, "scripted", self._work(run, step), Spent, effect=how) for step, how in STEPS]
        return Ended(status="done", output=found)

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        self.note("over", claimed.submission.run)

    def rested(self, run: str) -> None:
        self.note("rested", run)

    def _work(self, run: str, step: str) -> Callable[[], Awaitable[tuple[object, Facts]]]:
        async def work() -> tuple[object, Facts]:
            self.note("effect", run, step=step)
            await asyncio.sleep(random.uniform(0, _LONGEST))
            return f"{run}:{step}", {}

        return work


def serve(address: str, keys: str, notes: str, ready: Any) -> None:
    """Walks runs until it is killed."""
    asyncio.run(_serve(address, Path(keys), Path(notes), ready))


async def _serve(address: str, keys: Path, notes: Path, ready: Any) -> None:
    database = Database.at(address)
    journal = StoredJournal(database, Vault(database, keys))
    journal.start()
    engine = EmbeddedEngine(journal, f"w-{os.getpid()}", places=8)
    journal.news = engine.told
    await engine.start(Walking(notes))
    Pulse(database).start(lambda _: engine.told())  # as a node hears of runs: else it is killed before it has any
    ready.set()
    await asyncio.Event().wait()
