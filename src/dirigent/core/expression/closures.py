"""Nodes become closures once, so that evaluating is a handful of calls."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from dirigent.core.expression import syntax
from dirigent.core.expression.functions import FUNCTIONS
from dirigent.core.expression.syntax import Node
from dirigent.core.expression.values import ABSENT, BINARY, METHODS, admit, element, member, negate

__all__ = ["Closure", "close"]

Closure = Callable[[object], object]
"""Takes the scope, gives a value of the language."""

_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def close(node: Node) -> Closure:  # noqa: PLR0912 - one short case for each node
    """The closure that gives the node's value in a scope."""
    match node:
        case syntax.Literal(value):
            return lambda _: value
        case syntax.Name(name):
            return _name(name)
        case syntax.Member(of, name):
            return _member(close(of), name)
        case syntax.ListOf(items):
            return _list([close(item) for item in items])
        case syntax.Index(of, index):
            return _two(element, close(of), close(index))
        case syntax.Call(function, arguments):
            return _call(FUNCTIONS[function].apply, [close(argument) for argument in arguments])
        case syntax.Has(path):
            return _has(close(path))
        case syntax.Method(of, name, argument):
            return _two(METHODS[name], close(of), close(argument))
        case syntax.Negative(operand):
            return _one(negate, close(operand))
        case syntax.Not(operand):
            return _not(close(operand))
        case syntax.Binary(operator, left, right):
            return _binary(operator, close(left), right)
        case syntax.AllOf(parts):
            return _joined([close(part) for part in parts], decisive=False)
        case syntax.AnyOf(parts):
            return _joined([close(part) for part in parts], decisive=True)
        case syntax.Choice(condition, then, otherwise):
            return _choice(close(condition), close(then), close(otherwise))


def _name(name: str) -> Closure:
    def evaluate(scope: object) -> object:
        if type(scope) is dict:
            value = scope.get(name, ABSENT)
            return value if type(value) is str or type(value) is bool else admit(value)
        return member(scope, name)

    return evaluate


def _member(of: Closure, name: str) -> Closure:
    return lambda scope: member(of(scope), name)


def _list(items: list[Closure]) -> Closure:
    return lambda scope: tuple([item(scope) for item in items])


def _one(operation: Callable[[object], object], operand: Closure) -> Closure:
    return lambda scope: operation(operand(scope))


def _two(operation: Callable[[object, object], object], left: Closure, right: Closure) -> Closure:
    return lambda scope: operation(left(scope), right(scope))


def _call(operation: Callable[..., object], arguments: list[Closure]) -> Closure:
    match arguments:
        case [only]:
            return _one(operation, only)
        case [left, right]:
            return _two(operation, left, right)
    return lambda scope: operation(*[argument(scope) for argument in arguments])


def _has(path: Closure) -> Closure:
    return lambda scope: path(scope) is not ABSENT


def _binary(operator: str, left: Closure, right: Node) -> Closure:
    if operator in _ORDER and isinstance(right, syntax.Literal) and type(right.value) in (int, Decimal):
        return _against_number(operator, left, right.value)
    return _two(BINARY[operator], left, close(right))


def _against_number(operator: str, left: Closure, number: object) -> Closure:
    # The commonest comparison by far: one look at the kind of the left side is enough.
    compare, differs = _ORDER[operator], operator == "!="

    def evaluate(scope: object) -> object:
        value = left(scope)
        if type(value) is int or type(value) is Decimal:
            return compare(value, number)
        return differs and value is not ABSENT

    return evaluate


def _not(operand: Closure) -> Closure:
    def evaluate(scope: object) -> object:
        value = operand(scope)
        return not value if value is True or value is False else ABSENT

    return evaluate


def _joined(parts: list[Closure], *, decisive: bool) -> Closure:
    """`or` where `decisive` is true, else `and`: that truth settles it; without it, what is no truth makes it absent.

    No part after the one that settles it is evaluated.
    """

    def evaluate(scope: object) -> object:
        result: object = not decisive
        for part in parts:
            value = part(scope)
            if value is decisive:
                return decisive
            if value is not (not decisive):
                result = ABSENT
        return result

    return evaluate


def _choice(condition: Closure, then: Closure, otherwise: Closure) -> Closure:
    def evaluate(scope: object) -> object:
        value = condition(scope)
        return then(scope) if value is True else otherwise(scope) if value is False else ABSENT

    return evaluate
