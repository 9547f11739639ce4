"""The same is done with each of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Finding, Invalid
from dirigent.core.journal import Fenced
from dirigent.core.model import Survey
from dirigent.models.filling import expression_faults
from dirigent.models.steps.step import Names, Place, Step, StepName, named
from dirigent.models.together import together

__all__ = ["Map"]


class Map(Step, frozen=True, kw_only=True):
    """Walk steps once for each item of a list, several at a time; the result has what the last step gave, in order.

    The steps see the item under the name that `as` gives it, and its number, from 1, as that name and `_number`.
    """

    over: str
    """An expression: the list."""
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    """What is done with each item."""
    item: StepName = msgspec.field(default="item", name="as")
    """What the steps call it."""
    at_most_at_once: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """How many items are worked on at the same time."""
    most: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """How many items there may be; a longer list is refused before anything is done."""
    on_failure: Literal["stop", "collect"] = "stop"
    """Whether one that fails ends all others, or is noted: then the result is an object of `done`, the list with null
    where one failed, and `failed`, each with `number`, `code` and `message`."""

    async def work(self, place: Place) -> Any:
        """The results in order."""
        items = place.evaluate(self.over)
        if not isinstance(items, list):
            raise Invalid(f"`{self.over}` is no list")
        if len(items) > self.most:
            raise Invalid(f"`{self.over}` has {len(items)} items, and {self.most} is the limit")
        failed: dict[int, dict[str, Any]] = {}
        works = [partial(self._one, place, number, item, failed) for number, item in enumerate(items, 1)]
        results = await together(works, self.at_most_at_once)
        place.tell(items=len(items), failed=len(failed))
        if self.on_failure == "stop":
            return results
        return {"done": results, "failed": [failed[number] for number in sorted(failed)]}

    async def _one(self, place: Place, number: int, item: object, failed: dict[int, dict[str, Any]]) -> object:
        names = {self.item: item, f"{self.item}_number": number}
        try:
            return (await place.steps(self.steps, str(number), names)).get(self.steps[-1].name)
        except Fenced:
            raise
        except DirigentError as error:
            if self.on_failure == "stop":
                raise
            failed[number] = {"number": number, "code": error.code, "message": error.message}
            return None

    def within(self) -> Iterator[tuple[tuple[str | int, ...], Sequence[Step], Names]]:
        """What is done with each."""
        yield ("steps",), self.steps, frozenset({self.item, f"{self.item}_number"})

    def gives(self) -> Iterable[str]:
        """The two lists, where failures are collected."""
        return ("done", "failed") if self.on_failure == "collect" else ()

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its expression and its names."""
        yield from expression_faults(self.over, names, ("over",))
        for fault in named((self.item,), ()):
            yield Finding(("as",), fault.message)
        roots = {name.partition(".")[0] for name in names}
        for name in (self.item, f"{self.item}_number"):
            if name in roots:
                yield Finding(("as",), f"{name!r} stands for something else here already")
