"""A journal on paper: durable runs that a test cuts off wherever it likes, and takes up again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from dirigent.core.approvals import Verdict
from dirigent.core.events import Answer, collect
from dirigent.core.journal import Decided, Entry, StepEnded, Suspended, fold, joined, parted
from dirigent.core.logbook import Logbook
from dirigent.core.messages import Request, Response
from dirigent.core.run import Run
from tests.world import World, request

__all__ = ["Crash", "Paper"]


class Crash(BaseException):
    """The process is gone."""


class Paper:
    """What one run has written down."""

    def __init__(self, run: str = "run-on-paper") -> None:
        self.run = run
        self.entries: list[Entry] = []
        self.until: int | None = None
        """After how many entries the process is gone; never where nothing is said."""

    async def append(self, entries: Sequence[Entry]) -> None:
        await asyncio.sleep(0)
        if self.until is not None and len(self.entries) + len(entries) > self.until:
            raise Crash
        self.entries += [joined(*parted(entry)) for entry in entries]

    def open(self) -> Logbook:
        return Logbook(self.run, fold(self.entries), self.append)

    def taken_up(self, world: World) -> Run:
        """The run as any worker would go on with it."""
        run = world.run()
        run.id = self.run
        run.model = "p"
        run.logbook = self.open()
        return run

    def answer(self, world: World, asked: Request | str = "hello") -> Answer:
        run = self.taken_up(world)
        return world.catalog.facing("p").answer(request(asked, "p") if isinstance(asked, str) else asked, run)

    async def walked(self, world: World, asked: Request | str = "hello") -> Response:
        """The answer of the pipeline `p`, taken up again when a time has come, or when somebody has approved."""
        while True:
            with suppress(Suspended):
                return await collect(self.answer(world, asked))
            for question in fold(self.entries).waiting:
                proposal = question.question.proposal if question.question is not None else None
                verdict = Verdict("approved", proposal, ("anna",))
                self.entries.append(Decided(path=question.path, approval=question.approval, verdict=verdict))
            await asyncio.sleep(0.005)

    @property
    def ended(self) -> list[str]:
        """The paths of the steps that ended, in that order."""
        return [entry.path for entry in self.entries if isinstance(entry, StepEnded)]
