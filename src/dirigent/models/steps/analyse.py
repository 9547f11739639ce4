"""The step that computes what a table says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.analysis import Grain, compared, grouped, outliers, periods, profiled, trend
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Analyse"]

_MOST_ROWS = 200_000


class Analyse(Step, frozen=True, kw_only=True):
    """Compute the figures of a table, so that a model need only put them into words.

    The result has `rows` (how many), `columns` (of each its type, what is missing, how many values differ, and sum,
    mean, median, quarters and deviation of numbers), and for each measure under `measures`: its `outliers` by a score,
    and where `time` is named, its `periods`, their `trend` and the last one `compared` with the one before and a year
    ago; where `by` is named, its sums and shares by each of these, `groups`.
    """

    effect: ClassVar[Effect] = "pure"

    rows: str
    """A template that gives a list of objects, such as `{{ orders.rows }}`."""
    measures: tuple[str, ...] = ()
    """The fields with numbers that are looked at closely; every field with numbers where none is named."""
    time: str | None = None
    """The field with dates, as ISO 8601 writes them."""
    grain: Grain = "month"
    """How long a period is."""
    by: tuple[str, ...] = ()
    """Fields by whose values sums are formed."""

    async def work(self, place: Place) -> Any:
        """The figures. Raises Invalid where there are no rows, or too many."""
        rows = place.value(self.rows)
        if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
            raise Invalid("the rows are no list of objects")
        if len(rows) > _MOST_ROWS:
            raise Invalid(f"there are {len(rows)} rows; {_MOST_ROWS} are looked at here, so let the query sum them up")
        found = await asyncio.to_thread(self._figures, list(rows))
        place.tell(rows=len(rows), columns=len(found["columns"]), measures=len(found["measures"]))
        return found

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its template."""
        return template_faults(self.rows, names, ("rows",))

    def _figures(self, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
        columns = profiled(rows)
        named = self.measures or tuple(column["field"] for column in columns if column["type"] == "number")
        return {"rows": len(rows), "columns": columns, "measures": {name: self._measure(rows, name) for name in named}}

    def _measure(self, rows: list[Mapping[str, Any]], name: str) -> dict[str, Any]:
        told: dict[str, Any] = {"outliers": outliers(rows, name)}
        if self.time is not None:
            series = periods(rows, self.time, name, self.grain)
            told |= {"periods": series, "trend": trend(series), "compared": compared(series, self.grain)}
        if self.by:
            told["groups"] = {by: grouped(rows, by, name) for by in self.by}
        return told
