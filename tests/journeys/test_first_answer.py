"""A newcomer starts a node and asks the local model with OpenAI's own client, changed in nothing but its address."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import AuthenticationError, NotFoundError

from tests.journeys.node import Node

QUESTION: Any = [{"role": "user", "content": "Name three colours, in one short sentence."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "animal": {"type": "string", "maxLength": 20},
        "legs": {"type": "integer", "minimum": 0, "maximum": 100},
        "tame": {"type": "boolean"},
    },
    "required": ["animal", "legs", "tame"],
    "additionalProperties": False,
}


def test_the_local_model_answers_through_auto(local_node: Node) -> None:
    answer = local_node.openai().chat.completions.with_raw_response.create(
        model="auto", messages=QUESTION, max_tokens=40, temperature=0
    )

    completion = answer.parse()
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason in ("stop", "length")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 10
    assert answer.headers["x-dirigent-model"] == "local"
    assert answer.headers["x-dirigent-cost"] == "0 USD"


def test_the_same_answer_streams_in_pieces(local_node: Node) -> None:
    stream = local_node.openai().chat.completions.create(
        model="auto",
        messages=QUESTION,
        max_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = list(stream)

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert sum(1 for piece in pieces if piece) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 3
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_asynchronous_client_gets_several_answers_at_once(local_node: Node) -> None:
    async with local_node.async_openai() as client:
        streams = [
            await client.chat.completions.create(model="auto", messages=QUESTION, max_tokens=8, stream=True)
            for _ in range(3)
        ]
        texts = ["".join([c.choices[0].delta.content or "" async for c in stream if c.choices]) for stream in streams]

    assert all(texts)


def test_an_answer_that_must_follow_a_schema_follows_it(local_node: Node) -> None:
    answer = local_node.openai().chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Describe a cat."}],
        response_format={"type": "json_schema", "json_schema": {"name": "animal", "schema": SCHEMA, "strict": True}},
        max_tokens=120,
        temperature=0,
    )

    described = json.loads(answer.choices[0].message.content or "")
    assert set(described) == {"animal", "legs", "tame"}
    assert isinstance(described["animal"], str)
    assert len(described["animal"]) <= 20
    assert type(described["legs"]) is int
    assert 0 <= described["legs"] <= 100
    assert isinstance(described["tame"], bool)


def test_several_choices_come_from_a_model_that_gives_one_at_a_time(local_node: Node) -> None:
    answer = local_node.openai().chat.completions.create(model="auto", messages=QUESTION, max_tokens=6, n=2)

    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)


def test_the_models_are_listed_as_the_client_expects(local_node: Node) -> None:
    client = local_node.openai()

    assert [model.id for model in client.models.list()] == ["local", "auto", "embeddings", "speech", "transcription"]
    assert client.models.retrieve("auto").owned_by == "dirigent"


def test_a_mistyped_model_is_a_not_found_error_that_names_the_nearest(local_node: Node) -> None:
    with pytest.raises(NotFoundError) as refused:
        local_node.openai().chat.completions.create(model="aut", messages=QUESTION)

    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"
    assert "did you mean 'auto'?" in refused.value.message


def test_a_wrong_key_is_an_authentication_error(local_node: Node) -> None:
    client = local_node.openai().with_options(api_key="dk-wrong")

    with pytest.raises(AuthenticationError) as refused:
        client.chat.completions.create(model="auto", messages=QUESTION)

    assert refused.value.code == "invalid_api_key"


def test_the_node_says_how_its_local_model_stands(local_node: Node) -> None:
    ready = local_node.call("GET", "/health/ready", key=None)

    (state,) = ready.json["local"].values()
    assert state["phase"] == "ready"
    assert "slots" in state["words"]
