"""A small total language for conditions and calculations: read once, evaluated in microseconds.

Total means: evaluating ends for every scope, raises nothing, reaches nothing but the scope, and what has no answer is
`ABSENT`. The language is described in `docs/expression.md`; it looks like CEL where the two agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

import msgspec

from dirigent.core.expression import syntax
from dirigent.core.expression.closures import close
from dirigent.core.expression.fault import ExpressionFault
from dirigent.core.expression.reader import read
from dirigent.core.expression.values import ABSENT
from dirigent.core.registry import nearest

__all__ = ["Explanation", "Expression", "compile", "show"]

Scope = Mapping[str, object] | msgspec.Struct
"""What names stand for: a dictionary, or a struct whose declared fields are the names."""


class Explanation(msgspec.Struct, frozen=True):
    """One part of an expression, its value in a scope, and the parts that made it so, but for values written out."""

    source: str
    value: str
    parts: tuple[Explanation, ...] = ()


class Expression:
    """A condition or calculation that was read and found to be one."""

    __slots__ = ("_evaluate", "_node", "names", "source")

    def __init__(self, source: str, node: syntax.Node) -> None:
        self.source = source
        """The text as it was written."""
        self.names: frozenset[str] = frozenset(syntax.dotted(path) or "" for path in syntax.paths(node))
        """Every path that is read from the scope, as far as it is made of plain names: `request.tools`."""
        self._node = node
        self._evaluate = close(node)

    @property
    def elements(self) -> int | None:
        """How many elements it writes out, where it is a list that is written out."""
        return len(self._node.items) if isinstance(self._node, syntax.ListOf) else None

    def evaluate(self, scope: Scope) -> object:
        """The value: an int, Decimal, str, bool, None, list, object, or `ABSENT`. Never raises, always ends."""
        return self._evaluate(scope)

    def holds(self, scope: Scope) -> bool:
        """Whether the value is `true`; anything else, absent included, does not hold."""
        return self._evaluate(scope) is True

    def explain(self, scope: Scope) -> Explanation:
        """The value of each part, those that evaluating would have skipped included."""
        return _explain(self._node, scope)

    def canonical(self) -> str:
        """The same expression in the one spelling that says it with the fewest parentheses."""
        return syntax.write(self._node)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self._node == other._node and self.canonical() == other.canonical()

    def __hash__(self) -> int:
        return hash(self.canonical())


def compile(source: str, names: Collection[str] | None = None) -> Expression:  # noqa: A001 - as `re.compile`
    """Reads an expression of at most 4,096 characters and 64 levels.

    Where `names` are given, each path must be one of them, lie below one that has nothing listed below it, or lead to
    one; a name that is not raises ExpressionFault with the nearest that is. Every other fault raises it, too, with
    line, column, what was expected and the place.
    """
    node = read(source)
    if names is not None:
        for path in syntax.paths(node):
            _refuse_stranger(source, path, names)
    return Expression(source, node)


def show(value: object, longest: int = 80) -> str:
    """The value as the language writes it, cut after `longest` characters."""
    text = _written(value, longest)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _refuse_stranger(source: str, path: syntax.Name | syntax.Member, names: Collection[str]) -> None:
    name = syntax.dotted(path) or ""
    for known in names:
        if known == name or known.startswith(name + "."):
            return
        if name.startswith(known + ".") and not any(other.startswith(known + ".") for other in names):
            return
    start: syntax.Node = path
    while isinstance(start, syntax.Member):
        start = start.of
    hint = nearest(name, names) or f"; known are {', '.join(sorted(names))}"
    raise ExpressionFault(source, start.at, f"there is no `{name}`{hint}")


def _explain(node: syntax.Node, scope: Scope) -> Explanation:
    value = show(close(node)(scope))
    if isinstance(node, syntax.Name | syntax.Member):
        return Explanation(syntax.write(node), value)
    below = [child for child in syntax.children(node) if not isinstance(child, syntax.Literal)]
    return Explanation(syntax.write(node), value, tuple(_explain(child, scope) for child in below))


def _written(value: object, longest: int) -> str:
    if value is ABSENT:
        return "absent"
    if value is None or isinstance(value, bool | int | Decimal):
        return syntax.write(syntax.Literal(value))
    if isinstance(value, str):
        return syntax.write(syntax.Literal(value[:longest]))
    if isinstance(value, list | tuple):
        return f"[{', '.join(show(one, longest) for one in value[:8])}{', …' if len(value) > 8 else ''}]"
    return "an object"
