"""From the order of an operation to the options of a command, and back from what was typed to the order's fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import click
import msgspec
import msgspec.inspect as shape

from dirigent.core.schema import field_help

__all__ = ["gathered", "parameters"]


_SECRET = frozenset({"password"})
"""What is better typed unseen: without a value the command asks for it."""


def parameters(order: type[msgspec.Struct], positional: Sequence[str]) -> list[click.Parameter]:
    """An argument for each positional field, and an option for every other one; structs within are parted by a dash."""
    return [*_arguments(order, positional), *_options(order, positional, ())]


def gathered(order: type[msgspec.Struct], typed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the order that were typed, by their names; what was not typed is left to the order's defaults."""
    said: dict[str, Any] = {}
    for path, _, _ in _leaves(order, ()):
        value = typed.get("_".join(path))
        if value is None or value == ():
            continue
        inner = said
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = list(value) if isinstance(value, tuple) else value
    return said


def _arguments(order: type[msgspec.Struct], positional: Sequence[str]) -> list[click.Parameter]:
    found = {field.name: field for field in msgspec.structs.fields(order)}
    return [
        click.Argument(
            [name],
            required=found[name].required,
            type=_type_of(shape.type_info(found[name].type)),
            metavar=name.upper() if found[name].required else f"[{name.upper()}]",
        )
        for name in positional
    ]


def _options(order: type[msgspec.Struct], positional: Sequence[str], above: tuple[str, ...]) -> list[click.Parameter]:
    options: list[click.Parameter] = []
    for path, field, help_ in _leaves(order, above):
        if len(path) == 1 and path[0] in positional:
            continue
        name, inner = "_".join(path), _bare(field.type)
        flag = f"--{'-'.join(path).replace('_', '-')}"
        words = " ".join(help_.split())
        if isinstance(inner, shape.BoolType):
            options.append(click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=words))
            continue
        if name in _SECRET:
            options.append(
                click.Option(
                    [flag, name], prompt=True, prompt_required=False, hide_input=True, default=None, help=words
                )
            )
            continue
        many = isinstance(inner, shape.VarTupleType | shape.ListType)
        flags = [flag] if not many else [*dict.fromkeys((_singular(flag), flag))]
        options.append(
            click.Option(
                [*flags, name],
                type=_type_of(inner.item_type if many else inner),
                multiple=many,
                required=field.required,
                default=None,
                show_default=_shown(field.default),
                help=f"{words} Repeat it for several.".strip() if many else words,
                metavar=_metavar(inner.item_type if many else inner),
            )
        )
    return options


def _leaves(order: type[msgspec.Struct], above: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], shape.Field, str]]:
    """The fields that one types, those of structs within included."""
    info = shape.type_info(order)
    helps = field_help(order)
    for field in info.fields if isinstance(info, shape.StructType) else ():
        inner = _bare(field.type)
        if isinstance(inner, shape.StructType):
            yield from _leaves(inner.cls, (*above, field.encode_name))
        else:
            yield (*above, field.encode_name), field, helps.get(field.name) or _said(field.type)


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


def _type_of(type_: shape.Type) -> Any:
    type_ = _bare(type_)
    match type_:
        case shape.LiteralType(values=values):
            return click.Choice(sorted(map(str, values)))
        case shape.EnumType(cls=cls):
            return click.Choice([str(member.value) for member in cls])
        case shape.IntType(ge=least, le=most) if least is not None or most is not None:
            return click.IntRange(least, most)
        case shape.IntType():
            return click.INT
        case shape.FloatType():
            return click.FLOAT
        case shape.DecimalType():
            return _Number()
        case shape.DictType() | shape.AnyType():
            return _Json()
    return click.STRING


def _metavar(type_: shape.Type) -> str | None:
    match _bare(type_):
        case shape.DateType():
            return "YYYY-MM-DD"
        case shape.DecimalType():
            return "NUMBER"
        case shape.DictType() | shape.AnyType():
            return "JSON"
    return None


def _singular(flag: str) -> str:
    return re.sub(r"(?<!s)s$", "", re.sub(r"sses$", "ss", flag)) if flag.endswith("s") else flag


class _Number(click.ParamType[str]):
    """A decimal number, kept as it was typed: money is never a float."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            number = Decimal(value)
        except ArithmeticError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number.is_finite():
            self.fail(f"{value!r} is not a number", param, ctx)
        return str(value)


class _Json(click.ParamType[Any]):
    """A value written as JSON."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError as fault:
            self.fail(f"{value!r} is no proper JSON: {fault}", param, ctx)
