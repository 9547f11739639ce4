"""Streams of OpenAI chat completions: the cases that no recorded exchange shows by itself."""

from __future__ import annotations

from typing import Any

import pytest

from dirigent.core.errors import BadAnswer, DirigentError, Misconfigured, RateLimited, Rejected, TooLong, Unavailable
from dirigent.core.events import Event, Finished, TextDelta, ToolCallDelta, UsageReported, folded
from dirigent.core.messages import ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_chat.streams import Reader
from tests.upstream import DONE, chunk, frames

DIALECT = OpenAIChat()
END = frames(chunk(finish="stop")) + DONE


def read(*stream: bytes) -> list[Event]:
    reader = Reader()
    return [event for piece in stream for event in reader.feed(piece)] + reader.end()


def watch(*stream: bytes, hide_usage: bool = True, choices: int = 1) -> bytes:
    witness = DIALECT.witness(hide_usage=hide_usage, choices=choices)
    return b"".join([witness.feed(piece) for piece in stream]) + witness.end()


def calls(*fragments: dict[str, Any]) -> list[ToolCall]:
    """The tool calls that these fragments make up, each in a chunk of its own."""
    events = read(frames(*(chunk({"tool_calls": [fragment]}) for fragment in fragments)), END)
    indices = {event.index for event in events if isinstance(event, ToolCallDelta)}
    parts = folded(events).choices[0].message.parts
    found = [part for part in parts if isinstance(part, ToolCall)]
    assert indices == set(range(len(found)))
    return found


def piece(index: int | None = None, id: str | None = None, name: str | None = None, args: Any = None) -> dict[str, Any]:
    function = {"name": name, "arguments": args}
    fragment = {
        "index": index,
        "id": id,
        "function": {key: value for key, value in function.items() if value is not None},
    }
    return {key: value for key, value in fragment.items() if value is not None}


ONE, TWO = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}')


@pytest.mark.parametrize(
    "fragments",
    [
        [piece(0, "a", "f", '{"x"'), piece(0, args=":1}"), piece(1, "b", "g", '{"y":2}')],
        [piece(0, "a", "f", '{"x"'), piece(1, "b", "g", '{"y"'), piece(0, args=":1}"), piece(1, args=":2}")],
        [piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ":1}"), piece(0, "b", "g", '{"y":2}')],
        [piece(0, "a", "f", '{"x"'), piece(0, "", args=":1}"), piece(0, "b", "g", '{"y":2}')],
        [piece(None, "a", "f", '{"x"'), piece(None, args=":1}"), piece(None, "b", "g", '{"y":2}')],
        [piece(None, "a", "f", '{"x"'), piece(None, "a", args=":1}"), piece(None, "b", "g", '{"y":2}')],
        [piece(3, "a", "f", {"x": 1}), piece(7, "b", "g", {"y": 2})],
    ],
    ids=["as it should be", "interleaved", "ids repeated, all 0", "empty ids, all 0", "unnumbered", "ids only", "gaps"],
)
def test_parallel_calls_are_told_apart_however_a_server_numbers_them(fragments: list[dict[str, Any]]) -> None:
    assert calls(*fragments) == [ONE, TWO]


@pytest.mark.parametrize("index", [None, 0])
def test_calls_without_ids_are_told_apart_by_their_names(index: int | None) -> None:
    found = calls(piece(index, None, "f", '{"x":1}'), piece(index, None, "g", '{"y"'), piece(index, None, None, ":2}"))

    assert found == [ToolCall("call_0", "f", '{"x":1}'), ToolCall("call_1", "g", '{"y":2}')]


def test_an_id_that_comes_late_opens_no_second_call() -> None:
    assert calls(piece(0, None, "f", '{"x"'), piece(0, "late", None, ":1}")) == [ToolCall("call_0", "f", '{"x":1}')]


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    assert calls(piece(0, "a", "f"), piece(1, "b", "g", "")) == [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")]


def test_a_finish_that_is_reported_early_and_often_is_told_once_at_the_end() -> None:
    stream = frames(
        chunk({"content": "a"}, finish="stop"), chunk({"content": "b"}, finish="stop"), chunk(finish="length")
    )

    assert read(stream, DONE) == [TextDelta("a"), TextDelta("b"), Finished("length")]


def test_a_stream_that_says_it_is_done_without_a_finish_is_finished() -> None:
    assert read(frames(chunk({"content": "a"})), DONE) == [TextDelta("a"), Finished("stop")]


@pytest.mark.parametrize("finish", ["", None])
def test_an_empty_finish_is_none(finish: str | None) -> None:
    with pytest.raises(BadAnswer, match="stopped before"):
        read(frames(chunk({"content": "a"}, finish=finish)))


@pytest.mark.parametrize("idle", [b"", b"\n", b": ping\n\n", b"data:\n\n", b"data: \n\n", b"event: ping\n\n", b"\r\n"])
def test_events_that_keep_a_connection_alive_say_nothing(idle: bytes) -> None:
    stream = frames(chunk({"content": "a"}))

    assert read(idle, stream, idle, END, idle) == [TextDelta("a"), Finished("stop")]
    assert watch(idle, stream, idle, END) == idle + stream + idle + END


@pytest.mark.parametrize("stream", [b"", DONE, b": ping\n\n", frames(chunk(usage={"prompt_tokens": 1})) + DONE])
def test_a_stream_without_an_answer_is_a_bad_answer(stream: bytes) -> None:
    for way in (read, watch):
        with pytest.raises(BadAnswer):
            way(stream)


def test_what_follows_the_end_is_not_heard() -> None:
    late = frames(chunk({"content": "late"}), {"error": {"message": "late"}})

    assert read(frames(chunk({"content": "a"})), END, late) == [TextDelta("a"), Finished("stop")]


def test_two_choices_are_whole_only_when_both_are_finished() -> None:
    other = chunk({"content": "b"})
    other["choices"][0]["index"] = 1
    stream = frames(chunk({"content": "a"}), other, chunk(finish="stop"))

    with pytest.raises(BadAnswer):
        read(stream)
    with pytest.raises(BadAnswer):
        watch(stream, choices=2)
    assert watch(stream, DONE, choices=2) == stream + DONE


@pytest.mark.parametrize(
    "usage",
    [{}, None, 7, "many", {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 9}],
)
def test_usage_that_cannot_be_read_is_unknown_and_does_not_break_the_answer(usage: Any) -> None:
    stream = frames(chunk({"content": "a"}, usage=usage))

    assert read(stream, END) == [TextDelta("a"), Finished("stop")]
    assert watch(stream, END) == stream + END


def test_usage_whose_parts_are_missing_is_worked_out_from_the_total() -> None:
    events = read(frames(chunk({"content": "a"}, usage={"prompt_tokens": 9, "total_tokens": 13})), END)

    assert UsageReported(Usage(9, 4)) in events


ERRORS: list[tuple[object, type[DirigentError]]] = [
    ("overloaded", Unavailable),
    ({"message": "no"}, Unavailable),
    ({"message": "no", "code": 429}, RateLimited),
    ({"message": "no", "code": "429"}, RateLimited),
    ({"message": "no", "type": "rate_limit_error"}, RateLimited),
    ({"message": "no", "code": "rate_limit_exceeded"}, RateLimited),
    ({"message": "no", "code": "insufficient_quota"}, Misconfigured),
    ({"message": "no", "code": 400}, Rejected),
    ({"message": "no", "type": "invalid_request_error", "param": "tools", "code": "x"}, Rejected),
    ({"message": "no", "code": 401}, Misconfigured),
    ({"message": "no", "code": 503}, Unavailable),
    ({"message": "no", "code": "context_length_exceeded"}, TooLong),
    ({"message": 7}, Unavailable),
    ({}, Unavailable),
    ([], Unavailable),
    (True, Unavailable),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=str)
@pytest.mark.parametrize("said", [b"", frames(chunk({"content": "a"}))], ids=["at once", "in the middle"])
def test_an_error_in_a_stream_has_the_meaning_of_its_code(
    error: object, kind: type[DirigentError], said: bytes
) -> None:
    for event in ({"error": error}, chunk(error=error), chunk({"content": ""}, finish="error", error=error)):
        for way in (read, watch):
            with pytest.raises(kind) as raised:
                way(said, frames(event), DONE)
            assert type(raised.value) is kind
            assert raised.value.message


def test_a_text_about_errors_usage_and_ends_is_a_text() -> None:
    talk = 'data: [DONE]\n\n{"error": {"message": "x"}, "usage": {}, "finish_reason":"stop"} [DONE]'
    stream = frames(chunk({"content": talk}), chunk({"content": "!"}))

    assert read(stream, END) == [TextDelta(talk), TextDelta("!"), Finished("stop")]
    assert watch(stream, END) == stream + END
    with pytest.raises(BadAnswer):
        watch(stream)


def test_what_says_nothing_waits_for_what_does() -> None:
    quiet = b": hello\n\n" + frames(
        chunk({"role": "assistant", "content": ""}), chunk({"content": "", "tool_calls": []})
    )
    loud = frames(chunk({"reasoning_content": "Hm"}))
    witness = DIALECT.witness(hide_usage=True)

    assert witness.feed(quiet) == b""
    assert witness.feed(loud) == quiet + loud
    assert witness.feed(quiet) == quiet
