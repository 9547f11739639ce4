"""A small total expression language: `compile` reads a text once, the `Expression` evaluates it in microseconds."""

from dirigent.core.expression.expression import Explanation, Expression, compile, show  # noqa: A004 - read as `expression.compile`
from dirigent.core.expression.fault import ExpressionFault
from dirigent.core.expression.values import ABSENT

__all__ = ["ABSENT", "Explanation", "Expression", "ExpressionFault", "compile", "show"]
