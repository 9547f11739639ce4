"""Whether what a caller sent is what the SDK's parameter types allow: nothing missing, nothing unknown, no wrong type."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from typing_extensions import NotRequired, Required, is_typeddict

__all__ = ["fault", "form_fault"]

_JSON: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}
_NOTES = (Annotated, Required, NotRequired)


class _Field(NamedTuple):
    kind: Any
    required: bool


def fault(kind: Any, value: object, place: str = "") -> str | None:
    """What is wrong with a JSON value that should be of this type, in words; None where nothing is.

    Of several alternatives the one that fits furthest is spoken of. A type that JSON does not know is not judged.
    """
    while get_origin(kind) in _NOTES:
        kind = get_args(kind)[0]
    kind = getattr(kind, "__value__", kind)  # an alias
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if is_typeddict(origin):
        return _typed_dict(kind, value, place)
    if origin in (Union, types.UnionType):
        return _nearest([fault(each, value, place) for each in arguments])
    if origin is Literal:
        return None if value in arguments else f"{_at(place)} is {value!r}, not one of {arguments}"
    if kind is type(None):
        return None if value is None else f"{_at(place)} is not null"
    if origin in (dict, Mapping):
        return _mapping(arguments, value, place)
    if origin in (list, Iterable) or getattr(origin, "__name__", "") in ("Sequence", "SequenceNotStr", "Iterable"):
        return _sequence(arguments, value, place)
    expected = _JSON.get(kind)
    if expected is not None and (not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool)):
        return f"{_at(place)} is {value!r}, not of type {kind.__name__}"
    return None


def form_fault(kind: Any, names: Iterable[str]) -> str | None:
    """The same for a multipart form, of which only the names of the parts are judged."""
    given = {name.partition("[")[0] for name in names}
    return _nearest([_names_fault(_fields(each), given, "") for each in _members(kind)])


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _typed_dict(kind: Any, value: object, place: str) -> str | None:
    if not isinstance(value, dict):
        return f"{_at(place)} is {value!r}, not an object"
    fields = _fields(kind)
    wrong = _names_fault(fields, set(value), place)
    for name, each in value.items():
        if wrong is not None:
            return wrong
        wrong = fault(fields[name].kind, each, f"{place}.{name}")
    return wrong


def _names_fault(fields: Mapping[str, _Field], given: set[str], place: str) -> str | None:
    missing = [name for name, field in fields.items() if field.required and name not in given]
    if missing:
        return f"{_at(place)} lacks {', '.join(missing)}"
    unknown = sorted(given - set(fields))
    return f"{_at(place)} has unknown fields: {', '.join(unknown)}" if unknown else None


@functools.cache
def _fields(kind: Any) -> dict[str, _Field]:
    """The fields by the names that they have on the wire."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        # where annotations are strings, the class itself does not know which of its fields are marked as required
        required = get_origin(hint) is Required or (name in kind.__required_keys__ and get_origin(hint) is not NotRequired)
        found[_alias(hint) or name] = _Field(hint, required)
    return found


def _alias(hint: Any) -> str | None:
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.alias for note in notes if getattr(note, "alias", None)), None)


def _mapping(arguments: tuple[Any, ...], value: object, place: str) -> str | None:
    if not isinstance(value, dict):
        return f"{_at(place)} is {value!r}, not an object"
    found = (fault(arguments[1], each, f"{place}.{name}") for name, each in value.items() if arguments)
    return next((each for each in found if each), None)


def _sequence(arguments: tuple[Any, ...], value: object, place: str) -> str | None:
    if not isinstance(value, list):
        return f"{_at(place)} is {value!r}, not a list"
    found = (fault(arguments[0], each, f"{place}[{index}]") for index, each in enumerate(value) if arguments)
    return next((each for each in found if each), None)


def _nearest(faults: list[str | None]) -> str | None:
    """None where one alternative has no fault; else the fault that lies deepest."""
    return None if None in faults else max((each or "" for each in faults), key=_depth)


def _depth(words: str) -> int:
    return words.partition(" ")[0].count(".") + words.partition(" ")[0].count("[")


def _at(place: str) -> str:
    return place.lstrip(".") or "the body"
