"""One of several ways is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.model import Survey
from dirigent.models.filling import expression_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Branch", "Case"]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition, and the steps that are walked where it is the first that holds."""

    when: str
    """An expression."""
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    """The steps; the result of the last is that of the branch."""


class Branch(Step, frozen=True, kw_only=True):
    """Take the first case whose condition holds, and no other; the result is that of its last step."""

    cases: Annotated[tuple[Case, ...], Meta(min_length=1)]
    """The cases, first match wins."""
    otherwise: tuple[Step, ...] = ()
    """The steps that are walked where no case holds; without them the result is null then."""

    async def work(self, place: Place) -> Any:
        """The result of the last step of the way that is taken."""
        for number, case in enumerate(self.cases, 1):
            if place.holds(case.when):
                place.tell(case=number)
                return await _last(place, case.steps, f"case{number}")
        place.tell(case="otherwise")
        return await _last(place, self.otherwise, "otherwise") if self.otherwise else None

    def within(self) -> Iterator[tuple[tuple[str | int, ...], Sequence[Step], Names]]:
        """Every way."""
        for place, case in enumerate(self.cases):
            yield ("cases", place, "steps"), case.steps, frozenset()
        if self.otherwise:
            yield ("otherwise",), self.otherwise, frozenset()

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its conditions."""
        for place, case in enumerate(self.cases):
            yield from expression_faults(case.when, names, ("cases", place, "when"))


async def _last(place: Place, steps: Sequence[Step], key: str) -> object:
    return (await place.steps(steps, key)).get(steps[-1].name)
