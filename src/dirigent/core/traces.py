"""A run as people see it: its steps in time, who answered, what they cost, and how long it waited for whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from dirigent.core.approvals import Question
from dirigent.core.journal import (
    Asked,
    Began,
    Cancelled,
    Decided,
    Ended,
    Entry,
    LeftOut,
    RunStatus,
    Slept,
    Spent,
    StepBegan,
    StepEnded,
    StepFailed,
    Submission,
    read,
)
from dirigent.core.usage import Money

__all__ = ["StepState", "Trace", "TraceStep", "cost_of", "trace"]

StepState = Literal["done", "failed", "runs", "waits", "skipped"]
_ABOVE = re.compile(r"[/:~?][^/:~?]*$")


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step, question or pause."""

    path: str
    step: str
    """Its type; `question` where people are asked, `pause` where it waits for a time."""
    state: StepState
    """`skipped` where it was left out."""
    depth: int
    began: int | None
    """Milliseconds since 1970."""
    ended: int | None
    """None while it goes on."""
    waited: int
    """Milliseconds of it in which it waited for people or for a time."""
    deployment: str | None = None
    """Who answered."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str | None = None
    """An exact decimal; None where nobody was asked, or a price is not known."""
    currency: str | None = None
    unpriced: bool = False
    attempts: int = 0
    reason: str | None = None
    """Why it was answered by whom it was; the condition that did not hold, where it was left out."""
    code: str | None = None
    """Why it failed."""
    approval: str | None = None
    """The id of the question."""
    outcome: str | None = None
    by: tuple[str, ...] = ()
    due: int | None = None
    facts: dict[str, Any] = {}
    words: Any = None
    """What it gave, what it asks, or how it failed, where that was asked for."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run: str
    status: str
    model: str
    revision: str
    project: str
    purpose: str | None
    key: str
    member: str | None
    transaction: str | None
    priority: str
    bulk: str | None
    row: int | None
    submitted: int
    began: int | None
    ended: int | None
    worked: int
    """Milliseconds from its beginning until now or its end, without those in which it waited."""
    waited: int
    """Milliseconds in which it waited for people or for a time."""
    waiting: tuple[str, ...]
    """The ids of the questions that nobody has answered yet."""
    cost: str | None
    currency: str | None
    unpriced: bool
    """Whether something of it had no known price: then `cost` is less than the whole."""
    input_tokens: int
    output_tokens: int
    code: str | None
    """Why it failed."""
    forked: str | None
    """The run of which it is a fork."""
    cancelled_by: str | None
    entries: int
    steps: tuple[TraceStep, ...]
    input: Any = None
    output: Any = None


class _Told:
    """What the entries tell of one path."""

    def __init__(self) -> None:
        self.begun: StepBegan | None = None
        self.ended: StepEnded | None = None
        self.failed: list[StepFailed] = []
        self.left_out: LeftOut | None = None
        self.asked: Asked | None = None
        self.decided: Decided | None = None
        self.slept: Slept | None = None

    @property
    def is_left_out(self) -> bool:
        """Whether it was left out, and nothing else is told of it."""
        others = (self.begun, self.ended, self.asked, self.slept, *self.failed)
        return self.left_out is not None and all(each is None for each in others)


def trace(
    said: Submission, entries: Sequence[Entry], now: int, *, status: RunStatus | None = None, words: bool = False
) -> Trace:
    """The run as it stands; with `words` what was asked and answered as well.

    Where nobody says how it stands, that is told from its entries.
    """
    told: dict[str, _Told] = {}
    began = ended = cancelled = None
    for entry in entries:
        match entry:
            case Began():
                began = entry
            case Ended():
                ended = entry
            case Cancelled():
                cancelled = cancelled or entry
            case _:
                _take(told.setdefault(entry.path, _Told()), entry)
    waits = _merged(_waits(told.values(), now))
    over = int(ended.at * 1000) if ended is not None else now
    first = None if began is None else int(began.at * 1000)
    steps = _ordered({path: _step(path, each, waits, now, words=words) for path, each in told.items()})
    spent = [each.spent for path, one in told.items() if not _is_outer(path, told) for each in _spending(one)]
    cost, unpriced = cost_of(spent)
    waited = sum(end - start for start, end in waits)
    return Trace(
        run=said.run,
        status=status or _status(ended, bool(entries), waits, now),
        model=said.model,
        revision=said.revision,
        project=said.principal.project,
        purpose=said.purpose,
        key=said.principal.key,
        member=said.principal.member,
        transaction=said.transaction,
        priority=said.priority,
        bulk=said.bulk,
        row=said.row,
        submitted=int(said.submitted * 1000),
        began=first,
        ended=None if ended is None else over,
        worked=0 if first is None else max(0, over - first - waited),
        waited=waited,
        waiting=()
        if ended is not None
        else tuple(each.asked.approval for each in told.values() if each.asked is not None and each.decided is None),
        cost=None if cost is None else _decimal(cost),
        currency=None if cost is None else cost.currency,
        unpriced=unpriced,
        input_tokens=sum(each.input_tokens for each in spent),
        output_tokens=sum(each.output_tokens for each in spent),
        code=None if ended is None else ended.code,
        forked=None if began is None else began.forked,
        cancelled_by=None if cancelled is None else cancelled.by,
        entries=len(entries),
        steps=steps,
        input=_input(said) if words else None,
        output=ended.output if words and ended is not None else None,
    )


def cost_of(spent: Iterable[Spent]) -> tuple[Money | None, bool]:
    """What was spent in all, and whether a part of it has no known price, or is in another currency."""
    total: Money | None = None
    unpriced = False
    for each in spent:
        unpriced = unpriced or each.unpriced
        if each.cost is None:
            continue
        if total is None:
            total = each.cost
        elif total.currency == each.cost.currency:
            total += each.cost
        else:
            unpriced = True
    return total, unpriced


def _status(ended: Ended | None, begun: bool, waits: Sequence[tuple[int, int]], now: int) -> RunStatus:  # noqa: FBT001
    if ended is not None:
        return ended.status
    if not begun:
        return "ready"
    return "waiting" if waits and waits[-1][1] >= now else "running"


def _take(told: _Told, entry: Entry) -> None:
    match entry:
        case StepBegan():
            told.begun = told.begun or entry
        case StepEnded():
            told.ended = told.ended or entry
        case StepFailed():
            told.failed.append(entry)
        case LeftOut():
            told.left_out = told.left_out or entry
        case Asked():
            told.asked = told.asked or entry
        case Decided():
            told.decided = told.decided or entry
        case Slept():
            told.slept = told.slept or entry


def _step(path: str, told: _Told, waits: Sequence[tuple[int, int]], now: int, *, words: bool) -> TraceStep:
    done, asked, last = told.ended, told.asked, told.failed[-1] if told.failed else None
    spent = [each.spent for each in _spending(told)]
    cost, unpriced = cost_of(spent)
    began, ended = _times(told, now)
    if done is not None:
        state: StepState = "done"
    elif last is not None and asked is None:
        state = "failed"
    elif (asked is not None and told.decided is None) or (told.slept is not None and told.slept.until * 1000 > now):
        state = "waits"
    elif told.is_left_out:
        state = "skipped"
    else:
        state = "done" if told.decided is not None or told.slept is not None else "runs"
    verdict = None if told.decided is None else told.decided.verdict
    known = next((each for each in (done, last, told.begun, told.left_out) if each is not None), None)
    within = (began or 0, ended if ended is not None else now)
    return TraceStep(
        path=path,
        step=known.step if known is not None else "question" if asked is not None else "pause",
        state=state,
        depth=0,
        began=began,
        ended=ended,
        waited=sum(max(0, min(end, within[1]) - max(start, within[0])) for start, end in waits)
        if asked is not None or told.slept is not None
        else 0,
        deployment=next((each.deployment for each in reversed(spent) if each.deployment is not None), None),
        input_tokens=sum(each.input_tokens for each in spent),
        output_tokens=sum(each.output_tokens for each in spent),
        cost=None if cost is None else _decimal(cost),
        currency=None if cost is None else cost.currency,
        unpriced=unpriced,
        attempts=sum(each.attempts for each in spent),
        reason=told.left_out.when
        if told.left_out is not None and state == "skipped"
        else next((each.reason for each in reversed(spent) if each.reason is not None), None),
        code=last.code if last is not None and done is None else None,
        approval=None if asked is None else asked.approval,
        outcome=None if verdict is None else verdict.outcome,
        by=() if verdict is None else verdict.by,
        due=_due(told),
        facts={} if done is None else dict(done.facts),
        words=_words(told) if words else None,
    )


def _ordered(steps: Mapping[str, TraceStep]) -> tuple[TraceStep, ...]:
    """The steps as they began, each behind the one that it is within; their depth counts those alone that are there."""
    lines = {path: [*reversed([each for each in _above(path) if each in steps]), path] for path in steps}
    told = {path: place for place, path in enumerate(steps)}  # as they were written, where one began as another did
    order = sorted(steps, key=lambda path: [(steps[each].began or 0, told[each]) for each in lines[path]])
    return tuple(msgspec.structs.replace(steps[path], depth=len(lines[path]) - 1) for path in order)


def _times(told: _Told, now: int) -> tuple[int | None, int | None]:
    """When it began and ended, as far as anybody has said."""
    if told.left_out is not None and told.is_left_out:
        return int(told.left_out.at * 1000), int(told.left_out.at * 1000)
    starts = [each.at - each.spent.seconds for each in _spending(told)]
    starts += [entry.at for entry in (told.begun, told.asked, told.slept) if entry is not None]
    ends = []
    if told.ended is not None:
        ends.append(told.ended.at)
    elif told.decided is not None:
        ends.append(told.decided.at)
    elif told.slept is not None:
        if told.slept.until * 1000 <= now:
            ends.append(told.slept.until)
    elif told.failed and told.asked is None:
        ends.append(told.failed[-1].at)
    return (int(min(starts) * 1000) if starts else None), (int(max(ends) * 1000) if ends else None)


def _waits(told: Iterable[_Told], now: int) -> Iterator[tuple[int, int]]:
    for each in told:
        if each.asked is not None:
            until = now if each.decided is None else int(each.decided.at * 1000)
            yield int(each.asked.at * 1000), until
        if each.slept is not None:
            yield int(each.slept.at * 1000), min(now, int(each.slept.until * 1000))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans without overlaps, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _spending(told: _Told) -> Sequence[StepEnded | StepFailed]:
    return [*told.failed, *([told.ended] if told.ended is not None else [])]


def _is_outer(path: str, told: Mapping[str, _Told]) -> bool:
    """Whether there are steps within it, whose costs are counted there."""
    return any(path in _above(other) for other in told if len(other) > len(path) and _spending(told[other]))


def _above(path: str) -> Iterator[str]:
    while (found := _ABOVE.search(path)) is not None:
        path = path[: found.start()]
        yield path


def _due(told: _Told) -> int | None:
    """When the question is looked at again, or the pause is over."""
    if told.asked is not None:
        return None if told.asked.due is None else int(told.asked.due * 1000)
    return None if told.slept is None else int(told.slept.until * 1000)


def _words(told: _Told) -> Any:
    if told.ended is not None:
        return told.ended.output
    if told.asked is not None and isinstance(told.asked.question, Question):
        return msgspec.to_builtins(msgspec.structs.replace(told.asked.question, seeded=None))
    return told.failed[-1].words if told.failed else None


def _input(said: Submission) -> Any:
    if not said.body:
        return None
    try:
        return read(said.body)
    except msgspec.DecodeError:
        return said.body.decode("utf-8", "replace")


def _decimal(money: Money) -> str:
    return str(Money(money.nano, "")).strip()
