"""A function is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step
from dirigent.models.tools.tool import Tool as Function

__all__ = ["Tool"]


class Tool(Step, frozen=True, kw_only=True):
    """Call a tool: a typed function of this node, such as a calculator or a table."""

    tool: Function
    """Which one, with its settings."""
    arguments: Mapping[str, Any] = {}
    """What it is given: plain data in which every text is a template."""

    async def work(self, place: Place) -> Any:
        """What it gives."""
        arguments = place.value(self.arguments)
        if not isinstance(arguments, dict):
            raise Invalid("the arguments of a tool are an object")
        return await self.tool.called(arguments, place.run)

    def effect_of(self) -> Effect:
        """That of the tool."""
        return self.tool.effect

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates, arguments that the tool does not know or that are missing, and what is wrong with the tool."""
        yield from template_faults(self.arguments, names, ("arguments",))
        for fault in self.tool.faults():
            yield Finding(("tool", *fault.path), fault.message)
        schema = self.tool.parameters()
        known = schema.get("properties", {})
        for name in self.arguments:
            if name not in known:
                yield Finding(
                    ("arguments", name), f"{self.tool.type_name()!r} takes no {name!r}; known are {sorted(known)}"
                )
        for name in schema.get("required", ()):
            if name not in self.arguments:
                yield Finding(("arguments",), f"{self.tool.type_name()!r} needs {name!r}")
