"""Somebody asks a pipeline of a running node, as any OpenAI client asks any model."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.examples.shelf import EXAMPLES, KEYS, with_own
from tests.journeys.node import Node, node
from tests.journeys.upstream import standing

CONFIG = """\
    models:
      writer: {type: echo}
      letter:
        type: pipeline
        input:
          type: object
          properties: {who: {type: string}, hours: {type: integer, minimum: 1}}
          required: [who, hours]
        steps:
          - {type: calculate, name: sums, values: {net: input.hours * 118.50}}
          - {type: prompt, name: text, model: writer, prompt: "{{ input.who }} pays {{ sums.net }} euros"}
      data:
        type: pipeline
        steps:
          - {type: calculate, name: size, values: {letters: size(input.text)}}
    """


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("pipelines") / "data", CONFIG) as one:
        yield one


def test_it_answers_with_who_answered_and_what_it_cost(served: Node) -> None:
    answer = served.chat("letter", json.dumps({"who": "Erika", "hours": 10}))

    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "Erika pays 1185.00 euros"
    assert answer.headers["x-dirigent-model"] == "writer"
    assert answer.headers["x-dirigent-cost"] == "0 USD"


def test_it_streams_the_words_of_its_last_step(served: Node) -> None:
    answer = served.chat("letter", json.dumps({"who": "Erika", "hours": 10}), stream=True)

    pieces = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
    words = [choice["delta"].get("content") for piece in pieces for choice in json.loads(piece)["choices"]]
    assert "".join(filter(None, words)) == "Erika pays 1185.00 euros"
    assert len(list(filter(None, words))) == 4
    assert answer.headers["x-dirigent-model"] == "writer"


def test_data_goes_out_as_json(served: Node) -> None:
    assert served.chat("data", "hello").json["choices"][0]["message"]["content"] == '{"letters":5}'


def test_what_does_not_fit_is_refused_with_the_field_and_the_reason(served: Node) -> None:
    answer = served.chat("letter", json.dumps({"who": "Erika", "hours": 0}))

    assert answer.status == 400
    assert "input.hours: " in answer.json["error"]["message"]
    assert answer.json["error"]["param"] == "messages[0].content"


def test_the_example_makes_an_offer_of_a_mail(tmp_path_factory: pytest.TempPathFactory) -> None:
    with standing('{"customer": "Erika", "work": "planning", "hours": 10}') as vendor:
        config = with_own(EXAMPLES / "11_pipeline.yaml", vendor.url)
        with node(tmp_path_factory.mktemp("offer") / "data", config, environment=KEYS) as one:
            answer = one.chat("auto", "Erika wants 10 hours of planning.")

    assert answer.status == 200
    assert json.loads(answer.json["choices"][0]["message"]["content"])["hours"] == 10
