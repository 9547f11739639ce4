"""What holds for the dialect of every job beside chat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import DirigentError, Invalid, RateLimited, Rejected, TooLong, Unavailable
from dirigent.core.messages import Wire
from dirigent.dialects import DIALECTS
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_tasks import OPENAI_TASKS
from tests.dialects.forms import form, headers

JSON = {b"content-type": b"application/json"}
FILE = b"\x89PNG\r\n\x00 contents"
ASKED: dict[str, tuple[Callable[[bytes], bytes], dict[bytes, bytes]]] = {
    "openai_completions": (lambda model: _json(model, prompt="hello", stop=["."]), JSON),
    "openai_embeddings": (lambda model: _json(model, input=["hello"], user="u"), JSON),
    "openai_image_edits": (
        lambda model: form(("prompt", b"a hat"), ("model", model), ("image", FILE, "a.png")),
        headers(),
    ),
    "openai_images": (lambda model: _json(model, prompt="a cat", size="1024x1024"), JSON),
    "openai_image_variations": (lambda model: form(("image", FILE, "a.png"), ("model", model)), headers()),
    "openai_moderations": (lambda model: _json(model, input="hello"), JSON),
    "openai_speech": (lambda model: _json(model, input="hello", voice="echo"), JSON),
    "openai_transcriptions": (lambda model: form(("file", FILE, "a.wav"), ("model", model)), headers()),
    "openai_translations": (lambda model: form(("file", FILE, "a.wav"), ("model", model)), headers()),
}
"""A request of each dialect that asks for this model."""
KINDS = [kind() for kind in DIALECTS.kinds.values() if kind.task != "chat"]

FIELDS = (
    "model input prompt data embedding usage error text choices index type results stream voice message code "
    "input_tokens total_tokens stream_options"
)

every_task = pytest.mark.parametrize("dialect", KINDS, ids=lambda one: one.name)
json_like: some.SearchStrategy[Any] = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(FIELDS.split()),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
nonsense = some.binary(max_size=60) | json_like.map(msgspec.json.encode)


def _json(model: bytes, **fields: Any) -> bytes:
    return msgspec.json.encode({"model": model.decode(), **fields})


def only_our_errors(attempt: Callable[[], object]) -> None:
    with suppress(DirigentError):
        attempt()


def test_every_task_beside_chat_has_one_dialect_and_an_example_here() -> None:
    assert {dialect.task for dialect in KINDS} == set(OPENAI_TASKS)
    assert {dialect.name for dialect in KINDS} == set(ASKED)
    assert all(OPENAI_TASKS[dialect.task] == dialect for dialect in KINDS)


@every_task
def test_a_request_names_its_model_and_its_task(dialect: Dialect) -> None:
    written, given = ASKED[dialect.name]

    request = dialect.read_request(written(b"vendor/model-1"), "", given)

    assert (request.model, request.task, request.dialect) == ("vendor/model-1", dialect.task, dialect.name)
    assert request.job is not None
    assert list(request.messages) == []


@every_task
def test_only_the_name_of_the_model_changes_on_the_way_to_the_provider(dialect: Dialect) -> None:
    written, given = ASKED[dialect.name]
    wire = dialect.read_request(written(b"ours"), "", given).wire
    assert isinstance(wire, Wire)

    spliced = dialect.splice(wire, "theirs", report_usage=False)

    if given is JSON:
        assert msgspec.json.decode(spliced) == msgspec.json.decode(written(b"theirs"))
    else:
        assert spliced == written(b"theirs")
    assert dialect.body_type(wire) == given[b"content-type"].decode()
    assert dialect.passes_verbatim
    assert dialect.path("theirs", stream=False).startswith("/")


@every_task
def test_a_request_without_a_model_is_refused_by_that_field(dialect: Dialect) -> None:
    written, given = ASKED[dialect.name]

    with pytest.raises(Invalid) as refused:
        dialect.read_request(written(b""), "", given)

    assert refused.value.param == "model"


@every_task
@given(body=nonsense, in_form=some.booleans())
def test_nonsense_from_a_caller_is_refused_and_nothing_else(dialect: Dialect, body: bytes, in_form: bool) -> None:  # noqa: FBT001
    given = headers() if in_form else JSON

    only_our_errors(lambda: dialect.read_request(body, "", given))
    only_our_errors(lambda: dialect.read_request(form(("model", body), ("file", body, "a")), "", headers()))


@every_task
@given(body=nonsense, status=some.integers(100, 599))
def test_nonsense_from_a_provider_is_a_bad_answer_and_nothing_else(dialect: Dialect, body: bytes, status: int) -> None:
    only_our_errors(lambda: dialect.usage_of(body))
    only_our_errors(lambda: dialect.read_response(body))
    assert isinstance(dialect.read_error(status, body, None), DirigentError)


@every_task
@given(body=nonsense)
def test_a_nonsensical_stream_is_a_bad_answer_and_nothing_else(dialect: Dialect, body: bytes) -> None:
    def watched() -> None:
        witness = dialect.witness(hide_usage=True)
        witness.feed(b"data: " + body + b"\n\n")
        witness.end()

    def read() -> None:
        reader = dialect.reader()
        reader.feed(body)
        reader.end()

    only_our_errors(watched)
    only_our_errors(read)


@every_task
@pytest.mark.parametrize(
    "error",
    [
        Rejected("no such voice", param="voice", kind="invalid_request_error", reason="bad_voice"),
        RateLimited("slow down"),
        TooLong("too long", param="input"),
        Unavailable('quotes " and ü'),
    ],
)
def test_an_error_that_is_written_keeps_its_words(dialect: Dialect, error: DirigentError) -> None:
    body = dialect.write_error(error, 400, "a_kind", "r")

    again = dialect.read_error(400, body, None)

    assert again.message == error.message
    assert set(msgspec.json.decode(body)["error"]) == {"message", "type", "param", "code"}
