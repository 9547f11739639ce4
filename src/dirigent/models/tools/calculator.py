"""Arithmetic, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from dirigent.core import expression
from dirigent.core.errors import Invalid
from dirigent.core.expression import ABSENT, ExpressionFault
from dirigent.core.run import Run
from dirigent.models.tools.tool import Tool

__all__ = ["Calculator"]


class Sum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be worked out."""

    expression: str
    """Such as `round((120 * hours - 50) * 1.19, 2)`: + - * / %, comparisons, round, min, max, sum, abs, days."""
    values: Mapping[str, Any] = {}
    """What the names in it stand for."""


class Calculator(Tool, frozen=True):
    """Work out an expression with exact decimals. Never calculate by yourself where this can."""

    takes: ClassVar[type[msgspec.Struct]] = Sum

    async def call(self, arguments: Any, run: Run) -> Any:
        """The value."""
        try:
            value = expression.compile(arguments.expression).evaluate(dict(arguments.values))
        except ExpressionFault as fault:
            raise Invalid(f"this is no expression: {fault}") from None
        if value is ABSENT:
            raise Invalid("it has no value: a name stands for nothing, kinds do not fit, or something is divided by 0")
        return list(value) if type(value) is tuple else value
