"""Groups whose commands are loaded when somebody asks for them: who lists keys need not load a server."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import click

__all__ = ["Lazy", "Row"]


class Row(NamedTuple):
    """A command that is not loaded yet."""

    module: str
    """The file of this folder where it stands."""
    taken: Callable[[ModuleType], click.Command]
    """Takes it out of that file."""
    words: str | None
    """What the list of commands says of it; None of one that the list leaves out."""


class Lazy(click.Group):
    """A group of commands, some of which are only known by name; its list of them loads none."""

    def __init__(self, name: str | None = None, *, rows: Mapping[str, Row], **rest: Any) -> None:
        super().__init__(name, **rest)
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.rows, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.rows and cmd_name not in self.commands:
            row = self.rows[cmd_name]
            self.commands[cmd_name] = row.taken(_loaded(row.module))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        words = {name: row.words for name, row in self.rows.items()}
        words |= {name: command.short_help for name, command in self.commands.items() if name not in self.rows}
        with formatter.section("Commands"):
            formatter.write_dl([(name, each) for name, each in sorted(words.items()) if each is not None])

    def loaded(self) -> dict[str, click.Command]:
        """Every command by its name, for whoever reads them all."""
        context = click.Context(self)
        for name in self.rows:
            self.get_command(context, name)
        return dict(sorted(self.commands.items()))


def _loaded(module: str) -> ModuleType:
    """A file of this folder. While it loads nothing is garbage, so nobody looks for any: a twelfth of these imports."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(f"{__package__}.{module}")
    finally:
        if collects:
            gc.enable()
