"""Templates and expressions within the settings of steps: how they are filled in, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dirigent.core import expression, template
from dirigent.core.errors import Finding, Invalid
from dirigent.core.expression import ABSENT, Expression, ExpressionFault

__all__ = ["evaluated", "expression_faults", "filled", "holding", "identifiers", "template_faults", "valued"]

Path = tuple[str | int, ...]


@lru_cache(maxsize=4_096)
def _read(source: str) -> Expression:
    return expression.compile(source)


def holding(condition: str, scope: Mapping[str, object]) -> bool:
    """Whether a condition is true; absent is not."""
    return _read(condition).holds(scope)


def valued(source: str, scope: Mapping[str, object]) -> Any:
    """The value of an expression, `ABSENT` where it has none."""
    value = _read(source).evaluate(scope)
    return list(value) if type(value) is tuple else value


def evaluated(source: str, scope: Mapping[str, object]) -> Any:
    """The value of an expression. Raises Invalid where it is absent."""
    value = valued(source, scope)
    if value is ABSENT:
        raise Invalid(f"`{source}` has no value here")
    return value


def filled(value: object, scope: Mapping[str, object]) -> Any:
    """Plain data with every template in it filled in; a text that is one blank alone keeps its type."""
    if isinstance(value, str):
        return template.compile(value).value(scope) if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: filled(each, scope) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [filled(each, scope) for each in value]
    return value


def template_faults(value: object, names: Collection[str], path: Path) -> Iterator[Finding]:
    """What is wrong with the templates in plain data, each with its path; `names` are those that it may read."""
    if isinstance(value, str):
        if "{{" in value:
            try:
                template.compile(value, names)
            except ExpressionFault as fault:
                yield Finding(path, str(fault))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from template_faults(each, names, (*path, key))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from template_faults(each, names, (*path, place))


def expression_faults(source: str | None, names: Collection[str], path: Path) -> Iterator[Finding]:
    """What is wrong with an expression, where there is one; `names` are those that it may read."""
    if source is not None:
        try:
            expression.compile(source, names)
        except ExpressionFault as fault:
            yield Finding(path, str(fault))


def identifiers(names: Collection[str]) -> Iterator[str]:
    """Those that an expression can name."""
    return (name for name in names if name.isidentifier() and name.isascii())
