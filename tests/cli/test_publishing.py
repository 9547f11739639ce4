"""`publish` and `rollback` against a served control plane, by programs and by people."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dirigent.cli import main
from tests.admin.house import House, house

ONE = """\
    models:
      writer: {type: echo, says: "one"}
      reader: {type: echo, says: "one"}
    """
TWO = ONE.replace("one", "two")


@pytest.fixture
def governed(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path / "data") as one:
        notice = {"host": "127.0.0.1", "port": one.port, "pid": os.getpid()}
        (one.data / "server.json").write_text(json.dumps(notice))
        yield one


def asked(house: House, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--data", str(house.data)], catch_exceptions=False)


def told(house: House, *words: str) -> Any:
    result = asked(house, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def written(folder: Path, text: str) -> str:
    file = folder / "new.yaml"
    file.write_text(textwrap.dedent(text))
    return str(file)


def test_what_is_published_is_what_the_file_says(governed: House, tmp_path: Path) -> None:
    published = told(governed, "publish", written(tmp_path, ONE), "--reason", "to begin with")

    assert {"revision", "nodes", "milliseconds"} <= set(published)
    shown = told(governed, "revisions", "show")
    assert shown["revision"] == published["revision"]
    assert shown["document"]["models"]["writer"] == {"type": "echo", "says": "one"}
    (line,) = told(governed, "revisions", "list")["revisions"]
    assert (line["reason"], line["author"]) == ("to begin with", "operator")


def test_every_digit_of_a_price_is_kept_and_the_same_file_is_the_same_revision(governed: House, tmp_path: Path) -> None:
    priced = """\
        providers:
          vendor: {type: compatible, base_url: "http://127.0.0.1:1/v1"}
        models:
          big: {type: deployment, provider: vendor, name: big, price: {input: 2.50, output: 10.000000001}}
        """

    first = told(governed, "publish", written(tmp_path, priced))
    again = told(governed, "publish", written(tmp_path, priced))

    assert first["revision"] == again["revision"]
    assert "10.000000001" in asked(governed, "revisions", "show").output


def test_rollback_goes_back_with_everything(governed: House, tmp_path: Path) -> None:
    one = told(governed, "publish", written(tmp_path, ONE))
    told(governed, "publish", written(tmp_path, TWO))

    back = told(governed, "rollback")

    assert back["revision"] == one["revision"]


def test_rollback_of_a_model_leaves_the_others_where_they_are(governed: House, tmp_path: Path) -> None:
    one = told(governed, "publish", written(tmp_path, ONE))
    told(governed, "publish", written(tmp_path, TWO))

    told(governed, "rollback", "writer", "--to", one["revision"])

    models = told(governed, "revisions", "show")["document"]["models"]
    assert (models["writer"]["says"], models["reader"]["says"]) == ("one", "two")


def test_a_configuration_at_fault_is_refused_with_file_line_and_path(governed: House, tmp_path: Path) -> None:
    file = written(
        tmp_path, "models:\n  a: {type: echo}\n  b: {type: router, candidates: [nobody]}\n  c: {type: odd}\n"
    )

    result = asked(governed, "publish", file)

    assert result.exit_code == 1
    assert f"{file}:3: models.b" in result.stderr
    assert f"{file}:4: models.c" in result.stderr
    assert told(governed, "revisions", "list")["revisions"] == []


def test_what_is_no_yaml_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    file = written(tmp_path, "models: [")

    result = CliRunner().invoke(main, ["publish", file, "--data", str(tmp_path)])

    assert (result.exit_code, f"{file}:" in result.stderr) == (1, True)


def test_who_has_not_seen_the_present_revision_publishes_nothing(governed: House, tmp_path: Path) -> None:
    one = told(governed, "publish", written(tmp_path, ONE))
    told(governed, "publish", written(tmp_path, TWO))

    result = asked(governed, "publish", written(tmp_path, ONE), "--onto", one["revision"])

    assert (result.exit_code, "look at it first" in result.stderr) == (2, True)


def test_a_person_is_told_in_a_sentence(governed: House, tmp_path: Path) -> None:
    result = asked(governed, "publish", written(tmp_path, ONE))

    assert "workers serve revision" in result.output


@pytest.mark.parametrize(
    ("words", "said"), [(("rollback",), "nothing is published"), (("rollback", "auto"), "nothing is published")]
)
def test_where_there_is_no_way_back_the_answer_is_no(governed: House, words: tuple[str, ...], said: str) -> None:
    result = asked(governed, *words)

    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
