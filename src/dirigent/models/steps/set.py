"""Values are given names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import identifiers, template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Set"]


class Set(Step, frozen=True, kw_only=True):
    """Give names to values: plain data in which every text is a template."""

    effect: ClassVar[Effect] = "pure"

    values: Annotated[Mapping[str, Any], Meta(min_length=1)]
    """The values by name. A text that is one `{{ … }}` alone keeps the type of what is filled in."""

    async def work(self, place: Place) -> Any:
        """The values, filled in."""
        return place.value(self.values)

    def gives(self) -> Iterable[str]:
        """The names, unless one of them is none that an expression can write."""
        return identifiers(self.values.keys())

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates."""
        yield from template_faults(self.values, names, ("values",))
