"""Somebody tries one step of a pipeline alone, before anybody relies on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import ran
from tests.journeys.node import Node, node

CONFIG = """\
    models:
      echo: {type: echo, says: "Hello, you."}
      offer:
        type: pipeline
        steps:
          - {type: calculate, name: sums, values: {net: "size(input.text) * 2.50"}}
          - type: branch
            name: way
            cases:
              - when: sums.net > 10
                steps: [{type: ask, name: long, model: echo, messages: [{content: "{{ sums.net }}"}]}]
    """


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running node with a pipeline; no test changes it."""
    with node(tmp_path_factory.mktemp("offering") / "data", CONFIG) as one:
        yield one


def seen(folder: Path, **names: object) -> str:
    file = folder / "seen.json"
    file.write_text(json.dumps(names), encoding="utf-8")
    return str(file)


def test_a_step_shows_what_it_makes_of_what_it_sees(offering: Node, tmp_path: Path) -> None:
    told = ran("try", "offer", "sums", "--input", seen(tmp_path, input={"text": "hello"}), "--data", offering.data)

    assert told.status == 0
    assert json.loads(told.out) == {"net": 12.5}
    assert told.err.startswith("-- calculate")


def test_a_step_within_another_is_named_with_it_and_asks_whom_it_asks(offering: Node, tmp_path: Path) -> None:
    file = seen(tmp_path, sums={"net": 20})
    told = ran("try", "offer", "way/long", "--input", file, "--data", offering.data, "--json")

    assert told.status == 0
    tried = json.loads(told.out)
    assert (tried["result"], tried["deployment"], tried["cost"]) == ("Hello, you.", "echo", "0 USD")


def test_a_step_that_is_not_there_is_refused_with_the_nearest(offering: Node, tmp_path: Path) -> None:
    told = ran("try", "offer", "sum", "--input", seen(tmp_path), "--data", offering.data)
    other = ran("try", "echo", "sum", "--input", seen(tmp_path), "--data", offering.data)

    assert (told.status, other.status) == (1, 1)
    assert "did you mean 'sums'?" in told.err
    assert "no steps" in other.err


def test_a_file_that_cannot_be_read_is_told(offering: Node, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[1", encoding="utf-8")

    missing = ran("try", "offer", "sums", "--input", str(tmp_path / "nowhere.json"), "--data", offering.data)
    broken = ran("try", "offer", "sums", "--input", str(tmp_path / "broken.json"), "--data", offering.data)

    assert (missing.status, broken.status) == (1, 1)
    assert "cannot be read" in missing.err
    assert "no JSON object" in broken.err
