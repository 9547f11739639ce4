"""Operations on what was answered: single runs, what was used, how long it took."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.operation import operation
from dirigent.core.errors import Invalid
from dirigent.core.journal import RunStatus
from dirigent.core.usage import Money
from dirigent.store import records, usage
from dirigent.store.records import Filter, Kept
from dirigent.store.runs import KeptRun
from dirigent.store.usage import DAY

Moment = Annotated[int, msgspec.Meta(ge=0, le=2**43, description="Milliseconds since 1970.")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Place = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
UsagePart = Literal["project", "purpose", "model", "deployment", "code", "day", "hour", "key", "member", "transaction"]
LatencyPart = Literal["project", "purpose", "model", "deployment", "code", "day", "hour"]
_PERSONAL = frozenset({"key", "member", "transaction"})
_MONTH = 30 * DAY
_LONGEST = 3_700 * DAY
_MOST_ROWS = 10_000


class RunsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs."""

    since: Moment | None = None
    """Ended at this time or later."""
    until: Moment | None = None
    """Ended before this time."""
    project: Word | None = None
    purpose: Word | None = None
    key: Word | None = None
    """The id of the key, never the key itself."""
    member: Word | None = None
    model: Word | None = None
    """The name that was asked for."""
    deployment: Word | None = None
    """Who answered."""
    code: Word | None = None
    """The error's code, such as `budget_exceeded`."""
    status: RunStatus | None = None
    """Only runs that outlive a process, and that stand so: then only `model`, `key`, `before` and `limit` count."""
    failed: bool | None = None
    """Only those that ended with an error, or only those that did not."""
    transaction: Word | None = None
    """The business case, as callers name it in `x-dirigent-transaction`."""
    before: Place | None = None
    """What the list before gave: then it goes on from there."""
    limit: Limit = 50


class RunRow(msgspec.Struct, frozen=True):
    """One run, without a word of what was asked or answered."""

    run: str
    at: int
    """When it ended, in milliseconds since 1970."""
    model: str | None
    deployment: str | None
    project: str | None
    purpose: str | None
    key: str | None
    member: str | None
    status: int
    code: str | None
    streamed: bool
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    reasoning_tokens: int
    estimated: bool
    """Whether the tokens were counted here, because the provider said nothing."""
    cost: str | None
    """An exact decimal; None where a price is not known."""
    currency: str | None
    milliseconds: int
    first_token: int | None
    """Milliseconds until the first piece of a stream."""
    path: str
    request: str
    """The id that the caller gave to the request, or else the run's."""
    revision: str | None
    route: str | None
    """Why it was answered by whom it was."""
    transaction: str | None
    state: RunStatus | None = None
    """How a run stands that outlives a process; `status` is 0 until it is over."""


class RunsListed(msgspec.Struct, frozen=True):
    """Runs, the latest first."""

    runs: tuple[RunRow, ...]
    before: int | None
    """To be given back for the runs before these; None where there are none."""


class RunAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run."""

    run: Word
    """Its id, as it stands in the header `x-dirigent-run` of the answer."""


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    since: Moment | None = None
    """From when on; thirty days ago where nothing is said."""
    until: Moment | None = None
    """Until when; now where nothing is said."""
    project: Word | None = None
    purpose: Word | None = None
    model: Word | None = None
    deployment: Word | None = None
    code: Word | None = None


class UsageAsked(_Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of the usage, and one row for what. Asked by key or member, the answer is about whole days."""

    by: Annotated[tuple[UsagePart, ...], msgspec.Meta(max_length=4)] = ()
    """One row for each of these; the sum of everything where nothing is said. Days are those of UTC."""
    key: Word | None = None
    member: Word | None = None
    transaction: Word | None = None


class UsageRow(msgspec.Struct, frozen=True):
    """What was used by all that have these parts in common."""

    parts: dict[str, str | int | None]
    """What was asked for in `by`, with its value."""
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: str
    """An exact decimal."""
    currency: str | None
    """None where nothing of it had a price."""
    unpriced: int
    """Answers whose price is not known: they are not in `cost`."""


class UsageReported(msgspec.Struct, frozen=True):
    """What was used."""

    since: int
    until: int
    rows: tuple[UsageRow, ...]
    more: bool = False
    """Whether there are more rows than are shown."""


class LatencyAsked(_Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose latency, and one row for what."""

    by: Annotated[tuple[LatencyPart, ...], msgspec.Meta(max_length=4)] = ()
    """One row for each of these."""


class LatencyRow(msgspec.Struct, frozen=True):
    """How long answers took, in milliseconds, right within one percent."""

    parts: dict[str, str | int | None]
    requests: int
    p50: float | None
    p95: float | None
    p99: float | None
    first_p50: float | None
    """Until the first piece of a stream."""
    first_p95: float | None


class LatencyReported(msgspec.Struct, frozen=True):
    """How long answers took."""

    since: int
    until: int
    rows: tuple[LatencyRow, ...]


@operation("runs.list", permission="runs.see", changes=False)
def list_runs(desk: Desk, order: RunsAsked) -> RunsListed:
    """Lists runs: who asked whom when, at what cost; never what was said.

    With `status` those are listed that outlive a process, by when they were submitted.
    """
    if order.status is not None:
        return _lasting(desk, order, order.status)
    which = Filter(
        since=order.since,
        until=order.until,
        project=order.project,
        purpose=order.purpose,
        key=order.key,
        member=order.member,
        model=order.model,
        deployment=order.deployment,
        code=order.code,
        transaction=order.transaction,
        failed=order.failed,
    )
    page = records.found(desk.connection, desk.tenant, which, before=order.before, limit=order.limit)
    return RunsListed(tuple(run_row(record) for record in page.records), page.before)


@operation("runs.show", permission="runs.see", changes=False)
def show_run(desk: Desk, order: RunAsked) -> RunRow:
    """Shows the record of one run."""
    record = records.record_of(desk.connection, desk.tenant, order.run)
    if record is None:
        raise Unknown(f"there is no record of a run {order.run!r}", param="run")
    return run_row(record)


@operation("usage.report", permission="usage.see", changes=False)
def report_usage(desk: Desk, order: UsageAsked) -> UsageReported:
    """Adds up what was used and what it cost, by whatever is asked for."""
    since, until = _between(desk, order)
    asked = {*order.by, *_only(order)}
    if "transaction" in asked and "hour" in order.by:
        raise Invalid("by: transactions are reported by day, not by hour", param="by")
    if "hour" in order.by and asked & _PERSONAL:
        raise Invalid("by: keys and members are reported by day, not by hour", param="by")
    question = usage.Question(desk.tenant, since, until, desk.now, order.by, _only(order))
    found = usage.usage(desk.connection, question)
    rows = tuple(
        UsageRow(
            dict(zip(order.by, row.parts, strict=True)),
            row.requests,
            row.errors,
            row.input_tokens,
            row.output_tokens,
            row.cached_tokens,
            row.reasoning_tokens,
            _decimal(row.cost),
            row.currency,
            row.unpriced,
        )
        for row in found[:_MOST_ROWS]
    )
    return UsageReported(since, until, rows, len(found) > _MOST_ROWS)


@operation("latency.report", permission="usage.see", changes=False)
def report_latency(desk: Desk, order: LatencyAsked) -> LatencyReported:
    """Tells how long answers took: the median, and what 95 and 99 of a hundred stay below."""
    since, until = _between(desk, order)
    question = usage.Question(desk.tenant, since, until, desk.now, order.by, _only(order))
    found = usage.latency(desk.connection, question)
    rows = tuple(
        LatencyRow(
            dict(zip(order.by, row.parts, strict=True)),
            row.requests,
            *(
                round(seconds * 1000, 3) if seconds is not None else None
                for seconds in (row.p50, row.p95, row.p99, row.first_p50, row.first_p95)
            ),
        )
        for row in found
    )
    return LatencyReported(since, until, rows)


def _lasting(desk: Desk, order: RunsAsked, status: RunStatus) -> RunsListed:
    if desk.doors.runs is None:
        raise Unknown("this node keeps no runs")
    found = desk.doors.runs.listed(
        desk.connection,
        desk.tenant,
        statuses=(status,),
        model=order.model,
        key=order.key,
        before=order.before,
        limit=order.limit,
    )
    rows = tuple(_row_of(kept) for kept in found)
    return RunsListed(rows, found[-1].submitted if len(found) == order.limit else None)


def _row_of(kept: KeptRun) -> RunRow:
    return RunRow(
        run=kept.run,
        at=kept.submitted if kept.ended is None else kept.ended,
        model=kept.model,
        deployment=None,
        project=kept.project,
        purpose=kept.purpose,
        key=kept.virtual_key,
        member=None,
        status=_STATUSES.get(kept.status, 0),
        code=None,
        streamed=False,
        attempts=0,
        input_tokens=None,
        output_tokens=None,
        cached_tokens=0,
        reasoning_tokens=0,
        estimated=False,
        cost=None,
        currency=None,
        milliseconds=0 if kept.ended is None else kept.ended - kept.submitted,
        first_token=None,
        path="",
        request=kept.run,
        revision=kept.revision,
        route=None,
        transaction=None,
        state=kept.status,
    )


_STATUSES = {"done": 200, "failed": 500, "cancelled": 499}
"""As their records have it."""


# --- what they share --------------------------------------------------------------------------------------------------


def _between(desk: Desk, order: _Asked) -> tuple[int, int]:
    until = desk.now + 1 if order.until is None else order.until
    since = max(0, until - _MONTH) if order.since is None else order.since
    if since >= until:
        raise Invalid("since: it lies before `until`", param="since")
    if until - since > _LONGEST:
        raise Invalid("since: ten years at most", param="since")
    return since, until


def _only(order: _Asked) -> dict[str, str]:
    names = ("project", "purpose", "model", "deployment", "code", "key", "member", "transaction")
    return {name: word for name in names if (word := getattr(order, name, None)) is not None}


def _decimal(nano: int) -> str:
    return str(Money(nano, "")).strip()


def run_row(record: Kept) -> RunRow:
    """A record as it is shown."""
    cost = record.cost
    return RunRow(
        run=record.run,
        at=record.at,
        model=record.model,
        deployment=record.deployment,
        project=record.project,
        purpose=record.purpose,
        key=record.key,
        member=record.member,
        status=record.status,
        code=record.code,
        streamed=record.streamed,
        attempts=record.attempts,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached_tokens=record.cached_tokens,
        reasoning_tokens=record.reasoning_tokens,
        estimated=record.estimated,
        cost=_decimal(cost.nano) if cost is not None else None,
        currency=cost.currency if cost is not None else None,
        milliseconds=record.milliseconds,
        first_token=record.first_token,
        path=record.path,
        request=record.request,
        revision=record.revision,
        route=record.route,
        transaction=record.transaction,
    )
