"""What a person reads first: the help of each command."""

from __future__ import annotations

import re

import click
import pytest

from dirigent.cli import main
from tests.cli.terminal import on_a_terminal, ran

COMMANDS = sorted(name for name, command in main.commands.items() if not command.hidden)
SINGLE = [name for name in COMMANDS if not isinstance(main.commands[name], click.Group)]


def test_these_are_the_commands_that_are_no_operations() -> None:
    assert SINGLE == ["ask", "check", "explain", "models", "publish", "pull", "rollback", "serve"]


@pytest.mark.parametrize("name", SINGLE)
def test_every_command_has_help_with_an_example_of_itself(name: str) -> None:
    told = ran(name, "--help")

    assert told.status == 0
    assert re.search(rf"Example: dirigent {name}\b", told.out)
    assert "--json" in told.out


def test_the_first_page_fits_a_terminal_and_names_every_command_in_a_whole_sentence() -> None:
    shown = on_a_terminal("--help")

    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        (line,) = [line for line in lines if re.match(rf"  {name} ", line)]
        assert line.rstrip().endswith(".")
        assert not line.rstrip().endswith("...")


@pytest.mark.parametrize(
    "arguments",
    [
        "ask", "ask auto", "nonsense", "serve --port 99999", "serve --workers 0", "models --x", "explain a b c",
        "ask auto x --max-tokens 0", "check --data /etc/passwd",
    ],
)  # fmt: skip
def test_wrong_use_ends_with_two_and_says_what_is_wrong_on_standard_error(arguments: str) -> None:
    told = ran(*arguments.split())

    assert told.status == 2
    assert told.out == ""
    assert "Error: " in told.err


def test_the_version_is_one_line() -> None:
    assert re.fullmatch(r"dirigent \d+\.\d+\.\d+\n", ran("--version").out)


@pytest.mark.parametrize("arguments", [("check",), ("models",), ("serve",), ("ask", "a", "b"), ("pull",)])
def test_a_variable_that_cannot_be_read_is_wrong_use(arguments: tuple[str, ...]) -> None:
    told = ran(*arguments, environment={"DIRIGENT_PORT": "eighty"})

    assert told.status == 2
    assert "DIRIGENT_PORT is 'eighty', not a whole number from 0 to 65535" in told.err
