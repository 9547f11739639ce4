"""The commands of the control plane against a served one: for programs, for people, and where no server runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dirigent.cli import main
from dirigent.cli.lazy import Lazy
from dirigent.cli.orders import ELSEWHERE
from dirigent.control import OPERATIONS
from tests.admin.house import House, house
from tests.cli.terminal import on_a_terminal, ran


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("governed")) as one:
        notice = {"host": "127.0.0.1", "port": one.port, "pid": os.getpid()}
        (one.data / "server.json").write_text(json.dumps(notice))
        one.perform("projects.create", {"name": "sales"})
        one.perform("purposes.register", {"name": "support", "models": ["*"]})
        yield one


def asked(house: House, *words: str, given: str | None = None) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(main, [*words, "--data", str(house.data)], input=given, catch_exceptions=False)


def told(house: House, *words: str) -> Any:
    """What a program gets: one JSON object on standard output, and nothing else."""
    result = asked(house, *words, "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_a_key_is_issued_as_others_script_it(governed: House) -> None:
    issued = told(
        governed, "keys", "issue", "--project", "sales", "--purpose", "support", "--budget", "5.00", "--expires", "30d"
    )

    assert issued["key"].startswith("dk-")
    (row,) = [row for row in told(governed, "keys", "list")["keys"] if row["id"] == issued["id"]]
    assert (row["project"], row["purposes"], row["state"]) == ("sales", ["support"], "live")
    assert issued["key"] not in json.dumps(row)


def test_a_budget_is_set_as_others_script_it(governed: House) -> None:
    budget = told(
        governed, "budgets", "set", "--project", "sales", "--limit", "0.05", "--currency", "USD", "--window", "day"
    )

    listed = told(governed, "budgets", "list", "--project", "sales")["budgets"]
    assert [(each["id"], each["limit"], each["window"]) for each in listed] == [(budget["id"], "0.05", "day")]


def test_a_key_is_revoked_by_its_id_alone(governed: House) -> None:
    issued = told(governed, "keys", "issue", "--project", "sales")

    assert told(governed, "keys", "revoke", issued["id"])["state"] == "revoked"


def test_people_get_a_table_with_local_times_and_money_with_its_currency(governed: House) -> None:
    told(governed, "budgets", "set", "--limit", "10000.00", "--currency", "EUR")
    told(governed, "keys", "issue", "--project", "sales", "--expires", "30d", "--title", "for the shop")

    budgets, keys = asked(governed, "budgets", "list").output, asked(governed, "keys", "list").output

    assert re.search(r"10000(\.00)? EUR", budgets)
    assert "for the shop" in keys
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", keys)


def test_on_a_terminal_nothing_is_wider_than_it(governed: House) -> None:
    shown = on_a_terminal("keys", "list", "--data", governed.data)

    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.out)
    assert shown.status == 0
    assert max(map(len, plain.splitlines())) <= 80


def test_a_password_is_asked_for_and_never_shown(governed: House) -> None:
    words = ("members", "invite", "Ada", "--email", "ada@example.org", "--password")

    result = CliRunner().invoke(
        main, [*words, "--data", str(governed.data)], input="a long pass phrase\na long pass phrase\n"
    )

    assert result.exit_code == 0, result.output
    assert "pass phrase" not in result.output
    assert re.search(r"password +yes", result.output)


def test_each_tenant_has_its_own(governed: House) -> None:
    told(governed, "tenants", "create", "acme", "--zone", "Europe/Berlin")
    told(governed, "projects", "create", "rockets", "--tenant", "acme")

    assert "rockets" in json.dumps(told(governed, "projects", "list", "--tenant", "acme"))
    assert "rockets" not in json.dumps(told(governed, "projects", "list"))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("keys", "revoke", "k-none"), 1, "there is no key 'k-none'"),
        (("projects", "create", "sales"), 1, "there is a project 'sales' already"),
        (("keys", "issue", "--project", "Sales!"), 2, "project: "),
        (("budgets", "set", "--limit", "much"), 2, "limit: "),
        (("budgets", "set", "--limit", "1", "--window", "year"), 2, "'year' is not one of"),
        (("keys", "revoke"), 2, "Missing argument 'ID'"),
        (("keys", "list", "--tenant", "ghost"), 2, "there is no tenant 'ghost'"),
        (("keys", "eat"), 2, "No such command 'eat'"),
    ],
)
def test_the_exit_code_tells_no_from_wrong_use(governed: House, words: tuple[str, ...], status: int, said: str) -> None:
    result = CliRunner().invoke(
        main, [*words[:2], *(("--data", str(governed.data)) if len(words) > 1 else ()), *words[2:]]
    )

    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr


def test_where_no_server_runs_the_way_to_start_one_is_told(nowhere: Path) -> None:
    told = ran("keys", "list", "--data", nowhere)

    assert (told.status, told.out) == (1, "")
    assert f"start one with `dirigent serve --data {nowhere}`" in told.err


def test_where_the_server_has_gone_it_is_told_as_well(governed: House, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"host": "127.0.0.1", "port": 1, "pid": 1}')
    (tmp_path / "operator-key").write_text(governed.key)

    told = ran("keys", "list", "--data", tmp_path)

    assert (told.status, "does not answer" in told.err) == (1, True)


def _commands(group: Lazy, *above: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.loaded().items():
        if isinstance(command, Lazy):
            yield from _commands(command, *above, name)
        elif not command.hidden:
            yield (*above, name)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_command(name: str) -> None:
    words = ELSEWHERE.get(name, name.replace(".", " ").replace("_", "-")).split()

    group = main.loaded()[words[0]]

    assert len(words) == 1 or (isinstance(group, Lazy) and words[1] in group.loaded())


@pytest.mark.parametrize("words", [*_commands(main)], ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself_that_it_understands(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"], terminal_width=1000)

    found = re.search(rf"Example: dirigent {' '.join(words)}(.*)", result.output)
    assert found is not None, result.output
    assert "--json" in result.output
