"""Looks after what is due: questions to people whose time has come, letters, rows of bulk runs, and schedules.

Every worker of every node does; each thing is done once, by whoever comes first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from dirigent.admin.deciding import DECIDE_PATH
from dirigent.control.desk import Desk, Doors
from dirigent.control.permissions import PERMISSIONS, Actor
from dirigent.control.schedules import turn
from dirigent.core.alerts import signature
from dirigent.core.errors import DirigentError
from dirigent.store.approval_letters import Letter, any_letter, claim, put_off, told
from dirigent.store.database import Connection, Database, DatabaseGone
from dirigent.store.deliveries import Delivery, any_delivery, arrived, failed
from dirigent.store.deliveries import claim as deliveries_due
from dirigent.store.due import anything_due
from dirigent.store.schedules import Schedule
from dirigent.store.vault import KeyLost

__all__ = ["Attending", "Post"]

_log = logging.getLogger("dirigent.server")
_EVERY = 1.0
"""Seconds between two looks."""
_FED = 10
"""How often meanwhile rows are begun where a bulk run wants to be fed."""


class Post(Protocol):
    """Who sends letters."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Returns once the letter was taken. Raises DirigentError."""
        ...


class Hooks(Protocol):
    """Who calls webhooks."""

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Returns once the message was taken. Raises DirigentError."""
        ...


class Attending:
    """Escalates and ends questions, tells people that they are asked, begins rows of bulk runs, and runs of schedules.

    A letter whose writer was lost is written again.
    """

    def __init__(
        self,
        database: Database,
        doors: Doors,
        post: Post | None,
        address: Callable[[], str],
        *,
        hooks: Hooks | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`address` is where people reach this installation; without a post nobody is told by letter."""
        self._database = database
        self._doors = doors
        self._post = post
        self._hooks = hooks
        self._feeding = False
        self._address = address
        self._clock = clock

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self._do(self._look)
            for _ in range(_FED if self._feeding else 1):
                await asyncio.sleep(_EVERY / _FED if self._feeding else _EVERY)
                if self._feeding:
                    with suppress(DirigentError):
                        await self.rows()

    async def _look(self) -> None:
        for part in await self._database.reading(self._due):
            await self._do(part)

    async def _do(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except (DatabaseGone, KeyLost):
            pass  # the one says so itself; on a node without the keys, others do it that have them
        except Exception:  # noqa: BLE001  a fault of ours here must not end what serves
            _log.exception("what is due could not be looked after; trying on")

    def _due(self, connection: Connection) -> Sequence[Callable[[], Awaitable[None]]]:
        """What there is to do now."""
        doors, now = self._doors, self._now()
        if not anything_due(connection, now):
            return (self.rows,) if self._feeding else ()
        asked = (
            (self.questions, doors.approvals is not None and doors.approvals.overdue(connection, now)),
            (self.rows, doors.bulks is not None and (self._feeding or doors.bulks.any_running(connection))),
            (self.slots, doors.schedules is not None and bool(doors.schedules.due(connection, now))),
            (self.letters, self._post is not None and any_letter(connection, now)),
            (self.webhooks, self._hooks is not None and any_delivery(connection, now)),
        )
        return [part for part, due in asked if due]

    async def questions(self) -> None:
        """Escalates and ends the questions whose time has come."""
        approvals, now = self._doors.approvals, self._now()
        if approvals is not None and await self._database.reading(partial(approvals.overdue, now=now)):
            await self._database.writing(partial(approvals.tend, now=now))

    async def rows(self) -> None:
        """Begins the rows of bulk runs for which there is room."""
        bulks = self._doors.bulks
        self._feeding = bulks is not None and await self._database.reading(bulks.any_running)
        if bulks is not None and self._feeding:
            await self._database.writing(bulks.feed)

    async def slots(self) -> None:
        """Begins the runs of schedules whose time has come."""
        schedules, now = self._doors.schedules, self._now()
        if schedules is None:
            return
        for schedule in await self._database.reading(partial(schedules.due, now=now)):
            try:
                await self._database.writing(partial(self._turn, schedule=schedule))
            except (DatabaseGone, KeyLost):
                raise
            except DirigentError as error:
                _log.warning("the schedule %s could not begin: %s", schedule.name, error.message)

    def _turn(self, connection: Connection, schedule: Schedule) -> str | None:
        actor = Actor("system", "schedule", "owner", schedule.tenant)
        return turn(Desk(connection, actor, schedule.tenant, self._now(), doors=self._doors), schedule)

    async def letters(self) -> None:
        """Tells people that they are asked."""
        now = self._now()
        if self._post is not None and await self._database.reading(partial(any_letter, now=now)):
            letters = await self._database.writing(partial(claim, now=now, deciding=PERMISSIONS["approvals.decide"]))
            await self._send(letters, self._post, now)

    async def webhooks(self) -> None:
        """Tells webhooks what has become of runs, each by a signed request."""
        now = self._now()
        if self._hooks is None or not await self._database.reading(partial(any_delivery, now=now)):
            return
        found = await self._database.writing(partial(deliveries_due, now=now))
        async with asyncio.TaskGroup() as tasks:
            for delivery in found:
                tasks.create_task(self._call(delivery, self._hooks))

    async def _call(self, delivery: Delivery, hooks: Hooks) -> None:
        body, moment = delivery.body.encode(), int(self._clock())
        headers = (
            ("content-type", "application/json"),
            ("x-dirigent-delivery", delivery.id),
            ("x-dirigent-timestamp", str(moment)),
            ("x-dirigent-signature", f"v1={signature(self._secret(delivery.tenant), moment, body)}"),
        )
        try:
            await hooks.post(delivery.target, headers, body)
        except DirigentError as error:
            _log.warning("the webhook of the run %s could not be told: %s", delivery.run, error.message)
            now, fault = self._now(), error.message
            await self._database.writing(partial(failed, delivery=delivery, fault=fault, now=now))
        else:
            await self._database.writing(partial(arrived, delivery=delivery))

    def _secret(self, tenant: str) -> str:
        return "" if self._doors.webhook_secret is None else self._doors.webhook_secret(tenant)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def _send(self, letters: Sequence[Letter], post: Post, now: int) -> None:
        for approval in dict.fromkeys(letter.approval for letter in letters):
            arrived = True
            for letter in (each for each in letters if each.approval == approval):
                try:
                    await post.send(letter.address, _subject(letter), self._words(letter))
                except DirigentError as error:
                    arrived = False
                    _log.warning("a letter about the question %s could not be sent: %s", approval, error.message)
            done = told if arrived else put_off
            await self._database.writing(partial(done, approval=approval, now=now))

    def _words(self, letter: Letter) -> str:
        until = "" if letter.due is None else f" by {datetime.fromtimestamp(letter.due / 1000, UTC):%Y-%m-%d %H:%M UTC}"
        late = "Nobody has decided in time, so you are asked as well.\n\n" if letter.escalated else ""
        return (
            f"Hello {letter.name},\n\n{late}a run of `{letter.model}` waits for your decision{until}.\n\n"
            f"Look at it and decide here; the link is yours alone, and decides once:\n"
            f"{self._address()}{DECIDE_PATH}?token={letter.token}\n\n"
            "What it is about stands on that page and not in this letter.\n"
        )


def _subject(letter: Letter) -> str:
    return f"[dirigent] {'Overdue: a' if letter.escalated else 'A'} decision waits for you ({letter.model})"
