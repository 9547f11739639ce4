"""From a request to an order: what the body or the query says, read strictly into the operation's own struct."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as shape

from dirigent.core.errors import Invalid

__all__ = ["from_body", "from_query", "lists_of"]

S = TypeVar("S", bound=msgspec.Struct)
_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"(?:unknown field|missing required field) `(?P<name>[^`]*)`")
_LARGEST = 2**63


def from_body(body: bytes, order: type[S]) -> S:
    """The order in a JSON body; an empty body is an order that says nothing. Raises Invalid, naming the field."""
    try:
        read: S = _reader(order).decode(body or b"{}")
    except msgspec.ValidationError as fault:
        raise _refused(fault) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Invalid(f"the body is no proper JSON: {fault}") from None
    except RecursionError:
        raise Invalid("the body nests deeper than anybody could mean") from None
    _look_through(msgspec.to_builtins(read), "")
    return read


def from_query(fields: Iterable[tuple[str, str]], order: type[S]) -> S:
    """The order in the fields of a query; a field that holds a list may stand there several times.

    Raises Invalid, naming the field.
    """
    lists = lists_of(order)
    said: dict[str, Any] = {}
    for name, value in fields:
        if name in lists:
            said.setdefault(name, []).append(value)
        elif name in said:
            raise Invalid(f"{name}: it stands there twice", param=name)
        else:
            said[name] = value
    try:
        read = msgspec.convert(said, order, strict=False)
    except msgspec.ValidationError as fault:
        raise _refused(fault) from None
    for field in msgspec.structs.fields(order):
        if (
            field.encode_name in said and getattr(read, field.name) is None
        ):  # the word `null`: a query leaves out instead
            raise Invalid(f"{field.encode_name}: expected a value, got `null`", param=field.encode_name)
    _look_through(msgspec.to_builtins(read), "")
    return read


@cache
def _reader(order: type[S]) -> msgspec.json.Decoder[S]:
    """Reads an order; decimal numbers in plain data keep every digit."""
    return msgspec.json.Decoder(order, float_hook=Decimal)


@cache
def lists_of(order: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of an order that hold a list."""
    return frozenset(
        field.encode_name for field in msgspec.structs.fields(order) if _is_list(shape.type_info(field.type))
    )


def _is_list(type_: shape.Type) -> bool:
    if isinstance(type_, shape.Metadata):
        return _is_list(type_.type)
    if isinstance(type_, shape.UnionType):
        return any(_is_list(option) for option in type_.types)
    return isinstance(type_, shape.VarTupleType | shape.ListType | shape.SetType | shape.FrozenSetType)


def _refused(fault: msgspec.ValidationError) -> Invalid:
    words = str(fault)
    place, unknown = _PLACE.search(words), _UNKNOWN.search(words)
    path = place["path"] if place is not None else ""
    if unknown is not None:
        path = f"{path}.{unknown['name']}" if path else unknown["name"]
    said = _PLACE.sub("", words)
    said = said[0].lower() + said[1:]
    return Invalid(f"{path}: {said}" if path else f"the order: {said}", param=path or None)


def _look_through(value: object, path: str) -> None:
    """Refuses what no database can keep, before one is asked."""
    match value:
        case str() if "\0" in value:
            raise Invalid(f"{path}: it holds a character that no text can hold", param=path)
        case int() if not -_LARGEST <= value < _LARGEST:
            raise Invalid(f"{path}: no number here is that large", param=path)
        case Mapping():
            for name, inner in value.items():
                _look_through(name, path)
                _look_through(inner, f"{path}.{name}" if path else str(name))
        case list() | tuple():
            for place, inner in enumerate(value):
                _look_through(inner, f"{path}[{place}]")
