"""The vendor in miniature knows its routes from the SDK, answers what the SDK's types allow, and takes nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import openai.resources.audio.speech
import openai.resources.audio.transcriptions
import openai.resources.chat.completions.completions
import openai.resources.models
import openai.resources.responses.responses
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tools.conformance.checks import fault, form_fault
from tools.conformance.examples import events, example
from tools.conformance.mock import BINARY, Vendor, serving
from tools.conformance.specification import Route, routes_of

MODULES = (
    openai.resources.audio.speech,
    openai.resources.audio.transcriptions,
    openai.resources.chat.completions.completions,
    openai.resources.models,
    openai.resources.responses.responses,
)
MESSAGES = [{"role": "user", "content": "Hello"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def offered() -> list[Route]:
    return [route for module in MODULES for route in routes_of(module)]


@pytest.fixture(scope="module")
def client(offered: list[Route]) -> Iterator[OpenAI]:
    server = serving(Vendor("/v1", offered), "secret")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    with OpenAI(base_url=address, api_key="secret", max_retries=0, _strict_response_validation=True) as one:
        yield one
    server.shutdown()
    server.server_close()


def test_a_route_is_read_with_its_parameters_its_answer_and_its_events(offered: list[Route]) -> None:
    found = {(route.method, route.path): route for route in offered}

    chat, speech = found["POST", "/chat/completions"], found["POST", "/audio/speech"]

    assert (chat.answer, chat.event, chat.multipart) == (ChatCompletion, ChatCompletionChunk, False)
    assert speech.answer is bytes
    assert found["POST", "/audio/transcriptions"].multipart
    assert ("GET", "/models/{model}") in found


def test_an_example_fits_the_type_that_it_is_an_example_of(offered: list[Route]) -> None:
    whole = [route.answer for route in offered if route.answer not in (None, bytes)]
    streamed = [(route.event, event) for route in offered if route.event is not None for event in events(route.event)]

    made = [(kind, example(kind)) for kind in whole] + streamed

    assert len(made) > 10
    for kind, value in made:
        TypeAdapter(kind).validate_json(TypeAdapter(object).dump_json(value), strict=True)


def test_a_streamed_answer_tells_its_events_in_the_order_of_the_vendor() -> None:
    told = [event["type"] for event in events(ResponseStreamEvent)]

    assert told[0] == "response.created"
    assert told[-1] == "response.completed"
    assert told.index("response.output_item.added") < told.index("response.output_text.delta")


def test_the_sdk_reads_whole_streamed_and_binary_answers(client: OpenAI) -> None:
    asked: Any = {"model": "any", "messages": MESSAGES}

    whole = client.chat.completions.create(**asked)
    streamed = list(client.chat.completions.create(**asked, stream=True))
    spoken = client.audio.speech.create(model="any", voice="ash", input="Hello")

    assert whole.choices[0].message.content
    assert [type(each) for each in streamed] == [ChatCompletionChunk]
    assert spoken.content == BINARY


def test_the_sdk_reads_events_that_name_their_type(client: OpenAI) -> None:
    told = [event.type for event in client.responses.create(model="any", input="Hello", stream=True)]

    assert told == [event["type"] for event in events(ResponseStreamEvent)]


def test_a_form_is_read_by_its_parts(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(model="any", file=("a.wav", b"RIFF"))

    assert heard.text
    with pytest.raises(BadRequestError, match="lacks model"):
        client.post("/audio/transcriptions", cast_to=object, files={"file": ("a.wav", b"RIFF")}, options=_form())


def test_a_name_in_the_path_may_be_any(client: OpenAI) -> None:
    assert isinstance(client.models.retrieve("ft:some.model-1"), Model)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": MESSAGES}, "lacks model"),
        ({"model": "any", "messages": MESSAGES, "max_token": 3}, "unknown fields: max_token"),
        ({"model": "any", "messages": MESSAGES, "temperature": "hot"}, "temperature is 'hot', not of type float"),
        ({"model": "any", "messages": MESSAGES, "n": True}, "n is True, not of type int"),
        ({"model": "any", "messages": [{"role": "usher", "content": "x"}]}, r"messages\[0\].role is 'usher'"),
        ({"model": "any", "messages": {}}, "messages is {}, not a list"),
        ({"model": "any", "messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"content\[0\] lacks text"),
    ],
)
def test_a_body_that_the_types_do_not_allow_is_refused_in_words(
    client: OpenAI, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(BadRequestError, match=words):
        client.post("/chat/completions", cast_to=object, body=fields)


def test_what_is_no_route_or_no_json_or_comes_without_the_key_is_refused(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="there is no POST /v1/nothing"):
        client.post("/nothing", cast_to=object, body={})
    with pytest.raises(BadRequestError, match="no JSON"):
        client.post("/chat/completions", cast_to=object, content=b"{")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").models.list()


@given(JSON)
def test_any_json_is_judged_and_only_what_names_a_model_and_messages_is_taken(value: Any) -> None:
    wrong = fault(CompletionCreateParams, value)

    assert wrong or {"model", "messages"} <= set(value)


@given(st.sets(st.sampled_from(["file", "model", "language", "include[]", "stream"])))
def test_a_form_needs_its_required_parts_and_no_others(names: set[str]) -> None:
    kind = next(route.body for route in routes_of(openai.resources.audio.transcriptions))

    assert (form_fault(kind, names) is None) == ({"file", "model"} <= names)
    assert form_fault(kind, names | {"color"}) is not None


def _form() -> Any:
    return {"headers": {"Content-Type": "multipart/form-data"}}
