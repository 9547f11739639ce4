"""How the outcome of an operation reads on a terminal: lists as tables, times in local time, the rest line by line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["tell", "wide_console", "worded"]

_MOMENTS = frozenset(
    {
        "asked",
        "at",
        "blocked",
        "created",
        "decided",
        "due",
        "ended",
        "escalated",
        "expires",
        "last",
        "next",
        "oldest",
        "removed",
        "resets",
        "retired",
        "revoked",
        "seen",
    }
    | {"since", "started", "stopped", "until", "time", "published"}
)
"""Fields that hold a time, in milliseconds or seconds since 1970."""
_AMOUNTS = ("limit", "spent", "held", "presumed", "cost", "amount")
"""Fields that hold money, where a currency stands beside them."""
_RIGHT = int | float


def wide_console() -> Console:
    """A console for standard output: as wide as the terminal, and wide enough for any line where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 240)


def tell(console: Console, outcome: Mapping[str, Any]) -> None:
    """Shows an outcome to a person."""
    tables = {name: value for name, value in outcome.items() if _is_table(value)}
    texts = {name: value for name, value in outcome.items() if name not in tables and _is_tree(value)}
    outcome = {name: value for name, value in outcome.items() if name not in texts}
    plain = _flat({name: value for name, value in outcome.items() if name not in tables})
    plain = {name: value for name, value in plain.items() if value not in _EMPTY[:3]}
    if not tables and not plain and not texts:
        console.print(Text("there is nothing", style="dim"))
    width = max((len(name) for name in plain), default=0)
    for name, value in plain.items():
        if not (isinstance(value, str) and "\n" in value):
            console.print(Text.assemble((f"{_words(name):<{width}}  ", "dim"), worded(name, value)), soft_wrap=True)
    for name, rows in tables.items():
        if len(tables) > 1 or plain:
            console.print(Text(f"\n{_words(name)}", style="bold"))
        console.print(_table(rows))
    for value in texts.values():
        written = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        console.print(Text(written), soft_wrap=True)
    for value in plain.values():
        if isinstance(value, str) and "\n" in value:
            console.print(Text(value), soft_wrap=True)


def worded(name: str, value: object) -> str:
    """A value in words; `name` tells what it is about."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.rpartition("_")[2] in _MOMENTS and value > 10**9:
            return _moment(value)
        case int():
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        case float():
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(
                f"{_words(inner)} {worded(inner, each)}" for inner, each in value.items() if each is not None
            )
        case str():
            return value
        case Sequence():
            return ", ".join(worded(name, each) for each in value) or "-"
    return str(value)


def _is_tree(value: object) -> bool:
    """Whether a value has more in it than a line can show."""
    return isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values())


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    rows = [_flat(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    columns = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if any(row.get(name) not in _EMPTY for row in rows)
    ]
    for name in columns:
        numbers = all(isinstance(row.get(name), _RIGHT | None) and not isinstance(row.get(name), bool) for row in rows)
        right = numbers and name not in _MOMENTS
        table.add_column(_words(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        gone = any(row.get(name) not in _EMPTY for name in ("blocked", "revoked", "retired", "removed", "stopped"))
        table.add_row(*(Text(worded(name, row.get(name))) for name in columns), style="dim" if gone else "")
    return table


_EMPTY: tuple[object, ...] = (None, [], {}, "", False)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without rows in it, its amounts with their currency."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and not set(value) & (set(row) | set(flat)):
            flat |= value
        else:
            flat[name] = value
    currency = flat.get("currency")
    if currency and any(isinstance(flat.get(name), str) for name in _AMOUNTS):
        del flat["currency"]
        flat |= {name: f"{flat[name]} {currency}" for name in _AMOUNTS if isinstance(flat.get(name), str)}
    return flat


def _moment(value: float) -> str:
    seconds = value / 1000 if value > 10**11 else value
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _words(name: str) -> str:
    return name.replace("_", " ")
