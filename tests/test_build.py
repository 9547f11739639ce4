"""Somebody writes a configuration in Python instead of YAML, and gets the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dirigent import build
from dirigent.configuration import read_sheet
from dirigent.core.canonical import plain
from dirigent.core.errors import InvalidConfiguration
from dirigent.core.model import Model
from dirigent.models.tools.lookup import Lookup
from tests.world import READER, World
from tools.docs.kinds import EXAMPLES

OFFER = build.pipeline(
    build.Calculate(name="sums", values={"net": "input.hours * 120", "gross": "round(net * 1.19, 2)"}),
    build.Branch(
        name="way",
        cases=(
            build.Case(
                when="sums.gross > 1000",
                steps=(
                    build.Map(
                        name="letters",
                        over="[1, 2]",
                        item="number",
                        steps=(build.Prompt(name="letter", model="writer", prompt="{{ number }}: {{ sums.gross }}"),),
                    ),
                ),
            ),
        ),
        otherwise=(build.Tool(name="rate", tool=Lookup(table={"a": Decimal("0.19")}), arguments={"key": "a"}),),
        retry=build.Retry(tries=3),
    ),
    input={"type": "object", "properties": {"hours": {"type": "integer"}}, "required": ["hours"]},
    limits=build.Limits(steps=20, cost=Decimal("0.50")),
)
OFFER_IN_YAML = """\
models:
  writer: {type: echo}
  offer:
    type: pipeline
    input: {type: object, properties: {hours: {type: integer}}, required: [hours]}
    limits: {steps: 20, cost: 0.50}
    steps:
      - {type: calculate, name: sums, values: {net: input.hours * 120, gross: "round(net * 1.19, 2)"}}
      - type: branch
        name: way
        retry: {tries: 3}
        cases:
          - when: sums.gross > 1000
            steps:
              - type: map
                name: letters
                over: "[1, 2]"
                as: number
                steps:
                  - {type: prompt, name: letter, model: writer, prompt: "{{ number }}: {{ sums.gross }}"}
        otherwise:
          - {type: tool, name: rate, tool: {type: lookup, table: {a: 0.19}}, arguments: {key: a}}
"""


PIPELINES = [path for path in sorted(EXAMPLES.glob("*.yaml")) if "type: pipeline" in path.read_text(encoding="utf-8")]


def read(raw: Any) -> Model:
    kind, faults = READER.read(Model, raw, ())
    assert kind is not None, faults
    return kind


def test_what_is_written_in_python_and_what_is_written_in_yaml_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "offer.yaml"
    file.write_text(OFFER_IN_YAML, encoding="utf-8")

    document = read_sheet(file).document

    assert read(document["models"]["offer"]) == OFFER


async def test_it_is_written_down_as_a_file_that_is_read_as_itself_and_answers(tmp_path: Path) -> None:
    file = tmp_path / "written.yaml"
    configuration = build.document(models={"writer": build.Echo(), "offer": OFFER})
    file.write_text(build.text(configuration), encoding="utf-8")

    document = read_sheet(file).document

    assert read(document["models"]["offer"]) == OFFER
    assert build.faults(document) == ()
    assert (await World(document["models"]).collect("offer", '{"hours": 10}')).text == '["1: 1428.00","2: 1428.00"]'


@pytest.mark.parametrize("example", PIPELINES, ids=lambda path: path.stem)
def test_every_pipeline_of_the_reference_is_written_down_as_it_is_read(example: Path) -> None:
    document = read_sheet(example).document
    models = {name: read(raw) for name, raw in document["models"].items()}

    again = plain(build.text(build.document(models=models)).encode())

    assert {name: read(raw) for name, raw in again["models"].items()} == models


def test_a_setting_that_has_not_its_type_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidConfiguration, match=r"steps\[0\]\.timeout: expected `float"):
        build.pipeline(build.Ask(name="a", model="m", timeout="soon"))  # type: ignore[arg-type]  # that is the fault


def test_names_that_are_not_there_are_found_as_in_a_file() -> None:
    broken = build.pipeline(build.Prompt(name="a", model="nobody", prompt="{{ inptu.text }}"))

    found = {fault.dotted() for fault in build.faults(build.document(models={"p": broken}))}

    assert found == {"models.p.steps[0].model", "models.p.steps[0].prompt"}
