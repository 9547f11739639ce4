"""One answer in progress: on whose behalf, under which catalog, until when, how deep, and what has happened so far.

Longer than 400 lines, because all that a model may ask of its run stands here, beside the record of what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic, time
from typing import Any, Protocol

import msgspec

from dirigent.core.allotment import Allotment, Held
from dirigent.core.bounds import Bounds
from dirigent.core.decision import Decision
from dirigent.core.errors import DirigentError, Forbidden, Overrun
from dirigent.core.events import Answer
from dirigent.core.grants import OPEN, Grant
from dirigent.core.identity import Principal, Priority
from dirigent.core.journal import Effect, Spent, StepEnded
from dirigent.core.logbook import Facts, Logbook
from dirigent.core.messages import Request
from dirigent.core.ports import HttpCall, Ports, Timeouts
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind
from dirigent.core.usage import Money, Tariff, Usage

__all__ = ["MAX_TRIES", "Answering", "Attempt", "Passage", "Published", "Record", "Run", "Voice"]

MAX_TRIES = 8
"""How many providers one run asks at most, however its models repeat and fall back."""
MAX_DEPTH = 16
"""How deep models may ask models. Loops are refused at publish; this bounds what no model can raise."""


class Passage(Protocol):
    """An answer that is one call to one provider, whose bytes go to the caller as they are.

    Once it is `asked` it is settled by exactly one of `end`, `whole`, `broke`, `left` and `undone`; where nobody is
    asked after all, by `dropped`.
    """

    call: HttpCall
    timeouts: Timeouts
    stream: bool

    def asked(self) -> None:
        """Takes note that the call is on its way."""
        ...

    def dropped(self) -> None:
        """Takes note that nobody is asked."""
        ...

    def undone(self) -> None:
        """Takes note that it has reached nobody."""
        ...

    def head(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Reads what the head of a good answer tells."""
        ...

    def piece(self, data: bytes) -> bytes:
        """What the caller gets of the next piece of a stream. Raises what the stream reports as an error."""
        ...

    def end(self) -> bytes:
        """What the caller gets at the end of a stream. Raises BadAnswer where it stopped before its end."""
        ...

    def whole(self, body: bytes) -> None:
        """Takes a whole answer, which goes to the caller untouched. Raises BadAnswer where it is none."""
        ...

    def refusal(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> DirigentError:
        """What a refusal of the provider means."""
        ...

    def broke(self, error: DirigentError, *, behind: bool) -> None:
        """Settles a try that came to nothing or broke off; with `behind` more may have been sent than was heard."""
        ...

    def left(self, *, behind: bool) -> None:
        """Settles a try that nobody waits for any more; `behind` as above."""
        ...


class Answering(Protocol):
    """Whatever answers under a name: a model, or a model with policies around it."""

    def answer(self, request: Request, run: Run) -> Answer:
        """The events of the answer."""
        ...

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """The decisions that would be taken, without asking anybody."""
        ...

    async def count(self, request: Request, run: Run) -> int:
        """How many input tokens the request has for this model."""
        ...

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way to the answer, where there is one now; None leaves it to `answer`."""
        ...

    async def tried(self, part: str, scope: Mapping[str, object], run: Run) -> StepEnded:
        """What comes of one of its steps, for what it is given to see. Raises Invalid where there is no such step."""
        ...


class Published(Protocol):
    """The catalog as a run sees it."""

    @property
    def revision(self) -> str:
        """The digest of everything published."""
        ...

    @property
    def kept(self) -> dict[Any, Any]:
        """What its models have worked out once for all their answers, each under a key of its own."""
        ...

    def answering(self, name: str) -> Answering:
        """Who answers under `name`. Raises UnknownModel."""
        ...

    def facing(self, name: str) -> Answering:
        """Who answers under `name` to a caller from outside. Raises UnknownModel."""
        ...

    def profile(self, name: str) -> Profile:
        """What is known of `name`. Raises UnknownModel."""
        ...

    def tariff(self, name: str) -> Tariff | None:
        """The price of `name`, made ready for many answers; None where it is unknown."""
        ...

    def provider(self, name: str) -> Kind:
        """The provider of that name; publishing has made sure that it exists."""
        ...

    def source(self, name: str) -> Kind:
        """The source of that name. Raises Invalid where there is none."""
        ...


class Attempt(msgspec.Struct, frozen=True):
    """One try at one deployment."""

    model: str
    outcome: str
    """`answered`, `abandoned`, or the code of the error."""
    seconds: float
    words: str = ""
    began: float = 0.0
    """Seconds after the run's start."""


class Voice(msgspec.Struct, frozen=True):
    """Who answers, and what it tells of itself."""

    deployment: str | None = None
    forwarded: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    left_out: tuple[str, ...] = ()


class Record:
    """What a run did, for headers, logs and explanations. All nested asks of one run write into the same record."""

    __slots__ = (
        "alias",
        "attempts",
        "content_type",
        "cost",
        "decisions",
        "deployment",
        "failed_first",
        "first_token",
        "forwarded",
        "holds",
        "left_out",
        "reused",
        "started",
        "tries",
        "unpriced",
        "usage",
    )

    def __init__(self, tries: int = MAX_TRIES) -> None:
        self.started = time()
        self.tries = tries
        """How many more providers may be asked, nested models and repetitions included."""
        self.alias: str | None = None
        """The name by which the caller asked, where it is an alias of the model with which the run begins."""
        self.decisions: list[Decision] = []
        self.attempts: list[Attempt] = []
        self.deployment: str | None = None
        """The deployment that answers, by its name in the catalog."""
        self.usage: Usage | None = None
        self.cost: Money | None = None
        self.unpriced = False
        """True as soon as one answer had no known price: then the cost is unknown, whatever else was priced."""
        self.first_token: float | None = None
        """Seconds from the start to the first event."""
        self.failed_first: DirigentError | None = None
        """What a first try brought that was made on the straight way; whoever goes on takes it as its own."""
        self.forwarded: tuple[tuple[str, str], ...] = ()
        """What the provider that answers says of its limits, for the caller to read."""
        self.content_type: str | None = None
        """The type of a verbatim answer that is not what its dialect usually answers."""
        self.left_out: tuple[str, ...] = ()
        """Settings of the request that the deployment's dialect has no words for."""
        self.holds: tuple[Held, ...] = ()
        """What was held for calls to models that have something for each run; for whoever goes on with this one."""
        self.reused: str | None = None
        """The run whose answer is given again; None where somebody was asked."""

    def settle(self, usage: Usage | None, cost: Money | None) -> None:
        """Adds one deployment's usage and cost. Costs in two currencies do not add up: the total is then unknown."""
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage + usage
        if cost is None or (self.cost is not None and self.cost.currency != cost.currency):
            self.unpriced = True
        else:
            self.cost = cost if self.cost is None else self.cost + cost

    def join(self, other: Record) -> None:
        """Adds what was done under a record of its own."""
        self.decisions += other.decisions
        self.attempts += other.attempts
        self.holds += other.holds
        if other.usage is not None:
            self.usage = other.usage if self.usage is None else self.usage + other.usage
        if other.cost is not None and (self.cost is None or self.cost.currency == other.cost.currency):
            self.cost = other.cost if self.cost is None else self.cost + other.cost
        elif other.cost is not None:
            self.unpriced = True
        self.unpriced = self.unpriced or other.unpriced
        self.deployment = other.deployment or self.deployment
        if self.first_token is None:
            self.first_token = other.first_token

    def spent(self, seconds: float) -> Spent:
        """What was used up under this record, in words for a journal."""
        usage = self.usage
        of_models: dict[str, int] = {}
        for held in self.holds:
            for id, amount in held.of_model.items():  # noqa: A001
                of_models[id] = of_models.get(id, 0) + amount
        return Spent(
            seconds=round(seconds, 6),
            deployment=self.deployment,
            input_tokens=usage.input_tokens if usage is not None else 0,
            output_tokens=usage.output_tokens if usage is not None else 0,
            cost=self.known_cost,
            unpriced=self.unpriced,
            attempts=len(self.attempts),
            reason=self.route,
            of_models=of_models,
        )

    @property
    def route(self) -> str | None:
        """Why the answer comes from where it comes, in a few words; None where no router stood in the way.

        Where attempts failed, who failed and who answered instead stands first, then the rule that had decided.
        """
        if not self.decisions:
            return None
        reason = self.decisions[-1].reason
        failed = {each.model: each.outcome for each in self.attempts if each.outcome not in ("answered", "abandoned")}
        failed.pop(self.deployment or "", None)
        if not failed:
            return reason
        list_of = ", ".join(f"{name} ({outcome})" for name, outcome in failed.items())
        return f"{self.deployment or 'nobody'} answers, for {list_of} failed; before that: {reason}"

    @property
    def voice(self) -> Voice:
        """Who answers, and what it told of itself; to be put back where another one spoke in between."""
        return Voice(self.deployment, self.forwarded, self.content_type, self.left_out)

    @voice.setter
    def voice(self, voice: Voice) -> None:
        self.deployment, self.forwarded = voice.deployment, voice.forwarded
        self.content_type, self.left_out = voice.content_type, voice.left_out

    @property
    def known_cost(self) -> Money | None:
        """The cost so far, None where any part of it is unknown."""
        return None if self.unpriced else self.cost


class Run:
    """One answer in progress. Models reach other models, and everything else, through it alone."""

    __slots__ = (
        "allotment",
        "asked",
        "asker",
        "backed",
        "bounds",
        "catalog",
        "deadline",
        "depth",
        "grant",
        "id",
        "insists",
        "logbook",
        "model",
        "place",
        "ports",
        "prepared",
        "principal",
        "priority",
        "purpose",
        "record",
        "started",
        "sticky",
        "trace",
    )

    def __init__(  # noqa: PLR0917  opened once per request, and names cost time there
        self,
        id: str,
        model: str,
        catalog: Published,
        ports: Ports,
        principal: Principal,
        seconds: float,
        priority: Priority = "normal",
        purpose: str | None = None,
        sticky: str | None = None,
        trace: str | None = None,
        tries: int = MAX_TRIES,
        grant: Grant = OPEN,
    ) -> None:
        """A run that begins with the model called `model`; every model that this one asks is one level deeper."""
        self.id = id
        self.model = model
        """The name under which the present model was asked."""
        self.catalog = catalog
        self.ports = ports
        self.principal = principal
        self.priority = priority
        self.purpose = purpose
        self.grant = grant
        """What its principal may do for its purpose, and at whose expense."""
        self.sticky = sticky
        """What keeps a caller's conversation at one place: the subject or business case, where one was given."""
        self.trace = trace
        """The caller's `traceparent`, to be passed on."""
        self.backed = False
        """Whether somebody else steps in if this one fails: then there is no use in trying again."""
        self.insists = False
        """Whether it has to be this one: then it is asked even while it rests and another request is trying it."""
        self.allotment: Allotment | None = (
            ports.allotments.opened(id, grant.per_run, ports.rates) if grant.allots else None
        )
        """What it may use up by itself; None where nothing bounds that."""
        self.asker: Run | None = None
        """On behalf of which model's run this one asks."""
        self.started = monotonic()
        self.deadline = self.started + seconds
        self.depth = 0
        self.record = Record(tries)
        self.logbook: Logbook | None = None
        """Where steps are written down, once there are any."""
        self.place = ""
        """Where in the steps of the models that ask each other this is: the same path whenever they are walked."""
        self.asked: dict[str, int] | None = None
        """How often each model was asked from this place, so that what is asked twice has two places."""
        self.prepared: object | None = None
        """What the model with which it begins has worked out on the straight way, to go on with on the general one."""
        self.bounds: Bounds | None = None
        """What the models that take steps here may use up, each within that of the one that asked it."""

    def ask(self, name: str, request: Request, *, backed: bool | None = None) -> Answer:
        """The answer of the model called `name`, with this run's deadline, depth and record.

        `backed` says whether somebody else steps in if it fails, and if not, that it has to be this one; without it
        both are as they are for this run. Raises UnknownModel, Forbidden where the data may not go there, and Overrun
        where the depth or the time is used up. Read it under `aclosing`.
        """
        child = self._child(name)
        if self.grant is not OPEN:
            self.permit(name)
        if self.logbook is not None:
            child.place = self._apart(name)
        if backed is not None:
            child.backed = backed or self.backed
            child.insists = not child.backed
        return self.catalog.answering(name).answer(request, child)

    def passage(self, name: str, request: Request, *, backed: bool) -> Passage | None:
        """The straight way to what `ask` would bring, where there is one now. Raises as `ask` does."""
        child = self._child(name)
        if self.grant is not OPEN:
            self.permit(name)
        child.backed = backed or self.backed
        child.insists = not child.backed
        return self.catalog.answering(name).passage(request, child)

    def within(self, money: Money) -> Run:
        """This run, of which all that is asked through it costs so much at most: spent there is spent here as well.

        What would exceed it is refused with BudgetExceeded of the level `run`, before anybody is asked. What is spent
        of it stands in its `allotment`.
        """
        part = self._copied(self.model, self.depth)
        part.asker, part.backed, part.insists = self.asker, self.backed, self.insists
        if self.asked is None:
            self.asked = {}
        part.asked = self.asked  # what is asked here and there has places of its own
        whole = self.allotment if self.allotment is not None else Allotment(self.id, rates=self.ports.rates)
        part.allotment = whole.within(money)
        return part

    async def explain(self, name: str, request: Request) -> Sequence[Decision]:
        """The decisions that `name` would take on `request`, nested ones after it; nobody is asked."""
        child = self._child(name)
        return await self.catalog.answering(name).explain(request, child)

    async def count(self, name: str, request: Request) -> int:
        """How many input tokens the request has for the model called `name`."""
        child = self._child(name)
        self.permit(name)
        return await self.catalog.answering(name).count(request, child)

    def permit(self, name: str) -> None:
        """Makes sure that the data may go to the model called `name`. Raises Forbidden with the rule, UnknownModel."""
        profile = self.catalog.profile(name)
        ruling = self.grant.may_reach(name, profile.region, leaf=profile.leaf)
        if not ruling.permitted:
            raise Forbidden(f"{ruling.rule}: {name!r} was not asked", param="model")

    @property
    def names(self) -> Sequence[str]:
        """Who asked whom: the present model's name, then that of the one that asked it, and so on."""
        names, asker = [self.model], self.asker
        while asker is not None:
            names.append(asker.model)
            asker = asker.asker
        return names

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - monotonic())

    def _child(self, name: str) -> Run:
        if self.depth >= MAX_DEPTH:
            raise Overrun(
                f"models asked models {MAX_DEPTH} deep, which is the limit; the last would have been {name!r}"
            )
        if monotonic() >= self.deadline:
            raise Overrun(f"the run's time is used up; {name!r} was not asked")
        child = self._copied(name, self.depth + 1)
        child.backed, child.insists, child.asker = self.backed, self.insists, self
        return child

    def _apart(self, name: str) -> str:
        """The place of the next model of this name that is asked from here."""
        if self.asked is None:
            self.asked = {}
        times = self.asked[name] = self.asked.get(name, 0) + 1
        return f"{self.place}:{name}" if times == 1 else f"{self.place}:{name}~{times}"

    # --- steps --------------------------------------------------------------------------------------------------------

    async def step(
        self,
        key: str,
        kind: str,
        work: Callable[[Run], Awaitable[tuple[object, Facts]]],
        *,
        effect: Effect = "idempotent",
        attempt: int = 1,
    ) -> Any:
        """What `work` gives on a run of its own below this one, as plain data; what it gave, where it was done before.

        `key` is unique at this place. What is asked in it counts for the step and for this run, with its own number of
        tries. Raises what `work` raises, Suspended where it waits, and Overrun where too many steps were taken.
        """
        book = self.logbook or self.opened()
        below = self.below(key)
        began = monotonic()

        async def done() -> tuple[object, Facts]:
            try:
                return await work(below)
            finally:
                self.record.join(below.record)

        def spent() -> Spent:
            return below.record.spent(monotonic() - began)

        return await book.step(below.place, kind, done, spent, effect=effect, attempt=attempt)

    def opened(self) -> Logbook:
        """The logbook of this run; where there is none yet, one that all who asked for it see as well."""
        above: list[Run] = []
        here: Run | None = self
        book: Logbook | None = None
        while book is None and here is not None:
            above.append(here)
            book, here = here.logbook, here.asker
        book = book or Logbook(self.id)
        for run in above:
            run.logbook = book
        return book

    def below(self, key: str) -> Run:
        """This run one place further down, with a record of its own."""
        child = self._child(self.model)
        child.depth = self.depth  # a step is no model that asks another one
        child.asker = self.asker
        child.place = f"{self.place}/{key}" if self.place else key
        child.record = Record()
        return child

    def _copied(self, name: str, depth: int) -> Run:
        copy = Run(self.id, name, self.catalog, self.ports, self.principal, 0.0, self.priority)
        copy.purpose, copy.grant, copy.sticky, copy.trace = self.purpose, self.grant, self.sticky, self.trace
        copy.started, copy.deadline, copy.depth = self.started, self.deadline, depth
        copy.record, copy.allotment = self.record, self.allotment
        copy.logbook, copy.place, copy.bounds = self.logbook, self.place, self.bounds
        return copy
