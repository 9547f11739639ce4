"""The values of expressions and every operation on them; each is total: it answers for any operands and ends.

Numbers are whole (`int`) or decimal (`Decimal`), never binary floats: a float that comes in is read as the shortest
decimal that denotes it. What has no answer is `ABSENT`.
"""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType
from typing import Final

import msgspec

DIGITS: Final = 60
"""Sums, differences and products are exact up to this many digits; a number of more is absent."""
QUOTIENT_DIGITS: Final = 28
"""A quotient that does not come out even is rounded half-even to this many digits."""
LONGEST_TEXT: Final = 65_536
"""Characters an operation may build; a longer result is absent. Texts of the scope may be longer and are only read."""
LONGEST_LIST: Final = 1_024
"""Elements that `+` may join into one list; a longer result is absent."""
MOST_COMPARED: Final = 10_000
"""Elements one comparison looks at in nested lists and objects; what is larger counts as different."""


class Absent:
    """The one value for what is not there: a missing name, unlike kinds, a division by zero."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent()

_LIMIT: Final = 10**DIGITS
_NUMBERS: Final = frozenset({int, Decimal})
_EXACT: Final = Context(prec=DIGITS, Emax=DIGITS, Emin=-DIGITS, rounding=ROUND_HALF_EVEN, traps=[])
_QUOTIENT: Final = Context(prec=QUOTIENT_DIGITS, Emax=DIGITS, Emin=-DIGITS, rounding=ROUND_HALF_EVEN, traps=[])
_AS_THEY_ARE: Final = frozenset({bool, str, tuple, list, dict, type(None), Absent})


def admit(value: object) -> object:
    """A value from outside as a value of the language; absent where the language has none for it."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is int:
        return value if -_LIMIT < value < _LIMIT else ABSENT  # type: ignore[operator]
    if kind is float:
        return _bounded(Decimal(repr(value)))
    if kind is Decimal:
        return _bounded(value)  # type: ignore[arg-type]
    return _admit_relative(value)


def member(holder: object, name: str) -> object:
    """The entry of an object or the declared field of a struct; absent where there is none.

    Only dictionaries and declared fields are looked at, never attributes: an expression reaches nothing else.
    """
    if type(holder) is dict:
        return admit(holder.get(name, ABSENT))
    if isinstance(holder, msgspec.Struct):
        return admit(getattr(holder, name, ABSENT)) if name in holder.__struct_fields__ else ABSENT
    return ABSENT


def element(holder: object, index: object) -> object:
    """The element of a list, counted from 0, or the entry of an object."""
    if type(index) is int and type(holder) in (list, tuple):
        return admit(holder[index]) if 0 <= index < len(holder) else ABSENT  # type: ignore[arg-type, index]
    return member(holder, index) if type(index) is str else ABSENT


def size(value: object) -> object:
    """Characters of a text, elements of a list, entries of an object."""
    return len(value) if type(value) in (str, list, tuple, dict) else ABSENT  # type: ignore[arg-type]


def lower(value: object) -> object:
    """The text in small letters."""
    return _short(value.lower()) if type(value) is str and len(value) <= LONGEST_TEXT else ABSENT


def contains(text: object, part: object) -> object:
    """Whether the text holds the part, or the list the element."""
    return is_in(part, text) if type(text) in (str, list, tuple) else ABSENT


def starts_with(text: object, start: object) -> object:
    """Whether the text begins so."""
    return text.startswith(start) if type(text) is str and type(start) is str else ABSENT


def ends_with(text: object, end: object) -> object:
    """Whether the text ends so."""
    return text.endswith(end) if type(text) is str and type(end) is str else ABSENT


def is_in(value: object, holder: object) -> bool:
    """Whether a list has the element, an object the entry, or a text the part; false where either is absent."""
    kind = type(holder)
    if kind is str:
        return type(value) is str and value in holder  # type: ignore[operator]
    if kind is dict:
        return type(value) is str and value in holder  # type: ignore[operator]
    if kind is list or kind is tuple:
        return any(equal(value, admit(one)) for one in holder)  # type: ignore[attr-defined]
    return False


def is_not_in(value: object, holder: object) -> bool:
    """The opposite of `is_in`, but false, too, where either is absent or the right side can hold nothing."""
    if value is ABSENT or type(holder) not in (str, list, tuple, dict):
        return False
    return not is_in(value, holder)


def equal(left: object, right: object) -> bool:
    """Whether both are there and the same; a number never equals a text or a truth."""
    kind, other = type(left), type(right)
    if kind in _NUMBERS:
        return other in _NUMBERS and left == right
    if kind is str or kind is bool:
        return kind is other and left == right
    if left is None:
        return right is None
    return _same(left, right, [MOST_COMPARED], 0)


def unequal(left: object, right: object) -> bool:
    """Whether both are there and differ."""
    return left is not ABSENT and right is not ABSENT and not equal(left, right)


def less(left: object, right: object) -> bool:
    """Whether the left comes before the right: two numbers by value, two texts by their characters."""
    return _comparable(left, right) and left < right  # type: ignore[operator]


def at_most(left: object, right: object) -> bool:
    """Whether the left comes before the right or equals it."""
    return _comparable(left, right) and left <= right  # type: ignore[operator]


def greater(left: object, right: object) -> bool:
    """Whether the left comes after the right."""
    return _comparable(left, right) and left > right  # type: ignore[operator]


def at_least(left: object, right: object) -> bool:
    """Whether the left comes after the right or equals it."""
    return _comparable(left, right) and left >= right  # type: ignore[operator]


def add(left: object, right: object) -> object:
    """The sum of two numbers, or two texts or two lists joined."""
    kind, other = type(left), type(right)
    if kind in _NUMBERS and other in _NUMBERS:
        return _number(left + right) if kind is other is int else _bounded(_EXACT.add(left, right))  # type: ignore[operator, arg-type]
    if kind is other is str:
        return left + right if len(left) + len(right) <= LONGEST_TEXT else ABSENT  # type: ignore[operator, arg-type]
    if kind in (list, tuple) and other in (list, tuple):
        return (*left, *right) if len(left) + len(right) <= LONGEST_LIST else ABSENT  # type: ignore[misc, arg-type]
    return ABSENT


def subtract(left: object, right: object) -> object:
    """The difference of two numbers."""
    if type(left) is int and type(right) is int:
        return _number(left - right)
    return _bounded(_EXACT.subtract(left, right)) if _numeric(left, right) else ABSENT  # type: ignore[arg-type]


def multiply(left: object, right: object) -> object:
    """The product of two numbers."""
    if type(left) is int and type(right) is int:
        return _number(left * right)
    return _bounded(_EXACT.multiply(left, right)) if _numeric(left, right) else ABSENT  # type: ignore[arg-type]


def divide(left: object, right: object) -> object:
    """The quotient of two numbers: whole where whole numbers come out even, else decimal; absent for a zero below."""
    if not _numeric(left, right) or not right:
        return ABSENT
    if type(left) is int and type(right) is int and left % right == 0:
        return left // right
    return _bounded(_QUOTIENT.divide(_EXACT.create_decimal(left), _EXACT.create_decimal(right)))  # type: ignore[arg-type]


def remainder(left: object, right: object) -> object:
    """What a whole division leaves, with the sign of the left side; absent for a zero on the right."""
    if not _numeric(left, right) or not right:
        return ABSENT
    if type(left) is int and type(right) is int:
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return _bounded(_EXACT.remainder(left, right))  # type: ignore[arg-type]


def negate(value: object) -> object:
    """The number with the other sign."""
    if type(value) is int:
        return -value
    return _bounded(_EXACT.minus(value)) if type(value) is Decimal else ABSENT


BINARY: Final[Mapping[str, Callable[[object, object], object]]] = MappingProxyType(
    {
        "==": equal,
        "!=": unequal,
        "<": less,
        "<=": at_most,
        ">": greater,
        ">=": at_least,
        "in": is_in,
        "not in": is_not_in,
        "+": add,
        "-": subtract,
        "*": multiply,
        "/": divide,
        "%": remainder,
    }
)
METHODS: Final[Mapping[str, Callable[[object, object], object]]] = MappingProxyType(
    {"contains": contains, "endsWith": ends_with, "startsWith": starts_with}
)


def _numeric(left: object, right: object) -> bool:
    return type(left) in _NUMBERS and type(right) in _NUMBERS


def _comparable(left: object, right: object) -> bool:
    kind, other = type(left), type(right)
    return (kind in _NUMBERS and other in _NUMBERS) or kind is other is str


def _number(value: int) -> object:
    return value if -_LIMIT < value < _LIMIT else ABSENT


def _bounded(value: Decimal) -> object:
    return value if value.is_finite() and value.adjusted() < DIGITS else ABSENT


def _short(text: str) -> object:
    return text if len(text) <= LONGEST_TEXT else ABSENT


def _admit_relative(value: object) -> object:
    # Enumerations and other children of the plain types count as their parent; its methods are called, never theirs.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _number(int.__int__(value))
    if isinstance(value, float):
        return _bounded(Decimal(float.__repr__(value)))
    if isinstance(value, msgspec.Struct):
        return value
    return ABSENT


def _same(left: object, right: object, left_to_look: list[int], depth: int) -> bool:
    left_to_look[0] -= 1
    if left_to_look[0] < 0 or depth > 64:
        return False
    if type(left) in (list, tuple) and type(right) in (list, tuple):
        return len(left) == len(right) and all(  # type: ignore[arg-type]
            _same(admit(one), admit(other), left_to_look, depth + 1)
            for one, other in zip(left, right, strict=True)  # type: ignore[call-overload]
        )
    if type(left) is dict and type(right) is dict:
        return len(left) == len(right) and all(
            name in right and _same(admit(one), admit(right[name]), left_to_look, depth + 1)
            for name, one in left.items()
        )
    if type(left) in (list, tuple, dict) or left is ABSENT or isinstance(left, msgspec.Struct):
        return False
    return equal(left, right)
