"""The functions of the language.

Each is total: it answers for any arguments, ends in time proportional to what it reads, and what has no answer is
absent.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from dirigent.core.expression.values import (
    ABSENT,
    DIGITS,
    LONGEST_LIST,
    LONGEST_TEXT,
    add,
    admit,
    element,
    greater,
    less,
    lower,
    member,
    negate,
    size,
)

__all__ = ["FUNCTIONS", "Function"]

_FINEST: Final = 30
"""Digits behind the point to which a number is rounded at most."""
_WAYS: Final = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
}
_PLAIN_NUMBER: Final = "+-.0123456789"
_CONTEXTS: Final = {
    way: Context(prec=DIGITS, Emax=DIGITS, Emin=-DIGITS, rounding=way, traps=[])
    for way in (*_WAYS.values(), ROUND_FLOOR, ROUND_CEILING)
}


class Function(NamedTuple):
    """One function of the language: how many arguments it takes, and what it does with them."""

    fewest: int
    most: int
    apply: Callable[..., object]


def upper(value: object) -> object:
    """The text in capital letters."""
    if type(value) is not str or len(value) > LONGEST_TEXT:
        return ABSENT
    text = value.upper()  # some letters become two
    return text if len(text) <= LONGEST_TEXT else ABSENT


def trim(value: object) -> object:
    """The text without blanks around it."""
    return value.strip() if type(value) is str and len(value) <= LONGEST_TEXT else ABSENT


def absolute(value: object) -> object:
    """The number without its sign."""
    return negate(value) if less(value, 0) else value if type(value) in (int, Decimal) else ABSENT


def rounded(value: object, digits: object = 0, way: object = "half_even") -> object:
    """The number with so many digits behind the point: whole where they are 0, else with exactly so many."""
    if type(way) is not str or way not in _WAYS:
        return ABSENT
    return _rounded(value, digits, _WAYS[way])


def floor(value: object) -> object:
    """The next whole number below."""
    return _rounded(value, 0, ROUND_FLOOR)


def ceiling(value: object) -> object:
    """The next whole number above."""
    return _rounded(value, 0, ROUND_CEILING)


def smallest(*values: object) -> object:
    """The smallest of several numbers or texts; of a list, or of a field of the objects in it, where one is given."""
    return _extreme(values, less)


def largest(*values: object) -> object:
    """The largest of several numbers or texts; of a list, or of a field of the objects in it, where one is given."""
    return _extreme(values, greater)


def total(values: object, field: object = None) -> object:
    """The sum of a list of numbers, or of a field of the objects in it; absent as soon as one is no number."""
    found: object = 0
    for value in _elements(values, field):
        if type(value) not in (int, Decimal):
            return ABSENT
        found = add(found, value)
    return found if type(values) in (list, tuple) else ABSENT


def pluck(values: object, field: object) -> object:
    """A field of each object in a list, in order; absent where the list is longer than one that can be joined."""
    if type(values) not in (list, tuple) or len(values) > LONGEST_LIST or type(field) is not str:  # type: ignore[arg-type]
        return ABSENT
    return tuple(_elements(values, field))


def first(values: object) -> object:
    """The first element of a list."""
    return element(values, 0)


def last(values: object) -> object:
    """The last element of a list."""
    return element(values, len(values) - 1) if type(values) in (list, tuple) else ABSENT  # type: ignore[arg-type]


def number(value: object) -> object:
    """The number that a text is, written as the language writes it: `12` or `-0.35`; a number stays as it is."""
    if type(value) in (int, Decimal):
        return value
    if type(value) is not str or not 0 < len(value) <= DIGITS + 2 or any(sign not in _PLAIN_NUMBER for sign in value):
        return ABSENT
    try:
        return admit(Decimal(value) if "." in value else int(value))
    except ArithmeticError:
        return ABSENT
    except ValueError:
        return ABSENT


def text(value: object) -> object:
    """A number or truth as a text, as the language writes it; a text stays as it is."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    return f"{value:f}" if type(value) is Decimal else ABSENT


def days(start: object, end: object) -> object:
    """Whole days from one date to another, both as texts such as `2026-11-30`."""
    begins, ends = _date(start), _date(end)
    return (ends - begins).days if begins is not None and ends is not None else ABSENT


def later(start: object, count: object) -> object:
    """The date so many days after another one, as a text such as `2026-11-30`."""
    begins = _date(start)
    if begins is None or type(count) is not int:
        return ABSENT
    try:
        return (begins + timedelta(days=count)).isoformat()
    except OverflowError:
        return ABSENT


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "abs": Function(1, 1, absolute),
        "ceil": Function(1, 1, ceiling),
        "days": Function(2, 2, days),
        "first": Function(1, 1, first),
        "floor": Function(1, 1, floor),
        "last": Function(1, 1, last),
        "later": Function(2, 2, later),
        "lower": Function(1, 1, lower),
        "max": Function(1, 16, largest),
        "min": Function(1, 16, smallest),
        "number": Function(1, 1, number),
        "pluck": Function(2, 2, pluck),
        "round": Function(1, 3, rounded),
        "size": Function(1, 1, size),
        "sum": Function(1, 2, total),
        "text": Function(1, 1, text),
        "trim": Function(1, 1, trim),
        "upper": Function(1, 1, upper),
    }
)


def _rounded(value: object, digits: object, way: str) -> object:
    if type(value) not in (int, Decimal) or type(digits) is not int or not 0 <= digits <= _FINEST:
        return ABSENT
    context = _CONTEXTS[way]
    found = context.quantize(context.create_decimal(value), Decimal((0, (1,), -digits)))  # type: ignore[arg-type]
    if not found.is_finite():
        return ABSENT
    return admit(int(found) if digits == 0 else found)


def _extreme(values: tuple[object, ...], better: Callable[[object, object], bool]) -> object:
    several: Iterable[object] = values
    if type(values[0]) in (list, tuple):
        if len(values) > 2:
            return ABSENT
        several = _elements(values[0], values[1] if len(values) == 2 else None)
    found: object = ABSENT
    for place, value in enumerate(several):
        if place == 0 or better(value, found):
            found = value
        elif not better(found, value) and not _alike(value, found):
            return ABSENT
    return found if type(found) in (int, Decimal, str) else ABSENT


def _alike(one: object, other: object) -> bool:
    numbers = (int, Decimal)
    return (type(one) in numbers and type(other) in numbers) or (type(one) is str and type(other) is str)


def _elements(values: object, field: object) -> Iterable[object]:
    """The elements of a list, or a field of each; nothing where it is no list."""
    if type(values) not in (list, tuple):
        return
    for value in values:  # type: ignore[attr-defined]
        yield admit(value) if field is None else member(value, field) if type(field) is str else ABSENT


def _date(value: object) -> date | None:
    if type(value) is not str or len(value) < 10:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None
