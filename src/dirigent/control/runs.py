"""Operations on runs that outlive a process: begun, looked at, ended, and begun anew from some point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.operation import operation
from dirigent.control.submitting import Word, account, asked, new_run, revision_now, submission
from dirigent.core.changes import Change, changes
from dirigent.core.errors import Invalid
from dirigent.core.identity import Priority
from dirigent.core.journal import (
    Asked,
    Began,
    Cancelled,
    Decided,
    Ended,
    Entry,
    LeftOut,
    StepBegan,
    StepEnded,
    StepFailed,
    Submission,
)
from dirigent.core.traces import Trace, trace
from dirigent.store.beginning import DEFAULT
from dirigent.store.purposes import purpose_named
from dirigent.store.revisions import document_of
from dirigent.store.runs import KeptRun, Runs

Reason = Annotated[str, msgspec.Meta(max_length=500)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**43, description="Milliseconds since 1970.")]
Messages = Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=1_000)]
_LIVE = frozenset({"ready", "running", "waiting"})


class Submit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to begin, and on whose account."""

    model: Word
    input: Any = None
    """What is asked: a text, or data by the model's own schema."""
    messages: Messages = ()
    """The same as a conversation, as in OpenAI's chat completions."""
    key: Word | None = None
    """The id of the virtual key on whose account it runs; the only one there is where none is named."""
    member: Word | None = None
    """On whose behalf it runs."""
    purpose: Word | None = None
    transaction: Word | None = None
    """The business case."""
    subject: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Whom it is about: with this person it can be found and erased."""
    priority: Priority = "normal"
    starts: Moment | None = None
    """When it begins at the earliest."""
    ends: Moment | None = None
    """When it must be over."""
    webhook: Annotated[str, msgspec.Meta(pattern=r"^https?://[!-~]+$(?!\n)", max_length=500)] | None = None
    """An address that is told, by a signed request, when people are asked and when it is over."""
    run: Annotated[str, msgspec.Meta(pattern=r"^run-[0-9a-f]{24}$(?!\n)")] | None = None
    """An id of one's own: submitting it again is the same run."""


class SecretAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing has to be said."""


class SecretShown(msgspec.Struct, frozen=True):
    """HMAC-SHA256 by this over `TIMESTAMP.BODY`, in hex, stands in the header `x-dirigent-signature`."""

    secret: str


class Submitted(msgspec.Struct, frozen=True):
    """A run that was taken on."""

    run: str
    new: bool
    """Whether it was not there before."""


class WhichRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run."""

    run: Word


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run to end, and why."""

    run: Word
    reason: Reason = ""


class Done(msgspec.Struct, frozen=True):
    """What was told to a run."""

    run: str
    status: str


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run to do again, from which step on."""

    run: Word
    step: Word
    """The path of the step, as `runs show` has it; what came before is not done again."""


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which point of a run another one begins, and on which revision."""

    run: Word
    at: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many of its entries to take over; all that is done where nothing is said."""
    revision: Word | None = None
    """On which it goes on; the one that is published where nothing is said."""


class Compared(msgspec.Struct, frozen=True):
    """What a fork would take over, and what is different for it."""

    run: str
    kept: int
    """Entries that it takes over."""
    steps: tuple[str, ...]
    """Steps that it does not do again."""
    again: tuple[str, ...]
    """Steps that it does again, those of which nobody knows whether they were done included."""
    revision: str
    """On which the run was."""
    other: str
    """On which the fork would be."""
    changes: tuple[Change, ...]
    """What differs between the two in the models."""


class Forked(msgspec.Struct, frozen=True):
    """The new run."""

    run: str
    forked: str
    """The run that it comes from, which stays as it is."""
    kept: int
    revision: str


@operation("runs.submit", permission="runs.change", changes=True)
def submit_run(desk: Desk, order: Submit) -> Submitted:
    """Begins a run that outlives every process; `runs show` tells how far it is."""
    runs = _door(desk)
    whose = account(desk, order.key, order.member, order.purpose)
    made = submission(
        desk,
        order.run or new_run(),
        whose,
        asked(order.model, order.input, order.messages),
        priority=order.priority,
        subject=order.subject,
        transaction=order.transaction,
        webhook=order.webhook,
        starts=None if order.starts is None else order.starts / 1000,
        ends=None if order.ends is None else order.ends / 1000,
    )
    new = runs.submit(desk.connection, made)
    desk.note(f"run:{made.run}", "was begun" if new else "was there already", model=order.model)
    return Submitted(made.run, new)


@operation("runs.trace", permission="runs.see", changes=False)
def trace_run(desk: Desk, order: WhichRun) -> Trace:
    """Shows how far a run is: its steps with who answered, tokens, cost and time, and whom it waits for.

    It tells no word of what was asked or answered; `runs read` does, to those who may.
    """
    runs, kept = _found(desk, order.run)
    said, entries = _said(desk, runs, kept), runs.entries(desk.connection, kept.run)
    return trace(said, entries, desk.now, status=kept.status)


@operation("runs.read", permission="runs.read", changes=False, audited=True)
def read_run(desk: Desk, order: WhichRun) -> Trace:
    """Shows a run with what was asked and answered in each step, where its purpose keeps texts; this is audited."""
    runs, kept = _found(desk, order.run)
    if not _keeps_texts(desk, kept):
        raise Invalid(f"the purpose {kept.purpose or 'general'} keeps no texts for people to read")
    said, entries = _said(desk, runs, kept), runs.entries(desk.connection, kept.run)
    desk.note(f"run:{kept.run}", "was read", purpose=kept.purpose)
    return trace(said, entries, desk.now, status=kept.status, words=True)


@operation("runs.cancel", permission="runs.change", changes=True)
def cancel_run(desk: Desk, order: Cancel) -> Done:
    """Ends a run: whatever it asks at this moment is cut, and it asks nothing more."""
    runs, kept = _found(desk, order.run)
    who = desk.actor.id if desk.actor.kind == "member" else desk.actor.kind
    told = runs.wake(desk.connection, kept.run, Cancelled(at=desk.now / 1000, by=who, reason=order.reason))
    if not told:
        raise Taken(f"{kept.run} is over: it is {kept.status}")
    desk.note(f"run:{kept.run}", "was told to end")
    return Done(kept.run, "cancelling")


@operation("runs.resume", permission="runs.change", changes=True)
def resume_run(desk: Desk, order: WhichRun) -> Forked:
    """Goes on with a run that has failed or was cancelled, behind the last step that was done, as a new run.

    It stays on its revision. A step of which nobody knows whether it was done asks a person.
    """
    runs, kept = _over(desk, order.run)
    entries = runs.entries(desk.connection, kept.run)
    return _fork(desk, (runs, kept), _done(entries), kept.revision, "goes on from")


@operation("runs.retry", permission="runs.change", changes=True)
def retry_run(desk: Desk, order: Retry) -> Forked:
    """Does a run again from a step on, as a new run on the same revision; what came before is not done again."""
    runs, kept = _over(desk, order.run)
    entries = runs.entries(desk.connection, kept.run)
    place = next((place for place, entry in enumerate(entries) if _of_step(entry, order.step)), None)
    if place is None:
        raise Unknown(f"{kept.run} has no step {order.step!r}", param="step")
    return _fork(desk, (runs, kept), _done(entries[:place]), kept.revision, f"is done again from {order.step} on:")


@operation("runs.compare", permission="runs.see", changes=False)
def compare_fork(desk: Desk, order: Fork) -> Compared:
    """Tells what a fork would take over, what it would do again, and what is different on its revision."""
    runs, kept = _found(desk, order.run)
    entries = runs.entries(desk.connection, kept.run)
    taken = _taken(entries, order.at)
    revision = order.revision or revision_now(desk)
    before, after = (document_of(desk.connection, DEFAULT, each) for each in (kept.revision, revision))
    done = [entry.path for entry in taken if isinstance(entry, StepEnded)]
    every = [entry.path for entry in entries if isinstance(entry, StepEnded | StepBegan | StepFailed)]
    return Compared(
        kept.run,
        len(taken),
        tuple(done),
        tuple(path for path in dict.fromkeys(every) if path not in set(done)),
        kept.revision,
        revision,
        changes(before.get("models", {}), after.get("models", {})),
    )


@operation("runs.fork", permission="runs.change", changes=True)
def fork_run(desk: Desk, order: Fork) -> Forked:
    """Begins a new run with what another one has done up to a point, on another revision if need be.

    `runs compare` tells first what will be different. The other run stays as it is.
    """
    runs, kept = _found(desk, order.run)
    revision = order.revision or revision_now(desk)
    document_of(desk.connection, DEFAULT, revision)  # raises where there is none
    return _fork(
        desk, (runs, kept), _taken(runs.entries(desk.connection, kept.run), order.at), revision, "is a fork of"
    )


@operation("runs.secret", permission="runs.change", changes=False, audited=True)
def webhook_secret(desk: Desk, order: SecretAsked) -> SecretShown:  # noqa: ARG001  it says nothing
    """Shows the secret by which the requests to webhooks of this tenant's runs are signed; this is audited."""
    if desk.doors.webhook_secret is None:
        raise Unknown("this node keeps no runs")
    desk.note(f"tenant:{desk.tenant}", "the secret of its webhooks was shown")
    return SecretShown(desk.doors.webhook_secret(desk.tenant))


# --- what they share --------------------------------------------------------------------------------------------------


def _door(desk: Desk) -> Runs:
    if desk.doors.runs is None:
        raise Unknown("this node keeps no runs")
    return desk.doors.runs


def _found(desk: Desk, run: str) -> tuple[Runs, KeptRun]:
    runs = _door(desk)
    kept = runs.find(desk.connection, desk.tenant, run)
    if kept is None:
        raise Unknown(f"there is no run {run!r} that outlives a process", param="run")
    return runs, kept


def _said(desk: Desk, runs: Runs, kept: KeptRun) -> Submission:
    said = runs.submission(desk.connection, kept.run)
    if said is None:
        raise Unknown(f"there is no run {kept.run!r}", param="run")
    return said


def _over(desk: Desk, run: str) -> tuple[Runs, KeptRun]:
    runs, kept = _found(desk, run)
    if kept.status in _LIVE:
        raise Taken(f"{run} goes on by itself: it is {kept.status}", param="run")
    return runs, kept


def _keeps_texts(desk: Desk, kept: KeptRun) -> bool:
    found = purpose_named(desk.connection, desk.tenant, kept.purpose or "general")
    return found is not None and found.purpose.retention.bodies > 0


def _of_step(entry: Entry, step: str) -> bool:
    path = getattr(entry, "path", "")
    return path == step or path.startswith((f"{step}/", f"{step}:", f"{step}~", f"{step}?"))


def _done(entries: Sequence[Entry]) -> Sequence[Entry]:
    """What a new run takes over: what was done and decided, and what was begun and is in doubt.

    Failures are left out, so that tries are counted anew; so are questions that nobody has answered, which are asked
    anew, steps that were left out, whose conditions are looked at anew, and the end.
    """
    answered = {entry.approval for entry in entries if isinstance(entry, Decided)}
    failed = {(entry.path, entry.attempt) for entry in entries if isinstance(entry, StepFailed)}
    return [
        entry
        for entry in entries
        if not isinstance(entry, Began | Ended | Cancelled | StepFailed | LeftOut)
        and not (isinstance(entry, Asked) and entry.approval not in answered)
        and not (isinstance(entry, StepBegan) and (entry.path, entry.attempt) in failed)
    ]


def _taken(entries: Sequence[Entry], at: int | None) -> Sequence[Entry]:
    if at is not None and at > len(entries):
        raise Invalid(f"at: the run has {len(entries)} entries", param="at")
    return _done(entries if at is None else entries[:at])


def _fork(desk: Desk, found: tuple[Runs, KeptRun], entries: Sequence[Entry], revision: str, words: str) -> Forked:
    runs, kept = found
    said = _said(desk, runs, kept)
    if not said.body and said.dialect:
        raise Taken(f"what {kept.run} was asked is erased, so nothing can be begun with it")
    made = _anew(said, revision, desk.now)
    began = Began(at=desk.now / 1000, forked=kept.run)
    runs.submit(desk.connection, made, (began, *entries))
    desk.note(f"run:{made.run}", f"{words} {kept.run}", kept=len(entries), revision=revision)
    return Forked(made.run, kept.run, len(entries), revision)


def _anew(said: Submission, revision: str, now: int) -> Submission:
    """The same order once more: begun now, without the times, the idempotency key and the place of the other one."""
    return msgspec.structs.replace(
        said,
        run=new_run(),
        revision=revision,
        submitted=now / 1000,
        starts=None,
        ends=None,
        digest="",
        bulk=None,
        row=None,
    )
