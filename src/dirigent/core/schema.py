"""From kinds to words about them: the JSON Schema that editors and forms read, and the help of each setting.

Nothing here is written twice: types, bounds and defaults come from the fields of a kind, help from its docstrings. The
docstring of a field is the string literal below it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import msgspec.inspect as shape

from dirigent.core.registry import Kind, Registry

__all__ = ["field_help", "json_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(
    sections: Mapping[str, type[Kind]],
    registries: Iterable[Registry[Any]],
    rules: tuple[str, type[Kind], type[Kind]] | None = None,
    names: Mapping[str, Sequence[str]] = {},
) -> dict[str, Any]:
    """The JSON Schema of a configuration whose `sections` each map names to kinds of one contract.

    `rules` names a list of kinds of a second contract that may stand around all entries, and around each of a third.
    `names` are sections that map these words to names of entries.

    It refuses what the reader refuses by shape: unknown settings, missing ones, wrong types and bounds. What only a
    kind itself or its surroundings can know (a name that nobody carries, two settings that exclude each other) passes.
    """
    tables = {registry.contract: registry for registry in registries}
    writer = _Writer(tables)
    for contract, registry in tables.items():
        writer.definitions[registry.name] = writer.any_of(contract)
    properties: dict[str, Any] = {
        section: {"type": ["object", "null"], "additionalProperties": _reference(tables[contract].name)}
        for section, contract in sections.items()
    }
    for section, words in names.items():
        named = {word: {"type": "string"} for word in words}
        properties[section] = {"type": ["object", "null"], "properties": named, "additionalProperties": False}
    if rules is not None:
        field, rule, ruled = rules
        around = {"type": ["array", "null"], "items": _reference(tables[rule].name)}
        properties[field] = around
        for name in tables[ruled].kinds:
            writer.definitions[f"{tables[ruled].name}.{name}"]["properties"][field] = {
                **around,
                "description": "The rules around this model, the first outermost.",
                "default": [],
            }
    return {
        "$schema": DIALECT,
        "title": "A configuration of Dirigent",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(writer.definitions.items())),
    }


@cache
def field_help(cls: type[msgspec.Struct]) -> Mapping[str, str]:
    """The docstring of each field of a struct, its own and the inherited ones; fields without one are left out."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, msgspec.Struct) or owner.__module__.startswith("msgspec"):
            continue
        found |= _docstrings(owner)
    return {name: found[name] for name in cls.__struct_fields__ if name in found}


class _Writer:
    """Writes types as JSON Schema and gathers the structs that they mention."""

    def __init__(self, tables: Mapping[type[Kind], Registry[Any]]) -> None:
        self.tables = tables
        self.definitions: dict[str, Any] = {}

    def any_of(self, contract: type[Kind]) -> dict[str, Any]:
        """Any kind of a contract; one that needs no settings may stand there as its bare name."""
        kinds = self.tables[contract].kinds
        bare = sorted(name for name, kind in kinds.items() if not any(f.required for f in msgspec.structs.fields(kind)))
        options = [self._kind(contract, name, kind) for name, kind in sorted(kinds.items())]
        return {"anyOf": [*([{"enum": bare}] if bare else []), *options]}

    def _kind(self, contract: type[Kind], name: str, kind: type[Kind]) -> dict[str, Any]:
        written = self._struct(kind)
        written["properties"] = {"type": {"const": name}, **written["properties"]}
        written["required"] = ["type", *written["required"]]
        self.definitions[f"{self.tables[contract].name}.{name}"] = written
        return _reference(f"{self.tables[contract].name}.{name}")

    def _struct(self, cls: type[msgspec.Struct]) -> dict[str, Any]:
        info = shape.type_info(cls)
        if not isinstance(info, shape.StructType):
            raise TypeError(f"{cls.__name__} is not a struct")
        helps = field_help(cls)
        properties = {
            field.encode_name: {**self.type(field.type), **_described(helps.get(field.name)), **_default(field)}
            for field in info.fields
        }
        return {
            "type": "object",
            **_described(inspect.getdoc(cls)),
            "properties": properties,
            "required": [field.encode_name for field in info.fields if field.required],
            "additionalProperties": False,
        }

    def type(self, type_: shape.Type) -> dict[str, Any]:  # noqa: PLR0912 -- one line for each shape there is
        """The schema of one type."""
        match type_:
            case shape.StructType(cls=cls) if issubclass(cls, Kind) and cls in self.tables:
                return _reference(self.tables[cls].name)
            case shape.StructType(cls=cls):
                if cls.__name__ not in self.definitions:
                    self.definitions[cls.__name__] = {}  # a struct may mention itself
                    self.definitions[cls.__name__] = self._struct(cls)
                return _reference(cls.__name__)
            case shape.UnionType(types=types):
                return _one_of([self.type(option) for option in types])
            case shape.VarTupleType() | shape.ListType() | shape.SetType() | shape.FrozenSetType():
                return {"type": "array", "items": self.type(type_.item_type), **_bounds(type_, "Items")}
            case shape.TupleType(item_types=items):
                written = [self.type(item) for item in items]
                return {"type": "array", "prefixItems": written, "minItems": len(written), "maxItems": len(written)}
            case shape.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self.type(value), **_bounds(type_, "Properties")}
            case shape.LiteralType(values=values):
                return {"enum": sorted(values, key=str)}
            case shape.EnumType(cls=cls):
                return {"enum": sorted(member.value for member in cls)}
            case shape.StrType(pattern=pattern):
                return {"type": "string", **_bounds(type_, "Length"), **({"pattern": pattern} if pattern else {})}
            case shape.BoolType():
                return {"type": "boolean"}
            case shape.IntType():
                return {"type": "integer", **_range(type_)}
            case shape.FloatType():
                return {"type": "number", **_range(type_)}
            case shape.DecimalType():
                return {"type": ["number", "string"]}
            case shape.NoneType():
                return {"type": "null"}
        return {}  # whatever else there is, such as plain data: the reader knows


def _docstrings(cls: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):  # a class without source, made at a prompt or in a frozen program
        return {}
    if not isinstance(body, ast.ClassDef):
        return {}
    found: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[field.target.id] = inspect.cleandoc(below.value.value)
    return found


def _one_of(options: list[dict[str, Any]]) -> dict[str, Any]:
    """Either of the options; `this or nothing` in the short form that editors show best."""
    plain, empty = [option for option in options if option != {"type": "null"}], {"type": "null"} in options
    if empty and len(plain) == 1 and isinstance(plain[0].get("type"), str):
        return {**plain[0], "type": [plain[0]["type"], "null"]}
    return {"anyOf": [*plain, *([{"type": "null"}] if empty else [])]}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _described(text: str | None) -> dict[str, Any]:
    return {"description": " ".join(text.split())} if text else {}


def _default(field: shape.Field) -> dict[str, Any]:
    if field.required or field.default in (msgspec.NODEFAULT, None):
        return {}
    default = field.default
    if isinstance(default, Kind):
        settings = msgspec.to_builtins(default)
        return {"default": {"type": type(default).type_name(), **settings}}
    return {"default": msgspec.to_builtins(default)}


def _bounds(type_: Any, what: str) -> dict[str, Any]:
    limits = {f"min{what}": type_.min_length, f"max{what}": type_.max_length}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _range(type_: shape.IntType | shape.FloatType) -> dict[str, Any]:
    limits = {
        "minimum": type_.ge,
        "exclusiveMinimum": type_.gt,
        "maximum": type_.le,
        "exclusiveMaximum": type_.lt,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}
