"""Options that several commands share, and how they speak."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from dirigent.settings import Settings, environment

__all__ = ["as_json", "config_option", "data_option", "fail", "json_option", "settings_from"]

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """`--data DIR`."""
    return click.option(
        "--data", type=click.Path(path_type=Path, file_okay=False), help="Data folder. [default: .dirigent]"
    )(command)


def config_option(command: F) -> F:
    """`--config FILE`."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file. [default: dirigent.yaml in the data folder]",
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_object", is_flag=True, help="Print one JSON object instead of text.")(command)


def settings_from(**flags: object) -> Settings:
    """Settings from flags, then the environment; a variable that cannot be read is wrong use."""
    try:
        return environment(flags)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None


def as_json(value: object) -> None:
    """One JSON object on standard output."""
    click.echo(msgspec.json.encode(value).decode())


def fail(message: str) -> NoReturn:
    """Says why the answer is no, on standard error, and ends with exit code 1."""
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True)
    sys.exit(1)
