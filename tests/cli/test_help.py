"""What a person reads first: the help of each command."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from dirigent.cli import main
from dirigent.cli.lazy import Lazy
from tests.cli.terminal import on_a_terminal, performed, ran

COMMANDS = [name for name, command in main.loaded().items() if not command.hidden]
SINGLE = [name for name in COMMANDS if not isinstance(main.commands[name], click.Group)]


def test_these_are_the_commands_that_are_no_operations() -> None:
    expected = ["ask", "check", "demo", "explain", "live", "models", "publish", "pull", "rollback", "serve", "try"]
    assert expected == SINGLE


@pytest.mark.parametrize("name", SINGLE)
def test_every_command_has_help_with_an_example_of_itself(name: str) -> None:
    told = performed(name, "--help")

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
    told = performed(*arguments.split())

    assert told.status == 2
    assert told.out == ""
    assert "Error: " in told.err


def test_the_list_says_of_each_command_what_the_command_says_of_itself() -> None:
    for group in (main, *(each for each in main.loaded().values() if isinstance(each, Lazy))):
        said = {name: command.short_help for name, command in group.loaded().items() if not command.hidden}

        assert {name: row.words for name, row in group.rows.items() if row.words} == {
            name: said[name] for name in group.rows if name in said
        }


@pytest.mark.parametrize("arguments", [["--help"], ["keys", "list", "--help"], ["models", "--help"]])
def test_who_only_asks_a_server_loads_none(arguments: list[str]) -> None:
    program = "import sys; from dirigent.cli import main; main(standalone_mode=False); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)

    assert {"sqlalchemy", "starlette", "dirigent.models", "dirigent.control", "dirigent.server.node"}.isdisjoint(
        done.stdout.split()
    )


def test_the_version_is_one_line() -> None:
    assert re.fullmatch(r"dirigent \d+\.\d+\.\d+\n", ran("--version").out)


@pytest.mark.parametrize("arguments", [("check",), ("models",), ("serve",), ("ask", "a", "b"), ("pull",)])
def test_a_variable_that_cannot_be_read_is_wrong_use(arguments: tuple[str, ...]) -> None:
    told = ran(*arguments, environment={"DIRIGENT_PORT": "eighty"})

    assert told.status == 2
    assert "DIRIGENT_PORT is 'eighty', not a whole number from 0 to 65535" in told.err


def test_garbage_is_looked_for_again_once_a_command_is_loaded() -> None:
    program = "import gc; from dirigent.cli import main; main.loaded(); print(gc.isenabled())"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"
