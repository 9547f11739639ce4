"""Operations on schedules: which model is asked what, when, and on whose account."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Annotated, Any

import msgspec

from dirigent.control.cron import following, slots
from dirigent.control.desk import Desk, Unknown
from dirigent.control.fields import Name, Zone, zoned
from dirigent.control.operation import operation
from dirigent.control.runs import Submitted
from dirigent.control.submitting import Word, account, asked, new_run, submission
from dirigent.core.errors import Invalid
from dirigent.core.identity import Priority
from dirigent.store.people import tenant_named
from dirigent.store.schedules import Missed, Schedule, Schedules, run_of
from dirigent.store.sealing import Shredded

__all__ = ["turn"]

_MOST_MISSED = 100
"""Slots that are made up for at most."""
_LATE = 60_000
"""Milliseconds by which a slot may be late and still be on time."""
_SHOWN = 5


class SetSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked when, and on whose account."""

    name: Name
    model: Word
    cron: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """A line of cron: minute, hour, day of the month, month, day of the week."""
    zone: Zone | None = None
    """The time zone of that line; the tenant's where none is named."""
    input: Any = None
    """What is asked: a text, or data by the model's own schema."""
    messages: Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=1_000)] = ()
    missed: Missed = "once"
    """What becomes of times at which no node was there: nothing, one run for all of them, or one for each."""
    key: Word | None = None
    """The id of the virtual key on whose account it runs; the only one there is where none is named."""
    member: Word | None = None
    """On whose behalf it runs; on that of whoever sets it where nobody is named."""
    purpose: Word | None = None
    priority: Priority = "normal"
    paused: bool = False


class ScheduleNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which schedule."""

    name: Name


class SchedulesAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""


class ScheduleRow(msgspec.Struct, frozen=True):
    """One schedule."""

    name: str
    model: str
    cron: str
    zone: str
    missed: str
    key: str
    member: str | None
    purpose: str | None
    priority: str
    paused: bool
    next: tuple[int, ...]
    """The times that come, in milliseconds since 1970."""
    last: int | None
    last_run: str | None
    fault: str | None
    """Why the last one could not begin."""
    author: str


class SchedulesListed(msgspec.Struct, frozen=True):
    """The schedules by their names."""

    schedules: tuple[ScheduleRow, ...]


class Removed(msgspec.Struct, frozen=True):
    """The schedule is gone; runs that it has begun go on."""

    name: str


@operation("schedules.set", permission="schedules.change", changes=True)
def set_schedule(desk: Desk, order: SetSchedule) -> ScheduleRow:
    """Sets when a model is asked something by itself: one run for each time, whatever number of nodes there is."""
    door = _door(desk)
    tenant = tenant_named(desk.connection, desk.tenant)
    zone = zoned(order.zone or (tenant.zone if tenant is not None else "UTC"))
    whose = account(desk, order.key, order.member, order.purpose)
    said = asked(order.model, order.input, order.messages)
    submission(desk, new_run(), whose, said)  # what could not be begun now is refused
    before = door.named(desk.connection, desk.tenant, order.name)
    first = following(order.cron, zone, desk.now)
    if first is None:
        raise Invalid(f"cron: {order.cron!r} never comes", param="cron")
    schedule = Schedule(
        tenant=desk.tenant,
        name=order.name,
        model=order.model,
        cron=order.cron,
        zone=zone,
        missed=order.missed,
        virtual_key=whose.principal.key,
        member=whose.principal.member,
        purpose=order.purpose,
        priority=order.priority,
        paused=order.paused,
        author=desk.actor.id,
        created=desk.now if before is None else before.created,
        updated=desk.now,
        next=None if order.paused else first,
        last=None if before is None else before.last,
        last_run=None if before is None else before.last_run,
    )
    door.keep(desk.connection, schedule, {"input": order.input, "messages": list(order.messages)})
    desk.note(f"schedule:{order.name}", "was set", model=order.model, cron=order.cron, zone=zone)
    return _row(desk, schedule)


@operation("schedules.list", permission="runs.see", changes=False)
def list_schedules(desk: Desk, order: SchedulesAsked) -> SchedulesListed:  # noqa: ARG001  it says nothing
    """Lists the schedules and the times that come next."""
    found = _door(desk).all(desk.connection, desk.tenant)
    return SchedulesListed(tuple(_row(desk, schedule) for schedule in found))


@operation("schedules.remove", permission="schedules.change", changes=True)
def remove_schedule(desk: Desk, order: ScheduleNamed) -> Removed:
    """Removes a schedule; runs that it has begun go on."""
    if not _door(desk).remove(desk.connection, desk.tenant, order.name):
        raise Unknown(f"there is no schedule {order.name!r}", param="name")
    desk.note(f"schedule:{order.name}", "was removed")
    return Removed(order.name)


@operation("schedules.run", permission="schedules.change", changes=True)
def run_schedule(desk: Desk, order: ScheduleNamed) -> Submitted:
    """Begins a run of a schedule now, beside its times."""
    door = _door(desk)
    schedule = door.named(desk.connection, desk.tenant, order.name)
    if schedule is None:
        raise Unknown(f"there is no schedule {order.name!r}", param="name")
    run = new_run()
    _begin(desk, door, schedule, run)
    desk.note(f"schedule:{order.name}", "was run now", run=run)
    return Submitted(run, new=True)


def turn(desk: Desk, schedule: Schedule) -> str | None:
    """Begins what a schedule has due, once whoever looks, and moves it on; the run that was begun last.

    What cannot begin is told with the schedule, and its next time comes all the same.
    """
    door = _door(desk)
    run, fault = None, None
    try:
        for slot in _slots(schedule, desk.now):
            run = run_of(schedule.tenant, schedule.name, slot)
            _begin(desk, door, schedule, run)
    except (Invalid, Shredded) as error:
        run, fault = None, error.message
    after = following(schedule.cron, schedule.zone, desk.now)
    door.advance(desk.connection, schedule, after, run=run, fault=fault)
    return run


def _slots(schedule: Schedule, now: int) -> Iterator[int]:
    """The slots for which a run begins now."""
    first = schedule.next
    if first is None:
        return
    due = [first, *islice(takewhile(lambda slot: slot <= now, slots(schedule.cron, schedule.zone, first)), 10_000)]
    if schedule.missed == "all":
        yield from due[-_MOST_MISSED:]
    elif schedule.missed == "once" or now - due[-1] <= _LATE:
        yield due[-1]


def _begin(desk: Desk, door: Schedules, schedule: Schedule, run: str) -> None:
    if desk.doors.runs is None:
        raise Unknown("this node keeps no runs")
    said = door.asks(desk.connection, schedule)
    whose = account(desk, schedule.virtual_key, schedule.member, schedule.purpose)
    made = submission(
        desk,
        run,
        whose,
        asked(schedule.model, said["input"], said["messages"]),
        priority=schedule.priority,
    )
    desk.doors.runs.submit(desk.connection, made)


def _door(desk: Desk) -> Schedules:
    if desk.doors.schedules is None:
        raise Unknown("this node keeps no schedules")
    return desk.doors.schedules


def _row(desk: Desk, schedule: Schedule) -> ScheduleRow:
    coming = () if schedule.paused else tuple(islice(slots(schedule.cron, schedule.zone, desk.now), _SHOWN))
    return ScheduleRow(
        schedule.name,
        schedule.model,
        schedule.cron,
        schedule.zone,
        schedule.missed,
        schedule.virtual_key,
        schedule.member,
        schedule.purpose,
        schedule.priority,
        schedule.paused,
        coming,
        schedule.last,
        schedule.last_run,
        schedule.fault,
        schedule.author,
    )
