"""The same is done until it is good enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta

from dirigent.core.errors import BadAnswer, Finding, Invalid
from dirigent.core.model import Survey
from dirigent.models.filling import evaluated, expression_faults, holding
from dirigent.models.steps.step import Names, Place, Step, names_after

__all__ = ["Loop"]

_SEEN: Names = frozenset({"previous", "round_number"})


class Loop(Step, frozen=True, kw_only=True):
    """Walk steps again and again, until a condition holds or the rounds are used up; the result is one round's last.

    The steps see the result of the round before as `previous`, which the first has none of, and `round_number`, from 1.
    """

    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    """What is done in a round."""
    until: str | None = None
    """A condition on the results of a round; without one all rounds are walked."""
    most: Annotated[int, Meta(ge=1, le=100)] = 3
    """Rounds at most."""
    keep: Literal["last", "best"] = "last"
    """Which round's result is kept: the last one's, or that of the one with the greatest `by`."""
    by: str | None = None
    """An expression over the results of a round: a number, the greater the better."""
    exhausted: Literal["keep", "fail"] = "keep"
    """What becomes of it where the condition holds in no round: what is kept is the result, or the step fails."""

    async def work(self, place: Place) -> Any:
        """The result of the round that is kept."""
        previous: object = None
        kept: object = None
        best: int | Decimal | None = None
        reached = self.until is None
        rounds = 0
        for number in range(1, self.most + 1):
            rounds = number
            names: dict[str, object] = {"round_number": number}
            if number > 1:
                names["previous"] = previous
            results = await place.steps(self.steps, f"round{number}", names)
            previous = results.get(self.steps[-1].name)
            seen = {**place.scope, **names, **results}
            mark = self._mark(seen)
            if mark is None or best is None or mark > best:
                kept, best = previous, mark
            if self.until is not None and holding(self.until, seen):
                reached = True
                break
        place.tell(rounds=rounds, reached=reached, **({} if best is None else {"best": str(best)}))
        if not reached and self.exhausted == "fail":
            raise BadAnswer(f"in none of {self.most} rounds `{self.until}` held")
        return kept

    def _mark(self, seen: dict[str, object]) -> int | Decimal | None:
        if self.keep == "last" or self.by is None:
            return None
        mark = evaluated(self.by, seen)
        if isinstance(mark, bool) or not isinstance(mark, int | Decimal):
            raise Invalid(f"`{self.by}` is no number")
        return mark

    def within(self) -> Iterator[tuple[tuple[str | int, ...], Sequence[Step], Names]]:
        """A round."""
        yield ("steps",), self.steps, _SEEN

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its expressions, and `keep` without `by`."""
        after = names_after(self.steps, names | _SEEN)
        yield from expression_faults(self.until, after, ("until",))
        yield from expression_faults(self.by, after, ("by",))
        if self.keep == "best" and self.by is None:
            yield Finding(("by",), "to keep the best round takes an expression by which it is the best")
        if self.keep == "last" and self.by is not None:
            yield Finding(("keep",), "`by` is only looked at where `keep` is `best`")
