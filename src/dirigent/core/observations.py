"""What observers are told: facts of what happened, never a word of its content.

Whoever has something to tell to those who watch a tenant makes a frozen subclass of `Happening` and hands it to the
observer that it has (`ports.observer.observe(...)`); `GET /api/v1/live` then tells it on every node.
"""

from __future__ import annotations

import re
from time import time

import msgspec

from dirigent.core.journal import Entry
from dirigent.core.usage import Money

__all__ = [
    "AlertRaised",
    "AlertResolved",
    "BreakerClosed",
    "BreakerOpened",
    "BudgetOverrun",
    "BudgetPassed",
    "Happening",
    "Refused",
    "RevisionPublished",
    "RevisionTaken",
    "RowsDropped",
    "Served",
    "Traced",
    "Tried",
    "Walked",
]


class Refused(msgspec.Struct, frozen=True):
    """A request that a rule has refused: who was refused what by which rule, never a word of its content."""

    at: float
    """In seconds since 1970."""
    run: str
    code: str
    rule: str
    """In words; what the caller wrote stands in none of them."""
    tenant: str | None = None
    """None where the request came with no valid key."""
    key: str | None = None
    purpose: str | None = None
    model: str | None = None
    """The name that was asked for, where there is one of that name."""
    revision: str | None = None


class Served(msgspec.Struct, frozen=True):
    """What is noted of one request: who and what, never a word of its content."""

    at: float
    """When it ended, in seconds since 1970."""
    run: str
    request: str
    tenant: str | None
    project: str | None
    key: str | None
    path: str
    model: str | None = None
    deployment: str | None = None
    route: str | None = None
    revision: str | None = None
    status: int = 0
    code: str | None = None
    streamed: bool = False
    attempts: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Money | None = None
    """None where a price is not known, or nobody was asked."""
    seconds: float = 0.0
    first_token: float | None = None
    """Seconds until the first piece of a stream."""
    purpose: str | None = None
    member: str | None = None
    transaction: str | None = None
    """The business case, as the caller names it in `x-dirigent-transaction`."""
    cached_tokens: int = 0
    """Of the input tokens, those that the provider had in its cache."""
    reasoning_tokens: int = 0
    estimated: bool = False
    """Whether the tokens were counted here, because the provider said nothing."""
    trace: str | None = None
    """The caller's trace id; where it named none, a trace bears the run's id."""


class Tried(msgspec.Struct, frozen=True):
    """One try at one deployment."""

    deployment: str
    outcome: str
    """`answered`, `abandoned`, or the code of the error."""
    began: float
    """Seconds after the run's start."""
    seconds: float


class Traced(msgspec.Struct, frozen=True):
    """What a trace shows of a request beyond its note; made only where somebody traces."""

    served: Served
    parent: str | None
    """The caller's `traceparent`."""
    task: str
    tried: tuple[Tried, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    choices: int = 1
    stream: bool = False


class Walked(msgspec.Struct, frozen=True):
    """The steps of a request that was no durable run, for whoever keeps their facts.

    It is the one observation that holds content, in the bodies of its entries: nobody may keep or show these.
    """

    served: Served
    entries: tuple[Entry, ...]


# --- what is told live ------------------------------------------------------------------------------------------------


def _kind_of(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _now() -> int:
    return int(time() * 1000)


class Happening(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=_kind_of):
    """Something rare that those who watch a tenant are told: facts and names, no texts, secrets or people.

    It travels as JSON whose `kind` is the name of its class: `RunPaused` is told as `run_paused`. Requests are no
    happenings: they are told out of their records.
    """

    tenant: str
    at: int = msgspec.field(default_factory=_now)
    """Milliseconds since 1970."""

    @property
    def mark(self) -> str | None:
        """Of all that bear the same mark, whichever worker tells them, the first alone counts; None tells each."""
        return None


class BudgetPassed(Happening, frozen=True, kw_only=True):
    """So many hundredths of a budget or limit are used up."""

    allowance: str
    level: str
    subject: str
    unit: str
    window: str
    percent: int
    since: int
    """When the window began, in milliseconds since 1970."""

    @property
    def mark(self) -> str | None:
        """Once for each window."""
        return f"passed/{self.allowance}/{self.since}/{self.percent}"


class BudgetOverrun(Happening, frozen=True, kw_only=True):
    """A provider billed more than the upper bound of a call that had been admitted."""

    allowance: str
    level: str
    subject: str
    unit: str
    run: str
    amount: int
    """Nano-units of `currency`, or a count."""
    currency: str = ""


class BreakerOpened(Happening, frozen=True, kw_only=True):
    """A worker asks a deployment no more for a while, because it keeps failing."""

    node: str
    worker: str
    deployment: str
    failures: int
    rests: float
    """Seconds of its first rest."""


class BreakerClosed(Happening, frozen=True, kw_only=True):
    """A deployment that rested answers a worker again."""

    node: str
    worker: str
    deployment: str


class RevisionPublished(Happening, frozen=True, kw_only=True):
    """A revision became the present one."""

    revision: str
    parent: str | None
    number: int
    author: str
    act: str


class RevisionTaken(Happening, frozen=True, kw_only=True):
    """A worker serves by a revision from now on."""

    revision: str
    number: int
    node: str
    worker: str


class RowsDropped(Happening, frozen=True, kw_only=True):
    """Rows on their way into the database were lost: the queue or the disk was full, or it would not take them."""

    node: str
    worker: str
    outbox: str
    rows: int


class AlertRaised(Happening, frozen=True, kw_only=True):
    """The condition of a rule has come about."""

    alert: str
    rule: str
    about: str
    """What it has come about for, such as `budget:a-3f9c2b`."""
    severity: str
    words: str


class AlertResolved(Happening, frozen=True, kw_only=True):
    """It has passed."""

    alert: str
    rule: str
    about: str
    severity: str
    words: str
