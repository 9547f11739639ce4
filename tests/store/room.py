"""A database with all that runs need: journal, questions, bulk runs, schedules, and the operations on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dirigent.control import OPERATIONS
from dirigent.control.desk import Doors
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.approvals import Question
from dirigent.core.identity import Role
from dirigent.core.journal import Asked, Claimed, Ended, Entry, Spent, StepEnded
from dirigent.core.purposes import Purpose, Retention
from dirigent.core.usage import Money
from dirigent.server.attending import Attending
from dirigent.store import Database
from dirigent.store.approvals import Approvals
from dirigent.store.beginning import DEFAULT, bootstrap
from dirigent.store.bulks import Bulks
from dirigent.store.database import Connection
from dirigent.store.journal import StoredJournal
from dirigent.store.keys import digest
from dirigent.store.people import Member, keep_member
from dirigent.store.pulse import bump
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.revisions import take_file
from dirigent.store.runs import Runs
from dirigent.store.schedules import Schedules
from dirigent.store.vault import Vault

__all__ = ["START", "Room", "done"]

START = 1_800_000_000.0
MODELS = {"models": {"quote": {"type": "echo"}, "writer": {"type": "echo"}}}


class Room:
    """A node without anything that answers: a test walks its runs by hand."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.now = START
        clock = lambda: self.now  # noqa: E731  it has to see how the time moves on
        self.vault = Vault(database, folder / "keys", clock=clock)
        self.vault.open()
        self.runs = Runs(self.vault, clock)
        self.approvals = Approvals(self.vault, self.runs.wake)
        self.journal = StoredJournal(
            database,
            self.vault,
            asked=lambda found, said, asked: self.approvals.keep(found, said, asked, int(self.now * 1000)),
            over=self._over,
            clock=clock,
        )
        self.journal.start()
        doors = Doors(
            models=lambda: ("quote", "writer"),
            approvals=self.approvals,
            runs=self.runs,
            bulks=Bulks(self.vault, self.runs, clock),
            schedules=Schedules(self.vault),
            webhook_secret=lambda tenant: self.vault.subject(tenant, "*webhook").hex(),
        )
        self.attending = Attending(database, doors, None, lambda: "http://here", clock=clock)
        self.plane = ControlPlane(database, OPERATIONS, doors, append=lambda *_: None, clock=clock)
        database.write(lambda found: bootstrap(found, digest("dk-first"), int(START * 1000)))
        database.write(partial(take_file, tenant=DEFAULT, node="n", document=MODELS, now=int(START * 1000)))
        database.write(_people)

    def _over(self, connection: Connection, run: str, _: Ended) -> None:
        self.approvals.withdraw(connection, run, int(self.now * 1000))

    def close(self) -> None:
        self.journal.close()
        self.plane.close()

    def publish(self, document: Mapping[str, Any]) -> None:
        self.database.write(partial(take_file, tenant=DEFAULT, node="n", document=document, now=int(self.now * 1000)))

    def does(self, operation: str, /, by: str | None = None, role: Role = "owner", **order: Any) -> Any:
        actor = Actor("operator", "operator", "owner", DEFAULT)
        if by is not None:
            actor = Actor("member", by, role, DEFAULT)
        return self.plane.perform(operation, actor, msgspec.convert(order, OPERATIONS[operation].order))

    async def claim(self) -> Sequence[Claimed]:
        return await self.journal.claim("worker", 60.0, 500)

    async def walk(self, claimed: Claimed, *entries: Entry, ended: Ended | None = None) -> None:
        """What a worker writes down, and how it lets the run go."""
        run, fence = claimed.submission.run, claimed.fence
        await self.journal.append(run, fence, entries)
        if ended is None:
            await self.journal.rest(run, fence, None)
        else:
            await self.journal.end(run, fence, ended)

    async def end_all(self, *, fails: int = 0) -> int:
        """Has every run that is ready answer what it was asked; the first `fails` of them fail."""
        claims = await self.claim()
        for number, claimed in enumerate(claims):
            if number < fails:
                failed = Ended(at=self.now, status="failed", code="timeout", output={"error": "too slow"})
                await self.walk(claimed, ended=failed)
                continue
            said = claimed.submission.body.decode()
            output = {"choices": [{"parts": [{"kind": "text", "text": f"answer to {said}"}]}]}
            ended = Ended(at=self.now, status="done", output=output)
            await self.walk(claimed, done("answer", self.now, output), ended=ended)
        return len(claims)

    def asked(self, path: str, run: str, **question: Any) -> Asked:
        return Asked(
            at=self.now, path=path, approval=f"{run}-{path}", question=Question(title="May it go out?", **question)
        )


def done(path: str, at: float, output: object = None, **spent: Any) -> StepEnded:
    """A step that was done by `writer` within half a second."""
    known = {"seconds": 0.5, "deployment": "writer", "input_tokens": 10, "output_tokens": 5, "cost": Money(1_500_000)}
    return StepEnded(at=at, path=path, step="ask", output=output, spent=Spent(**known | spent))  # type: ignore[arg-type]


def _people(connection: Any) -> None:
    changed = bump(connection, "rights")
    for name, role in (("anna", "reviewer"), ("bob", "reviewer"), ("dora", "owner")):
        keep_member(connection, Member(DEFAULT, name, name.title(), role, f"{name}@example.org"), changed)  # type: ignore[arg-type]
    keep_purpose(
        connection, Registered(DEFAULT, Purpose("general", retention=Retention(bodies=30)), revision=2), changed
    )
