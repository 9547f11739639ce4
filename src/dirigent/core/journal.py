"""What runs write down: the words of a journal that only grows, and the state that follows from them.

A run's state is the fold of its entries; nothing is played again. An entry is in two parts: facts, which may stand in
the open, and a body, which may hold what people wrote and is sealed wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import DirigentError
from dirigent.core.identity import Principal, Priority
from dirigent.core.usage import Money

__all__ = [
    "Asked",
    "Began",
    "Cancelled",
    "Claimed",
    "Decided",
    "Effect",
    "Ended",
    "Entry",
    "Fenced",
    "LeftOut",
    "Noted",
    "RunStatus",
    "Slept",
    "Spent",
    "State",
    "StepBegan",
    "StepEnded",
    "StepFailed",
    "Submission",
    "Suspended",
    "fold",
    "joined",
    "parted",
    "read",
    "written",
]

Effect = Literal["pure", "idempotent", "once"]
"""What doing a step again would do: nothing; nothing more; or harm, so that a person is asked whether it was done."""
RunStatus = Literal["ready", "running", "waiting", "done", "failed", "cancelled"]


class Fenced(DirigentError):
    """Another worker goes on with the run: whoever held it before may write nothing any more."""

    code = "run_taken_over"


class Suspended(Exception):
    """Not a fault: the run waits for a person or for a time, and goes on from its journal."""


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step used up, all that it asked included."""

    seconds: float = 0.0
    deployment: str | None = None
    """Who answered last."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Money | None = None
    """None where nothing was asked, or a price is not known: then `unpriced`."""
    unpriced: bool = False
    attempts: int = 0
    reason: str | None = None
    """Why a router chose whom it chose."""
    of_models: Mapping[str, int] = {}
    """What it used of what single models have for each run, by the ids of their allowances and in their units."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    body: ClassVar[str | None] = None
    """The field that may hold what people wrote."""

    at: float = 0.0
    """When, in seconds since 1970."""


class Began(_Entry, frozen=True, kw_only=True, tag="began"):
    """The run began, or a fork of it."""

    body: ClassVar[str | None] = "input"
    input: Any = None
    """What the steps see of what was asked."""
    forked: str | None = None
    """The run of which this is a fork."""


class StepBegan(_Entry, frozen=True, kw_only=True, tag="step_began"):
    """A step is about to have its effect."""

    path: str
    step: str
    """Its type."""
    effect: Effect = "idempotent"
    attempt: int = 1


class StepEnded(_Entry, frozen=True, kw_only=True, tag="step_ended"):
    """A step has its result, and never runs again."""

    body: ClassVar[str | None] = "output"
    path: str
    step: str
    output: Any = None
    spent: Spent = Spent()
    facts: Mapping[str, Any] = {}
    """What it tells of itself, without a word of content: scores, counts, verdicts."""


class StepFailed(_Entry, frozen=True, kw_only=True, tag="step_failed"):
    """A try at a step failed."""

    body: ClassVar[str | None] = "words"
    path: str
    step: str
    code: str
    words: str = ""
    attempt: int = 1
    spent: Spent = Spent()


class LeftOut(_Entry, frozen=True, kw_only=True, tag="left_out"):
    """A step was left out. This is for those who look at the run: the condition is looked at whenever it is walked."""

    path: str
    step: str
    when: str
    """The condition that did not hold."""


class Asked(_Entry, frozen=True, kw_only=True, tag="asked"):
    """People are asked, and the run waits for them."""

    body: ClassVar[str | None] = "question"
    path: str
    approval: str
    """The id of the question."""
    question: Question | None = None
    due: float | None = None
    """When the run looks again, whoever has answered."""


class Decided(_Entry, frozen=True, kw_only=True, tag="decided"):
    """A question is answered. Of several answers the first one counts."""

    body: ClassVar[str | None] = "verdict"
    path: str
    approval: str
    verdict: Verdict | None = None


class Slept(_Entry, frozen=True, kw_only=True, tag="slept"):
    """The run waits until a time."""

    path: str
    until: float


class Noted(_Entry, frozen=True, kw_only=True, tag="noted"):
    """Something that the run remembers under a key; a later note replaces an earlier one."""

    body: ClassVar[str | None] = "value"
    path: str
    value: Any = None


class Cancelled(_Entry, frozen=True, kw_only=True, tag="cancelled"):
    """Somebody has ended the run."""

    by: str
    reason: str = ""


class Ended(_Entry, frozen=True, kw_only=True, tag="ended"):
    """The run is over."""

    body: ClassVar[str | None] = "output"
    status: Literal["done", "failed", "cancelled"]
    output: Any = None
    code: str | None = None


Entry = Began | StepBegan | StepEnded | StepFailed | LeftOut | Asked | Decided | Slept | Noted | Cancelled | Ended


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run to be, with all that it takes to begin it on any node."""

    run: str
    principal: Principal
    model: str
    alias: str | None = None
    """The name by which the model was asked, where that is an alias."""
    revision: str
    """The revision of everything published on which it runs from its beginning to its end."""
    dialect: str = ""
    """In which `body` is written; empty where that is plain data."""
    body: bytes = b""
    """What was asked, as it came."""
    target: str = ""
    """The path that was called, for dialects that name the model there; its query is left out, for it may hold keys."""
    headers: tuple[tuple[str, str], ...] = ()
    """Those of the caller's headers without which the body cannot be read, or that go on with it."""
    digest: str = ""
    """What makes two requests with one idempotency key the same; empty where there is no such key."""
    purpose: str | None = None
    priority: Priority = "normal"
    subject: str = ""
    """Whom it is about, as the caller named them."""
    transaction: str | None = None
    sticky: str | None = None
    trace: str | None = None
    submitted: float = 0.0
    starts: float | None = None
    """When it begins at the earliest, in seconds since 1970."""
    ends: float | None = None
    """When it must be over, in seconds since 1970."""
    webhook: str | None = None
    """The address that is told, by a signed request, when people are asked and when it is over."""
    bulk: str | None = None
    """The bulk run that it is part of, and which row of it."""
    row: int | None = None


class Claimed(msgspec.Struct, frozen=True):
    """A run that this worker goes on with, for as long as it renews its claim."""

    submission: Submission
    fence: int
    """Rises with each claim: who has a lower one writes nothing any more."""
    entries: tuple[Entry, ...]


class State:
    """What follows from a journal."""

    __slots__ = (
        "approvals",
        "begun",
        "cancelled",
        "ended",
        "failures",
        "input",
        "left_out",
        "length",
        "notes",
        "slept",
        "steps",
        "verdicts",
    )

    def __init__(self) -> None:
        self.length = 0
        """How many entries there are."""
        self.input: Any = None
        self.begun: dict[str, StepBegan] = {}
        """Steps that were about to have their effect, by path; those that ended included."""
        self.steps: dict[str, StepEnded] = {}
        self.failures: dict[str, list[StepFailed]] = {}
        self.left_out: dict[str, LeftOut] = {}
        self.approvals: dict[str, Asked] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.slept: dict[str, float] = {}
        self.notes: dict[str, Any] = {}
        self.cancelled: Cancelled | None = None
        self.ended: Ended | None = None

    def take(self, entry: Entry) -> None:
        """Adds one entry. What is said twice counts as it was said first, but for notes."""
        self.length += 1
        match entry:
            case Began():
                self.input = entry.input
            case StepBegan():
                self.begun[entry.path] = entry
            case StepEnded():
                self.steps.setdefault(entry.path, entry)
            case StepFailed():
                self.failures.setdefault(entry.path, []).append(entry)
            case LeftOut():
                self.left_out.setdefault(entry.path, entry)
            case Asked():
                self.approvals.setdefault(entry.path, entry)
            case Decided():
                if entry.verdict is not None:
                    self.verdicts.setdefault(entry.path, entry.verdict)
            case Slept():
                self.slept.setdefault(entry.path, entry.until)
            case Noted():
                self.notes[entry.path] = entry.value
            case Cancelled():
                self.cancelled = self.cancelled or entry
            case Ended():
                self.ended = self.ended or entry

    @property
    def waiting(self) -> tuple[Asked, ...]:
        """The questions that nobody has answered yet."""
        return tuple(asked for path, asked in self.approvals.items() if path not in self.verdicts)


def fold(entries: Iterable[Entry]) -> State:
    """The state that follows from these entries, in their order."""
    state = State()
    for entry in entries:
        state.take(entry)
    return state


def written(value: object) -> bytes:
    """Plain data as JSON that `read` gives back, each number to the digit. Raises TypeError where it is none."""
    return _WRITER.encode(value)


def read(data: bytes) -> Any:
    """Plain data from JSON; numbers with a fraction are exact."""
    return _READER.decode(data)


def parted(entry: Entry) -> tuple[bytes, bytes | None]:
    """An entry as it is kept: its facts, and its body, which is to be sealed."""
    name = type(entry).body
    value = None if name is None else getattr(entry, name)
    if name is None or value is None or value == "":
        return _WRITER.encode(entry), None
    return _WRITER.encode(msgspec.structs.replace(entry, **{name: _EMPTY[type(entry)]})), _WRITER.encode(value)


def joined(facts: bytes, body: bytes | None) -> Entry:
    """The entry that was kept so; without its body where that is gone."""
    entry: Entry = _ENTRIES.decode(facts)
    name = type(entry).body
    if body is None or name is None:
        return entry
    kind = _BODIES.get(type(entry))
    value = read(body) if kind is None else msgspec.convert(read(body), kind)
    whole: Entry = msgspec.structs.replace(entry, **{name: value})
    return whole


def _refused(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no plain data")


_WRITER = msgspec.json.Encoder(decimal_format="number", enc_hook=_refused)
_READER = msgspec.json.Decoder(Any, float_hook=Decimal)
_ENTRIES = msgspec.json.Decoder(Entry, float_hook=Decimal)
_BODIES: dict[type, Any] = {Asked: Question, Decided: Verdict}
_EMPTY: dict[type, Any] = {
    kind: "" if kind is StepFailed else None for kind in (Began, StepEnded, StepFailed, Asked, Decided, Noted, Ended)
}
