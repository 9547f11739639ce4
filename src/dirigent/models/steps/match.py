"""Which row of a table a few words mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import expression_faults, template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Match"]

_WORD = re.compile(r"[^\W\d_]+|\d+")
_ALTERNATIVES = 3
_MOST_ROWS = 20_000


class Match(Step, frozen=True, kw_only=True):
    """Find the row of a table that a few words mean, such as the product that somebody has asked for by its name.

    Words are alike by their triples of letters, so that endings and compounds do not matter, and the numbers in them
    have to be in the row: `DN 125` is never `DN 160`. The result has the `row`, null where none is alike enough, its
    `score` from 0 to 1, and the next best `alternatives`. No language model is asked.
    """

    effect: ClassVar[Effect] = "pure"

    text: str
    """The words, as a template."""
    rows: str
    """An expression that gives the rows: `products.rows`."""
    by: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The fields of a row that the words may stand for; the one that is most alike counts."""
    least: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Below this score there is no match."""
    lead: Annotated[float, Meta(ge=0, le=1)] = 0.03
    """A row that leads the next one by less than this is no match: two are meant as likely."""

    async def work(self, place: Place) -> Any:
        """The row, how alike it is, and the next best. Raises Invalid where there are no rows to look in."""
        rows = place.evaluate(self.rows)
        if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
            raise Invalid(f"rows: {self.rows} is no list of objects")
        if len(rows) > _MOST_ROWS:
            raise Invalid(f"rows: there are {len(rows)}, and at most {_MOST_ROWS} are looked through")
        asked = _Shape(place.text(self.text))
        scored = [(max(asked.like(_Shape(str(row.get(field) or ""))) for field in self.by), row) for row in rows]
        ranked = sorted(scored, key=lambda each: -each[0])[: _ALTERNATIVES + 1]
        best = ranked[0] if ranked else (0.0, None)
        clear = len(ranked) < 2 or best[0] - ranked[1][0] >= self.lead
        found = best[1] if best[0] >= self.least and clear else None
        others = ranked[1:] if found is not None else ranked[:_ALTERNATIVES]
        place.tell(score=round(best[0], 3), matched=found is not None)
        return {
            "row": found,
            "score": round(best[0], 3),
            "alternatives": [{"score": round(score, 3), "row": row} for score, row in others],
        }

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A template or an expression that cannot be read, or that names what is not there."""
        yield from template_faults(self.text, names, ("text",))
        yield from expression_faults(self.rows, names, ("rows",))


class _Shape:
    """A few words by their triples of letters, and the numbers in them."""

    __slots__ = ("numbers", "triples")

    def __init__(self, text: str) -> None:
        words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        self.numbers = frozenset(word for word in words if word.isdigit())
        letters = (f" {word} " for word in words if not word.isdigit())
        self.triples = frozenset(word[at : at + 3] for word in letters for at in range(len(word) - 2))

    def like(self, other: _Shape) -> float:
        """How much of what is asked for stands in the other, and how much else does; 0 to 1.

        The Tversky index over triples, by which what the other says besides counts a seventh; times the share of the
        numbers that the other has too.
        """
        if not self.triples:
            return 0.0
        both = len(self.triples & other.triples)
        index = both / (both + len(self.triples - other.triples) + 0.15 * len(other.triples - self.triples))
        return index * (len(self.numbers & other.numbers) / len(self.numbers) if self.numbers else 1.0)
