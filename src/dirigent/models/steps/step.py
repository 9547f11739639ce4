"""The contract of a step: one piece of a pipeline's work, whose result is written down once and never made again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import Meta

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import Finding
from dirigent.core.journal import Effect
from dirigent.core.messages import Request, Response
from dirigent.core.model import Mention, Survey
from dirigent.core.ports import Seconds
from dirigent.core.registry import Kind
from dirigent.core.run import Run

__all__ = ["RESERVED", "Names", "Place", "Retry", "Step", "StepName", "named", "names_after"]

StepName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
"""As an expression can name it."""
RESERVED = frozenset({"input", "run", "and", "or", "not", "in", "true", "false", "null", "has"})
"""What no step may be called: names that stand for something else, and words of the language."""
Names = frozenset[str]
"""What a step may read: the names that stand at its place, as expressions and templates write them."""


_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def named(names: Iterable[str], path: tuple[str | int, ...]) -> Iterator[Finding]:
    """What is wrong with names that expressions are to read."""
    for name in names:
        if not _NAME.fullmatch(name):
            words = "a name has small letters, digits and _ only, starts with a letter, and has 64 characters at most"
            yield Finding((*path, name), words)
        elif name in RESERVED:
            yield Finding((*path, name), f"nothing may be called {name!r}: it stands for something else")


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a step is tried, and when."""

    tries: Annotated[int, Meta(ge=1, le=10)] = 2
    """Tries in all."""
    on: tuple[str, ...] = ()
    """Codes of the errors after which it is tried again; those that may pass by themselves where none is named."""
    wait: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    """Seconds before the second try; doubled before each further one, and varied by a fifth."""


class Place(Protocol):
    """Where a step works: what it sees, and the doors that it has."""

    @property
    def run(self) -> Run:
        """The run one place below the pipeline's: what is asked here counts for this step."""
        ...

    @property
    def path(self) -> str:
        """The step's path in the run, the same whenever it is walked."""
        ...

    @property
    def scope(self) -> Mapping[str, object]:
        """What expressions and templates read.

        `input`, the results of earlier steps by name, `run`, and what a surrounding step adds, such as a `map`'s item.
        """
        ...

    @property
    def key(self) -> str:
        """The idempotency key of this step: the same after every crash, another one for every other place and run."""
        ...

    def text(self, template: str) -> str:
        """A template filled in, as text. Raises Invalid where it grows beyond its bound."""
        ...

    def value(self, template: object) -> Any:
        """Plain data with every template in it filled in; a text that is one `{{ … }}` alone keeps its type."""
        ...

    def evaluate(self, expression: str) -> Any:
        """The value of an expression. Raises Invalid where it is absent."""
        ...

    def holds(self, condition: str) -> bool:
        """Whether a condition is true; absent is not."""
        ...

    async def ask(self, model: str, request: Request) -> Response:
        """The whole answer of the model of this name, counted for this step."""
        ...

    async def approve(self, question: Question) -> Verdict:
        """What people say. Raises Suspended until somebody has answered."""
        ...

    async def sleep(self, until: float) -> None:
        """Returns at a time, in seconds since 1970: the one that was named when this was first reached.

        Raises Suspended until then where the run is durable.
        """
        ...

    async def steps(
        self, steps: Sequence[Step], key: str, names: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """Walks steps within this one, one after the other, under `key`; their results by name.

        They see what this step sees, and `names`. Raises what they raise.
        """
        ...

    def tell(self, **facts: Any) -> None:
        """Puts facts into the trace, without a word of content: scores, counts, verdicts."""
        ...


class Step(Kind, frozen=True, kw_only=True):
    """One piece of a pipeline's work. Its settings are data; what it does goes through the doors of its place."""

    contract: ClassVar[str] = "step"
    streams: ClassVar[bool] = False
    """Whether its result is the text of the one answer that it asks for, which may go to the caller as it comes."""
    effect: ClassVar[Effect] = "idempotent"
    """What doing it again would do, unless the step says otherwise by itself."""

    name: StepName
    """What later steps call its result."""
    when: str | None = None
    """A condition; where it does not hold, the step is left out and its result is absent."""
    retry: Retry | None = None
    """How often it is tried; once where nothing is said."""
    timeout: Seconds | None = None
    """Seconds for one try; until the end of the run where nothing is said. Waiting for people is no work."""
    reuse: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0
    """Seconds for which the same step with the same inputs need not be done again, within tenant and purpose."""

    async def work(self, place: Place) -> Any:
        """The step's result, as plain data. Raises a DirigentError where it fails, Suspended where it waits."""
        raise NotImplementedError

    def effect_of(self) -> Effect:
        """What doing it again would do, by these settings."""
        return self.effect

    def mentions(self) -> Iterable[Mention]:
        """Every model that it may ask by itself; those that the steps within it ask are found there."""
        return ()

    def within(self) -> Iterable[tuple[tuple[str | int, ...], Sequence[Step], Names]]:
        """The steps within it: where they stand, and the names that they see besides those that it sees."""
        return ()

    def gives(self) -> Iterable[str]:
        """The fields of its result, as paths, where they are known beforehand; it may have any where none is named."""
        return ()

    def waits(self) -> bool:
        """Whether it may wait for people or for a time by itself, so that its run has to be durable."""
        return False

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """What is wrong with these settings beyond their fields, templates and expressions included.

        `names` are those that stand at its place. Paths are relative to the step.
        """
        return ()


def names_after(steps: Sequence[Step], names: Names) -> Names:
    """The names that stand behind these steps, where `names` stand before them."""
    for step in steps:
        names |= frozenset(f"{step.name}.{field}" for field in step.gives()) or {step.name}
    return names
