"""`audit verify` and `audit export`: of a running server, of a folder on which none runs, and of a file alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from dirigent.cli import main
from dirigent.store import Database
from tests.admin.house import House, house


@pytest.fixture
def governed(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path / "data") as one:
        notice = {"host": "127.0.0.1", "port": one.port, "pid": os.getpid()}
        (one.data / "server.json").write_text(json.dumps(notice))
        for name in ("sales", "support", "shop"):
            one.perform("projects.create", {"name": name})
        one.perform("audit.anchor")
        yield one


def asked(data: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["audit", *words, "--data", str(data)], catch_exceptions=False)


def told(data: Path, *words: str, status: int = 0) -> Any:
    result = asked(data, *words, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def _tamper(data: Path) -> None:
    database = Database.within(data)
    database.write(
        lambda connection: connection.execute(
            text("UPDATE audit_entries SET entry = replace(entry, 'project:sales', 'project:salad')")
        )
    )
    database.close()


def test_the_running_server_shows_that_its_audit_is_whole(governed: House) -> None:
    verdict = told(governed.data, "verify")

    assert (verdict["ok"], verdict["entries"]) == (True, 4)


def test_what_was_changed_is_found_and_the_answer_is_no(governed: House) -> None:
    _tamper(governed.data)

    verdict = told(governed.data, "verify", status=1)

    assert verdict["ok"] is False
    assert verdict["faults"][0]["seq"] == 1


def test_where_no_server_runs_the_folder_is_read(governed: House) -> None:
    (governed.data / "server.json").unlink()

    whole = told(governed.data, "verify")
    _tamper(governed.data)
    changed = told(governed.data, "verify", status=1)

    assert (whole["ok"], whole["entries"], changed["ok"]) == (True, 4, False)


def test_an_export_is_verified_by_the_key_alone(governed: House, tmp_path: Path) -> None:
    file, key = tmp_path / "audit.jsonl", tmp_path / "audit.pub"
    key.write_bytes((governed.data / "keys" / "audit.pub").read_bytes())
    exported = told(governed.data, "export", str(file))

    whole = told(tmp_path / "nowhere", "verify", "--from", str(file), "--key", str(key))
    file.write_text(file.read_text().replace("project:sales", "project:salad"))
    changed = told(tmp_path / "nowhere", "verify", "--from", str(file), "--key", str(key), status=1)

    assert exported["lines"] == len(file.read_text().splitlines())
    assert (whole["ok"], whole["entries"], changed["ok"]) == (True, 4, False)


def test_a_person_reads_what_is_proved_and_what_is_not(governed: House) -> None:
    result = asked(governed.data, "verify")

    assert "The chain is whole." in result.output
    assert "This does not prove:" in result.output


def test_where_there_is_nothing_to_verify_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text("[]\n")

    nowhere = asked(tmp_path / "nowhere", "verify")
    odd = asked(tmp_path, "verify", "--from", str(tmp_path / "odd.jsonl"))

    assert (nowhere.exit_code, "there is no database" in nowhere.stderr) == (1, True)
    assert (odd.exit_code, "cannot be verified" in odd.stderr) == (1, True)
    assert not (tmp_path / "nowhere").exists()


def test_the_audit_is_listed_with_who_did_what(governed: House) -> None:
    listed = told(governed.data, "list", "--action", "projects.*", "--limit", "2")

    assert [each["resource"] for each in listed["entries"]] == ["project:shop", "project:support"]
