"""From what an operation can be told to the options of a command, and back from what was typed to an order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import click
import msgspec

from dirigent.cli.orders import Field

__all__ = ["flag_of", "gathered", "parameters"]


_SECRET = frozenset({"password"})
"""What is better typed unseen: without a value the command asks for it."""
_METAVARS = {"date": "YYYY-MM-DD", "number": "NUMBER", "json": "JSON"}


def parameters(fields: Iterable[Field], positional: Sequence[str]) -> list[click.Parameter]:
    """An argument for each positional field, and an option for every other one; structs within are parted by a dash."""
    fields = tuple(fields)
    named = {field.path[0]: field for field in fields if len(field.path) == 1}
    return [
        *(_argument(named[name]) for name in positional),
        *(_option(field) for field in fields if len(field.path) > 1 or field.path[0] not in positional),
    ]


def gathered(fields: Iterable[Field], typed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the order that were typed, by their names; what was not typed is left to the order's defaults."""
    said: dict[str, Any] = {}
    for field in fields:
        value = typed.get("_".join(field.path))
        if value is None or value == ():
            continue
        inner = said
        for step in field.path[:-1]:
            inner = inner.setdefault(step, {})
        inner[field.path[-1]] = list(value) if isinstance(value, tuple) else value
    return said


def flag_of(field: Field) -> str:
    """The option by which a field is given."""
    return f"--{'-'.join(field.path).replace('_', '-')}"


def _argument(field: Field) -> click.Parameter:
    (name,) = field.path
    return click.Argument([name], required=field.required, type=_type_of(field), metavar=name.upper())


def _option(field: Field) -> click.Parameter:
    name, flag = "_".join(field.path), flag_of(field)
    if field.kind == "flag":
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=field.help)
    if name in _SECRET:
        return click.Option(
            [flag, name], prompt=True, prompt_required=False, hide_input=True, default=None, help=field.help
        )
    flags = [flag] if not field.many else [*dict.fromkeys((_singular(flag), flag))]
    return click.Option(
        [*flags, name],
        type=_type_of(field),
        multiple=field.many,
        required=field.required,
        default=None,
        show_default=field.default,
        help=f"{field.help} Repeat it for several.".strip() if field.many else field.help,
        metavar=_METAVARS.get(field.kind),
    )


def _type_of(field: Field) -> Any:
    match field.kind:
        case "choice":
            return click.Choice(field.choices)
        case "integer" if field.least is not None or field.most is not None:
            return click.IntRange(field.least, field.most)
        case "integer":
            return click.INT
        case "float":
            return click.FLOAT
        case "number":
            return _Number()
        case "json":
            return _Json()
    return click.STRING


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
