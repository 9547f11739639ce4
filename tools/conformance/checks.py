"""Whether a request is what the SDK's parameter types allow: nothing missing, nothing unknown, no wrong type."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict

__all__ = ["fault", "form_fault"]

_JSON: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}
_NOTES = (Annotated, Required, NotRequired)
_UNKNOWN, _OTHER = 0.25, 0.5
"""How much nearer than a missing field an unknown one is, and another word than the expected one."""


class _Fault(NamedTuple):
    """Something wrong, and how far the value had been right until there: of several alternatives the nearest counts."""

    nearness: float
    words: str


class _Field(NamedTuple):
    kind: Any
    required: bool


def fault(kind: Any, value: object) -> str | None:
    """What is wrong with a JSON value that should be of this type, in words; None where nothing is.

    A type that JSON does not know is not judged.
    """
    found = _fault(kind, value, ())
    return found.words if found is not None else None


def form_fault(kind: Any, names: Iterable[str]) -> str | None:
    """The same for a multipart form, of which only the names of the parts are judged."""
    given = {name.partition("[")[0] for name in names}
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    found = _nearest(_names_fault(_fields(each), given, ()) for each in members)
    return found.words if found is not None else None


def _fault(kind: Any, value: object, place: tuple[str, ...]) -> _Fault | None:
    while get_origin(kind) in _NOTES:
        kind = get_args(kind)[0]
    kind = getattr(kind, "__value__", kind)  # an alias
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if is_typeddict(origin):
        return _typed_dict(kind, value, place)
    if origin in (Union, types.UnionType):
        return _nearest(_fault(each, value, place) for each in arguments)
    if origin is Literal:
        words = f"{_at(place)} is {value!r}, not one of {', '.join(map(repr, arguments))}"
        return None if value in arguments else _Fault(len(place) - _OTHER, words)
    if origin in (dict, Mapping):
        return _all(arguments, value, place, dict, "an object")
    if origin in (list, Iterable) or getattr(origin, "__name__", "") in ("Sequence", "SequenceNotStr", "Iterable"):
        return _all(arguments, value, place, list, "a list")
    if kind is type(None):
        return None if value is None else _Fault(len(place) - _OTHER, f"{_at(place)} is {value!r}, not null")
    expected = _JSON.get(kind)
    if expected is None or (isinstance(value, expected) and (kind is bool or not isinstance(value, bool))):
        return None
    return _Fault(len(place), f"{_at(place)} is {value!r}, not of type {kind.__name__}")


def _typed_dict(kind: Any, value: object, place: tuple[str, ...]) -> _Fault | None:
    if not isinstance(value, dict):
        return _Fault(len(place), f"{_at(place)} is {value!r}, not an object")
    fields = _fields(kind)
    wrong = _names_fault(fields, set(value), place)
    if wrong is not None:
        return wrong
    return next(
        filter(None, (_fault(fields[name].kind, each, (*place, f".{name}")) for name, each in value.items())), None
    )


def _all(
    arguments: tuple[Any, ...], value: object, place: tuple[str, ...], container: type, words: str
) -> _Fault | None:
    """What is wrong with the first wrong value of a list or an object of any names."""
    if not isinstance(value, container):
        return _Fault(len(place), f"{_at(place)} is {value!r}, not {words}")
    if not arguments:
        return None
    inner: Iterable[tuple[str, object]]
    inner = ((f".{name}", each) for name, each in value.items()) if isinstance(value, dict) else _numbered(value)
    return next(filter(None, (_fault(arguments[-1], each, (*place, step)) for step, each in inner)), None)


def _numbered(value: Any) -> Iterable[tuple[str, object]]:
    return ((f"[{index}]", each) for index, each in enumerate(value))


def _names_fault(fields: Mapping[str, _Field], given: set[str], place: tuple[str, ...]) -> _Fault | None:
    missing = [name for name, field in fields.items() if field.required and name not in given]
    if missing:
        return _Fault(len(place), f"{_at(place)} lacks {', '.join(missing)}")
    unknown = sorted(given - set(fields))
    if unknown:
        return _Fault(len(place) + _UNKNOWN, f"{_at(place)} has unknown fields: {', '.join(unknown)}")
    return None


@functools.cache
def _fields(kind: Any) -> dict[str, _Field]:
    """The fields by the names that they have on the wire."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        # where annotations are strings, the class itself does not know which of its fields are marked as required
        stated = name in kind.__required_keys__ and get_origin(hint) is not NotRequired
        found[_alias(hint) or name] = _Field(hint, stated or get_origin(hint) is Required)
    return found


def _alias(hint: Any) -> str | None:
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.alias for note in notes if getattr(note, "alias", None)), None)


def _nearest(faults: Iterable[_Fault | None]) -> _Fault | None:
    """None where one alternative has no fault; else the fault of the one that fits furthest."""
    found = list(faults)
    return None if None in found else max(filter(None, found), key=lambda each: each.nearness)


def _at(place: tuple[str, ...]) -> str:
    return "".join(place).lstrip(".") or "the body"
