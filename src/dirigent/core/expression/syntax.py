"""The parts that an expression is made of, and how each is written.

Places are not part of what a node is: two nodes are equal when they say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

__all__ = [
    "AllOf",
    "AnyOf",
    "Binary",
    "Call",
    "Choice",
    "Has",
    "Index",
    "ListOf",
    "Literal",
    "Member",
    "Method",
    "Name",
    "Negative",
    "Node",
    "Not",
    "children",
    "dotted",
    "write",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, truth or null that is written out."""

    value: int | Decimal | str | bool | None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list that is written out."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the scope."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """A named part of an object: `of.name`."""

    of: Node
    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """An element of a list or an entry of an object: `of[index]`."""

    of: Node
    index: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One of the language's own functions."""

    function: str
    arguments: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Has:
    """Whether the path leads to something: `has(a.b)`."""

    path: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Method:
    """One of the language's own methods: `of.name(argument)`."""

    of: Node
    name: str
    argument: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negative:
    """The number with the other sign."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a truth."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison or a calculation of two values."""

    operator: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Two or more conditions joined by `and`."""

    parts: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Two or more conditions joined by `or`."""

    parts: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two values, by a condition: `condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node
    at: int = field(default=0, compare=False)


Node = Literal | ListOf | Name | Member | Index | Call | Has | Method | Negative | Not | Binary | AllOf | AnyOf | Choice

CHOICE: Final = 0
ANY: Final = 1
ALL: Final = 2
NOT: Final = 3
COMPARISON: Final = 4
SUM: Final = 5
PRODUCT: Final = 6
SIGN: Final = 7
PLACE: Final = 8
BINDING: Final = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not in"), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "%"), PRODUCT),
}
"""How tightly each operator holds its sides; what holds tighter is done first."""


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order in which they are written."""
    match node:
        case Literal() | Name():
            return ()
        case ListOf(items):
            return items
        case AllOf(parts) | AnyOf(parts):
            return parts
        case Member(of):
            return (of,)
        case Index(of, index):
            return (of, index)
        case Call(_, arguments):
            return arguments
        case Has(one) | Negative(one) | Not(one):
            return (one,)
        case Method(of, _, argument):
            return (of, argument)
        case Binary(_, left, right):
            return (left, right)
        case Choice(condition, then, otherwise):
            return (condition, then, otherwise)


def dotted(node: Node) -> str | None:
    """`a.b.c` for a path of plain names, else None."""
    names: list[str] = []
    while isinstance(node, Member):
        names.append(node.name)
        node = node.of
    return ".".join([node.name, *reversed(names)]) if isinstance(node, Name) else None


def paths(node: Node) -> Iterator[Name | Member]:
    """The longest path of plain names at each place where the scope is read."""
    waiting: list[Node] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Name | Member) and dotted(one) is not None:
            yield one
        else:
            waiting.extend(children(one))


def write(node: Node) -> str:
    """The canonical text: reading it gives an equal node again."""
    return _write(node)[0]


def _write(node: Node) -> tuple[str, int]:  # noqa: PLR0912 - one short case for each node
    match node:
        case Literal(value):
            return _literal(value), PLACE
        case Name(name):
            return name, PLACE
        case ListOf(items):
            return f"[{', '.join(write(item) for item in items)}]", PLACE
        case Member(of, name):
            return f"{_at_least(of, PLACE)}.{name}", PLACE
        case Index(of, index):
            return f"{_at_least(of, PLACE)}[{write(index)}]", PLACE
        case Call(function, arguments):
            return f"{function}({', '.join(write(argument) for argument in arguments)})", PLACE
        case Has(path):
            return f"has({write(path)})", PLACE
        case Method(of, name, argument):
            return f"{_at_least(of, PLACE)}.{name}({write(argument)})", PLACE
        case Negative(operand):
            return f"-{_at_least(operand, SIGN)}", SIGN
        case Not(operand):
            return f"not {_at_least(operand, NOT)}", NOT
        case Binary(operator, left, right):
            binding = BINDING[operator]
            # Comparisons do not chain, so a comparison inside one stands in parentheses on either side.
            first = _at_least(left, binding + 1 if binding == COMPARISON else binding)
            return f"{first} {operator} {_at_least(right, binding + 1)}", binding
        case AllOf(parts):
            return " and ".join(_at_least(part, ALL + 1) for part in parts), ALL
        case AnyOf(parts):
            return " or ".join(_at_least(part, ANY + 1) for part in parts), ANY
        case Choice(condition, then, otherwise):
            return f"{_at_least(condition, CHOICE + 1)} ? {write(then)} : {_at_least(otherwise, CHOICE)}", CHOICE


def _at_least(node: Node, binding: int) -> str:
    if isinstance(node, Not) and NOT < binding <= SIGN:
        return f"!{_at_least(node.operand, SIGN)}"  # the tight sign needs no parentheses around it
    text, own = _write(node)
    return text if own >= binding else f"({text})"


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_SPECIAL.get(sign, sign) for sign in value) + '"'
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_SPECIAL: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
