"""Writes down what can be ordered of a running server, so that the command line knows it without loading a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect as shape

from dirigent.admin.openapi import path_of
from dirigent.cli.orders import FILE, Field, Order
from dirigent.control import OPERATIONS, Operation
from dirigent.core.schema import field_help

__all__ = ["written"]


def main() -> int:
    """Writes the file anew."""
    FILE.write_text(written(), encoding="utf-8")
    print(f"{len(OPERATIONS)} operations in src/dirigent/cli/{FILE.name}")
    return 0


def written() -> str:
    """Every operation, one a line."""
    lines = (msgspec.json.encode(_order(operation)).decode() for operation in OPERATIONS.values())
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _order(operation: Operation[Any, Any]) -> Order:
    return Order(
        operation.name,
        path_of(operation),
        operation.changes,
        operation.summary,
        operation.help,
        tuple(_fields(operation.order, ())),
    )


def _fields(order: type[msgspec.Struct], above: tuple[str, ...]) -> Iterator[Field]:
    """The fields that one types, those of structs within included."""
    info = shape.type_info(order)
    helps = field_help(order)
    for field in info.fields if isinstance(info, shape.StructType) else ():
        bare = _bare(field.type)
        if isinstance(bare, shape.StructType):
            yield from _fields(bare.cls, (*above, field.encode_name))
            continue
        many = isinstance(bare, shape.VarTupleType | shape.ListType)
        yield Field(
            (*above, field.encode_name),
            help=" ".join((helps.get(field.name) or _said(field.type)).split()),
            required=field.required,
            many=many,
            default=_shown(field.default),
            **_kind(_bare(bare.item_type) if many else bare),
        )


def _kind(bare: shape.Type) -> dict[str, Any]:
    match bare:
        case shape.BoolType():
            return {"kind": "flag"}
        case shape.LiteralType(values=values):
            return {"kind": "choice", "choices": tuple(sorted(map(str, values)))}
        case shape.EnumType(cls=cls):
            return {"kind": "choice", "choices": tuple(str(member.value) for member in cls)}
        case shape.IntType(ge=least, le=most):
            return {"kind": "integer", "least": least, "most": most}
        case shape.FloatType():
            return {"kind": "float"}
        case shape.DecimalType():
            return {"kind": "number"}
        case shape.DateType():
            return {"kind": "date"}
        case shape.DictType() | shape.AnyType():
            return {"kind": "json"}
    return {}


def _said(type_: shape.Type) -> str:
    """What is said about a type, wherever it stands."""
    if isinstance(type_, shape.UnionType):
        return next((words for option in type_.types if (words := _said(option))), "")
    return (type_.extra_json_schema or {}).get("description", "") if isinstance(type_, shape.Metadata) else ""


def _shown(default: object) -> str | None:
    """A default, as one would type it; nothing where there is none to speak of."""
    if default in (msgspec.NODEFAULT, None, "", (), False):
        return None
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _bare(type_: shape.Type) -> Any:
    """A type without `or nothing`, and without what is said about it."""
    if isinstance(type_, shape.Metadata):
        return _bare(type_.type)
    if isinstance(type_, shape.UnionType):
        options = [option for option in type_.types if not isinstance(option, shape.NoneType)]
        return _bare(options[0]) if len(options) == 1 else type_
    return type_


if __name__ == "__main__":
    sys.exit(main())
