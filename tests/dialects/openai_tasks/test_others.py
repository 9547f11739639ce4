"""Pictures, verdicts and the old completions: what only goes by."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from openai.types import Completion

from dirigent.core.errors import BadAnswer, Invalid, Unavailable, Unsupported
from dirigent.core.events import Finished, TextDelta, UsageReported, Verbatim, folded
from dirigent.core.messages import Unread, Wire
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks import (
    OpenAICompletions,
    OpenAIImageEdits,
    OpenAIImages,
    OpenAIImageVariations,
    OpenAIModerations,
)
from tests.dialects.forms import form, headers
from tests.upstream import DONE, frames, pieces

PICTURE = b"\x89PNG\r\n\x1a\n picture"


def json(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", **fields})


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_what_a_picture_shall_show_is_known_to_whoever_looks_for_what_people_write() -> None:
    request = OpenAIImages().read_request(json(prompt="a cat", stream=True, partial_images=2))

    assert (request.job, request.stream, request.task) == (Unread(("a cat",)), True, "images")


def test_an_edit_comes_as_a_form_or_as_json() -> None:
    fields = (("model", b"m"), ("image[]", PICTURE, "a.png"), ("image[]", PICTURE, "b.png"), ("prompt", b"a hat"))

    by_form = OpenAIImageEdits().read_request(form(*fields), "", headers())
    by_json = OpenAIImageEdits().read_request(json(prompt="a hat", images=[{"image_url": "https://a/b.png"}]))

    assert by_form.job == by_json.job == Unread(("a hat",))
    assert isinstance(by_form.wire, Wire)
    spliced = OpenAIImageEdits().splice(by_form.wire, "gpt-image", report_usage=False)
    assert spliced == form(("model", b"gpt-image"), *fields[1:])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ((("model", b"m"), ("prompt", b"a hat")), "image"),
        ((("model", b"m"), ("image", PICTURE, "a.png")), "prompt"),
        ((("model", b""), ("image", PICTURE, "a.png"), ("prompt", b"a hat")), "model"),
    ],
)
def test_what_an_edit_lacks_is_named(fields: tuple[Any, ...], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        OpenAIImageEdits().read_request(form(*fields), "", headers())

    assert refused.value.param == param


def test_a_variation_needs_no_words() -> None:
    body = form(("model", b"m"), ("image", PICTURE, "a.png"))

    assert OpenAIImageVariations().read_request(body, "", headers()).job == Unread()


def test_tokens_of_pictures_that_go_in_leave_the_cost_unknown() -> None:
    def answer(details: dict[str, int]) -> bytes:
        usage = {"input_tokens": 50, "output_tokens": 1000, "total_tokens": 1050, "input_tokens_details": details}
        return msgspec.json.encode({"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage})

    assert OpenAIImages().usage_of(answer({"text_tokens": 50, "image_tokens": 0})) == Usage(50, 1000)
    assert OpenAIImages().usage_of(answer({"text_tokens": 10, "image_tokens": 40})) is None


def test_a_provider_that_does_not_stream_pictures_is_heard_as_if_it_did() -> None:
    answer = msgspec.json.encode({"created": 1, "data": [{"b64_json": "aGk="}, {"b64_json": "eW8="}]})

    (said,) = OpenAIImages().read_response(answer)

    assert isinstance(said, Verbatim)
    events = [msgspec.json.decode(each.removeprefix(b"data: ")) for each in said.data.strip().split(b"\n\n")]
    assert events == [{"type": "image_generation.completed", "b64_json": text} for text in ("aGk=", "eW8=")]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":[]}', b"[]"])
def test_an_answer_without_a_picture_is_none(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        OpenAIImages().usage_of(body)


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}], ("a",)),
    ],
)
def test_each_shape_of_what_is_judged_is_read(given: object, texts: tuple[str, ...]) -> None:
    assert OpenAIModerations().read_request(json(input=given)).job == Unread(texts)


def test_a_verdict_has_no_usage_and_is_one_nevertheless() -> None:
    assert OpenAIModerations().usage_of(b'{"id":"modr-1","results":[{"flagged":false}]}') is None
    with pytest.raises(BadAnswer):
        OpenAIModerations().usage_of(b'{"id":"modr-1"}')


# --- the old completions ----------------------------------------------------------------------------------------------

COMPLETIONS = OpenAICompletions()
STREAM = frames(
    {"id": "cmpl-1", "choices": [{"index": 0, "text": "", "finish_reason": None}], "usage": None},
    {"id": "cmpl-1", "choices": [{"index": 0, "text": "Guten", "finish_reason": None}], "usage": None},
    {"id": "cmpl-1", "choices": [{"index": 0, "text": " Tag", "finish_reason": "stop"}], "usage": None},
)
USAGE = frames(
    {"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
)


@pytest.mark.parametrize(
    ("fields", "texts", "choices"),
    [
        ({"prompt": "a"}, ("a",), 1),
        ({"prompt": ["a", "b"], "n": 2}, ("a", "b"), 4),
        ({"prompt": [1, 2]}, (), 1),
        ({"prompt": [[1], [2]]}, (), 2),
        ({"prompt": "a", "suffix": "z"}, ("a", "z"), 1),
        ({}, (), 1),
    ],
)
def test_prompts_and_the_choices_that_they_make_are_counted(
    fields: dict[str, Any], texts: tuple[str, ...], choices: int
) -> None:
    request = COMPLETIONS.read_request(json(**fields))

    assert request.job == Unread(texts)
    assert request.choices == choices


def test_usage_is_asked_for_and_what_else_was_asked_for_stays() -> None:
    wire = COMPLETIONS.read_request(json(prompt="a", stream=True, stream_options={"other": 1}, logit_bias=None)).wire
    assert isinstance(wire, Wire)

    sent = msgspec.json.decode(COMPLETIONS.splice(wire, "x", report_usage=True))

    assert sent == {"model": "x", "prompt": "a", "stream": True, "stream_options": {"other": 1, "include_usage": True}}


@given(at=some.lists(some.integers(0, 10**6), max_size=20), hide=some.booleans())
def test_a_witness_passes_what_was_asked_for_and_learns_the_usage(at: list[int], hide: bool) -> None:  # noqa: FBT001
    witness = COMPLETIONS.witness(hide_usage=hide)
    stream = STREAM + USAGE + DONE

    passed = b"".join([witness.feed(piece) for piece in pieces(stream, at)]) + witness.end()

    assert passed == (STREAM + DONE if hide else stream)
    assert witness.usage == Usage(3, 2)


def test_what_says_nothing_yet_waits_for_the_first_word() -> None:
    witness = COMPLETIONS.witness(hide_usage=True)
    silent, *_ = STREAM.split(b"\n\n")

    assert witness.feed(silent + b"\n\n") == b""
    with pytest.raises(BadAnswer):
        witness.end()


def test_a_stream_that_stops_early_is_never_taken_for_a_whole_one() -> None:
    witness = COMPLETIONS.witness(hide_usage=True, choices=2)
    witness.feed(STREAM)

    with pytest.raises(BadAnswer):
        witness.end()


def test_an_error_in_the_stream_is_raised() -> None:
    witness = COMPLETIONS.witness(hide_usage=True)

    with pytest.raises(Unavailable, match="gone"):
        witness.feed(STREAM + frames({"error": {"message": "gone", "type": "server_error"}}))


def test_a_provider_that_does_not_stream_is_heard_as_if_it_did() -> None:
    answer = {"choices": [{"index": 0, "text": "Guten Tag", "finish_reason": "length"}], "usage": {"prompt_tokens": 3}}
    request = COMPLETIONS.read_request(json(prompt="a", stream=True, stream_options={"include_usage": True}))
    writer = COMPLETIONS.writer(request, "cmpl-1", 5)

    events = COMPLETIONS.read_response(msgspec.json.encode(answer))
    stream = b"".join([writer.write(event) for event in events]) + writer.end()

    assert events == [TextDelta("Guten Tag"), Finished("length"), UsageReported(Usage(3))]
    *chunks, done = stream.strip().split(b"\n\n")
    read = [msgspec.json.decode(chunk.removeprefix(b"data: ")) for chunk in chunks]
    assert "".join(choice["text"] for chunk in read for choice in chunk["choices"]) == "Guten Tag"
    assert read[-1]["usage"]["prompt_tokens"] == 3
    assert done == b"data: [DONE]"


def test_a_whole_answer_is_what_openais_own_types_read() -> None:
    request = COMPLETIONS.read_request(json(prompt="a"))
    said = folded([TextDelta("Guten Tag"), Finished("stop"), UsageReported(Usage(3, 2))])

    body = COMPLETIONS.write_response(said, request, "cmpl-1", 5)

    assert Completion.model_validate_json(body, strict=True).choices[0].text == "Guten Tag"
    assert COMPLETIONS.usage_of(body) == Usage(3, 2)


@pytest.mark.parametrize("dialect", [COMPLETIONS, OpenAIImages(), OpenAIModerations()], ids=lambda one: one.name)
def test_what_nobody_here_reads_is_never_rewritten(dialect: Any) -> None:
    request = dialect.read_request(json(prompt="a", input="a"))

    with pytest.raises(Unsupported):
        dialect.write_request(request.changed(), "x")
