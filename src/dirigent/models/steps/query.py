"""The step that asks tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding, Invalid, Unavailable
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.core.registry import nearest
from dirigent.core.selects import read_select
from dirigent.core.source import Source
from dirigent.core.tables import Bounds
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Query"]

_BOUNDS = Bounds()


class Query(Step, frozen=True, kw_only=True):
    """Ask the tables of a source one SELECT, and get its rows as objects.

    The text of the query is fixed; what changes from run to run goes into its parameters, `:name` in the text, which
    are bound and never become part of it. The result has `rows`, `columns`, their `count`, and `more`: whether there
    were more rows than it may bring.
    """

    effect: ClassVar[Effect] = "pure"

    source: str
    """Of which source the tables are."""
    sql: Annotated[str, Meta(min_length=1, max_length=20_000)]
    """One SELECT, in the words of that database."""
    parameters: Mapping[str, Any] = {}
    """Its parameters by name; templates are filled in."""
    limits: Bounds = _BOUNDS
    """What it may bring and take at most."""

    async def work(self, place: Place) -> Any:
        """The rows. Raises QueryFailed, TimedOut, Unavailable, and Forbidden where the purpose does not reach there."""
        run = place.run
        source = run.catalog.source(self.source)
        if not isinstance(source, Source) or source.offers != "tables":
            raise Invalid(f"the source {self.source!r} has no tables")
        source.permit(self.source, run)
        if run.ports.tables is None:
            raise Unavailable("this node asks no tables")
        given = {name: place.value(value) for name, value in self.parameters.items()}
        found = await run.ports.tables.query(
            source.rows_at(self.source, run.ports.secrets), self.sql, given, self.limits
        )
        place.tell(source=self.source, rows=len(found.rows), more=found.more)
        return {"rows": found.rows, "columns": found.columns, "count": len(found.rows), "more": found.more}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A source that is none with tables, a text that is no query, a parameter too few or too many."""
        source = survey.source(self.source)
        if self.source not in survey.source_names():
            hint = nearest(self.source, survey.source_names())
            yield Finding(("source",), f"there is no source {self.source!r}{hint}")
        elif source is not None and source.offers != "tables":
            yield Finding(("source",), f"{self.source!r} is a {source.offers} and has no tables")
        yield from template_faults(self.parameters, names, ("parameters",))
        try:
            select = read_select(self.sql)
        except Invalid as fault:
            yield Finding(("sql",), fault.message)
            return
        for name in sorted(select.names - set(self.parameters)):
            yield Finding(("parameters",), f"the query takes :{name}, and nobody gives it")
        for name in sorted(set(self.parameters) - select.names):
            yield Finding(("parameters", name), f"the query has no :{name}")
