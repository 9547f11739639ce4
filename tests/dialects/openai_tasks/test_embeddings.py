from __future__ import annotations

from base64 import b64encode
from struct import pack
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from openai.types import CreateEmbeddingResponse

from dirigent.core.errors import BadAnswer, Invalid, Unavailable
from dirigent.core.events import Embedded, Event, UsageReported, folded
from dirigent.core.messages import Embedding, Request, Wire
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks import OpenAIEmbeddings

DIALECT = OpenAIEmbeddings()
numbers = some.floats(-1, 1, width=32)
vectors = some.lists(some.lists(numbers, min_size=3, max_size=3).map(tuple), min_size=1, max_size=4)


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": "hello", **fields})


def asked(**fields: Any) -> Request:
    return DIALECT.read_request(body(**fields))


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("hello", ("hello",)),
        (["a", "b"], ("a", "b")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_each_shape_of_input_is_read(given: object, texts: tuple[object, ...]) -> None:
    job = asked(input=given).job

    assert isinstance(job, Embedding)
    assert job.texts == texts


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": [-1]}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
    ],
)
def test_a_fault_is_named_by_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        asked(**fields)

    assert refused.value.param == param


def test_a_null_is_left_out_on_the_way_to_the_provider() -> None:
    wire = asked(encoding_format=None, dimensions=None, user="u").wire
    assert isinstance(wire, Wire)

    sent = msgspec.json.decode(DIALECT.splice(wire, "other", report_usage=False))

    assert sent == {"model": "other", "input": "hello", "user": "u"}


def test_our_own_words_are_written_without_a_single_null_and_with_the_fields_of_the_dialect() -> None:
    request = asked(input=["a", "b"], input_type="query", dimensions=256)

    sent = msgspec.json.decode(DIALECT.write_request(request.changed(), "other"))

    assert sent == {"model": "other", "input": ["a", "b"], "dimensions": 256, "input_type": "query"}


@given(vectors=vectors, base64=some.booleans())
def test_vectors_that_are_written_are_read_again_in_both_formats(
    vectors: list[tuple[float, ...]],
    base64: bool,  # noqa: FBT001  made up by Hypothesis
) -> None:
    request = asked(encoding_format="base64" if base64 else "float")
    said: list[Event] = [
        *(Embedded(index, vector) for index, vector in enumerate(vectors)),
        UsageReported(Usage(7, estimated=True)),
    ]

    written = DIALECT.write_response(folded(said), request, "", 0)

    assert folded(DIALECT.read_response(written)).vectors == tuple(vectors)
    assert DIALECT.usage_of(written) == Usage(7)
    answer = msgspec.json.decode(written)
    assert isinstance(answer["data"][0]["embedding"], str if base64 else list)
    if not base64:
        CreateEmbeddingResponse.model_validate(answer, strict=True)


def test_vectors_come_in_the_order_of_their_texts_however_the_provider_orders_them() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": b64encode(pack("<f", 1.0)).decode()}]

    read = folded(DIALECT.read_response(msgspec.json.encode({"data": data})))

    assert read.vectors == ((1.0,), (2.0,))
    assert read.usage is None


@pytest.mark.parametrize("usage", [{"prompt_tokens": 5, "total_tokens": 5}, {"total_tokens": 5}, {"prompt_tokens": 5}])
def test_usage_is_read_in_each_of_its_shapes(usage: dict[str, int]) -> None:
    answer = msgspec.json.encode({"data": [{"embedding": [1.0]}], "usage": usage})

    assert DIALECT.usage_of(answer) == Usage(5)


@pytest.mark.parametrize(
    "answer", [b"", b"null", b"{}", b'{"data":[]}', b'{"data":[{"embedding":"!"}]}', b'{"data":[{}]}', b"<html>"]
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.read_response(answer)


def test_an_error_in_the_place_of_an_answer_is_raised() -> None:
    with pytest.raises(Unavailable, match="overloaded"):
        DIALECT.usage_of(b'{"error":{"message":"overloaded","type":"server_error"}}')


def test_an_answer_without_vectors_is_never_written_as_one() -> None:
    with pytest.raises(BadAnswer):
        DIALECT.write_response(folded([]), asked(), "", 0)
