"""Numbers are worked out, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import evaluated, expression_faults
from dirigent.models.steps.step import Names, Place, Step, named

__all__ = ["Calculate"]


class Calculate(Step, frozen=True, kw_only=True):
    """Work out named expressions, one after the other, with exact decimals; each may read those before it.

    Amounts are rounded where it is said: `round(net * 0.19, 2)` half-even, `round(net * 0.19, 2, "half_up")` as
    merchants do. A value that cannot be worked out, such as a sum with something missing in it, ends the step.
    """

    effect: ClassVar[Effect] = "pure"

    values: Annotated[Mapping[str, str], Meta(min_length=1)]
    """The expressions by name, in order."""

    async def work(self, place: Place) -> Any:
        """The values by name."""
        scope = dict(place.scope)
        found: dict[str, Any] = {}
        for name, source in self.values.items():
            try:
                found[name] = scope[name] = evaluated(source, scope)
            except Invalid as error:
                raise Invalid(f"{name!r} cannot be worked out: {error.message}") from None
        return found

    def gives(self) -> Iterable[str]:
        """The names."""
        return self.values.keys()

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its expressions, and names that would hide others."""
        yield from named(self.values, ("values",))
        roots = {name.partition(".")[0] for name in names}
        known = names
        for name, source in self.values.items():
            yield from expression_faults(source, known, ("values", name))
            if name in roots:
                yield Finding(("values", name), f"{name!r} stands for something else here already")
            known |= {name}
