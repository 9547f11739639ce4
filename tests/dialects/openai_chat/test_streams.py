"""Streams of OpenAI chat completions: the cases that no recorded exchange shows by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import BadAnswer, DirigentError, Misconfigured, RateLimited, Rejected, TooLong, Unavailable
from dirigent.core.events import Event, Finished, TextDelta, ToolCallDelta, UsageReported, folded
from dirigent.core.messages import ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import Witness
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_chat.streams import Reader
from tests.upstream import DONE, chunk, frames, pieces

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


# --- usage in its place -----------------------------------------------------------------------------------------------

COUNT = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
SO_FAR = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
ALONE = {**chunk(), "choices": [], "usage": COUNT}
WORDS = chunk({"content": "a"})
FINISH = chunk(finish="stop")
UNTOLD = {"usage": None}
COUNTED = [
    ([WORDS, FINISH, ALONE], [WORDS, FINISH, ALONE]),
    ([WORDS | UNTOLD, FINISH | UNTOLD, ALONE], [WORDS | UNTOLD, FINISH | UNTOLD, ALONE]),
    ([WORDS, FINISH | {"usage": COUNT}], [WORDS, FINISH | {"usage": COUNT}]),
    ([WORDS, FINISH | {"usage": COUNT}, ALONE], [WORDS, FINISH | UNTOLD, ALONE]),
    (
        [WORDS | {"usage": SO_FAR}, WORDS | {"usage": COUNT}, FINISH | {"usage": COUNT}, ALONE],
        [WORDS | UNTOLD, WORDS | UNTOLD, FINISH | UNTOLD, ALONE],
    ),
    ([WORDS | {"usage": SO_FAR}, FINISH | {"usage": COUNT}], [WORDS | UNTOLD, FINISH | {"usage": COUNT}]),
    ([WORDS | {"usage": COUNT}, FINISH], [WORDS | UNTOLD, FINISH, ALONE]),
    (
        [FINISH | {"usage": SO_FAR}, WORDS, FINISH | {"usage": COUNT}],
        [FINISH | UNTOLD, WORDS, FINISH | {"usage": COUNT}],
    ),
    (
        [WORDS, FINISH | {"usage": {"prompt_tokens": -1}}, ALONE],
        [WORDS, FINISH | {"usage": {"prompt_tokens": -1}}, ALONE],
    ),
    (
        [chunk({"role": "assistant"}) | {"usage": SO_FAR}, WORDS, FINISH, ALONE],
        [chunk({"role": "assistant"}) | UNTOLD, WORDS, FINISH, ALONE],
    ),
]
LATE = [WORDS, WORDS, WORDS, FINISH | {"usage": SO_FAR}, WORDS, FINISH, ALONE]
COUNTED.append((LATE, [WORDS, WORDS, WORDS, FINISH | UNTOLD, WORDS, FINISH, ALONE]))
COUNTED_IDS = [
    "OpenAI, no null",
    "OpenAI",
    "with the end",
    "with the end and behind it",
    "with every event and behind all",
    "with every event",
    "before the end alone",
    "with two ends",
    "nonsense",
    "before the first word",
    "with an end that is none",
]


@pytest.mark.parametrize("done", [DONE, b""], ids=["done", "cut"])
@pytest.mark.parametrize("size", [0, 1, 7, 65536], ids=["event by event", "1", "7", "at once"])
@pytest.mark.parametrize(("told", "heard"), COUNTED, ids=COUNTED_IDS)
def test_who_asks_for_usage_is_told_it_once_and_last(
    told: list[dict[str, Any]], heard: list[dict[str, Any]], size: int, done: bytes
) -> None:
    stream = frames(*told) + done

    cut = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [*map(frames, told), done]
    passed = watch(*cut, hide_usage=False)

    events = [json.loads(frame.removeprefix(b"data: ")) for frame in passed.removesuffix(done).split(b"\n\n")[:-1]]
    assert events == heard
    assert passed.endswith(done)
    assert told != heard or passed == stream


@pytest.mark.parametrize(("told", "heard"), COUNTED, ids=COUNTED_IDS)
def test_who_asks_for_usage_in_every_event_gets_what_there_is(
    told: list[dict[str, Any]], heard: list[dict[str, Any]]
) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": True, "stream_options": options}
    stream = frames(*told) + DONE
    witness = DIALECT.watching(DIALECT.read_request(json.dumps(body).encode()))

    assert witness.feed(stream) + witness.end() == stream
    assert witness.usage == Usage(3, 2)


def test_usage_that_a_provider_set_in_lines_is_made_null_as_well() -> None:
    lines = json.dumps(FINISH | {"usage": COUNT}, indent=1).replace("\n", "\ndata: ")
    stream = frames(WORDS) + b"data: " + lines.encode() + b"\n\n" + frames(ALONE)

    passed = watch(stream, DONE, hide_usage=False)

    assert passed == frames(WORDS, FINISH | UNTOLD, ALONE) + DONE


# --- events that differ in their words alone --------------------------------------------------------------------------

FORMS = [
    '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}],"usage":null}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}],"obfuscation":"%s"}',
    '{"id": "c", "choices": [{"index": 0, "delta": {"content": "%s"}, "finish_reason": null}], "usage": null}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"%s"},"finish_reason":null}]}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}]}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    '{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"note":"%s"}}',
    '{"error":{"message":"%s"}}',
]
SAID = [
    "a",
    "",
    "äö",
    '\\"',
    "\\\\",
    '\\\\\\"',
    "usage",
    "error",
    "[DONE]",
    '","error":"',
    '"},"finish_reason":"stop',
    "\\n",
]


def outcome(stream: bytes, at: list[int], *, hide_usage: bool) -> tuple[bytes, object, object]:
    """What goes on of a stream that is cut at these places, what was used, and how it broke off."""
    witness = DIALECT.witness(hide_usage=hide_usage)
    passed = b""
    try:
        for piece in pieces(stream, at):
            passed += witness.feed(piece)
        passed += witness.end()
    except DirigentError as error:
        return passed, witness.usage, (type(error), error.message)
    return passed, witness.usage, None


@given(
    told=some.lists(some.tuples(some.sampled_from(FORMS[:4]) | some.sampled_from(FORMS), some.sampled_from(SAID))),
    together=some.sets(some.integers(0, 12)),
    done=some.booleans(),
    hide_usage=some.booleans(),
)
def test_an_event_at_a_time_or_all_in_odd_pieces_is_watched_the_same(
    told: list[tuple[str, str]], together: set[int], *, done: bool, hide_usage: bool
) -> None:
    events = [f"data: {form.replace('%s', said)}\n\n".encode() for form, said in told] + [DONE] * done
    stream = b"".join(events)
    ends = [sum(map(len, events[: number + 1])) for number in range(len(events))]

    one_by_one = outcome(stream, ends, hide_usage=hide_usage)
    some_at_once = outcome(stream, [end for at, end in enumerate(ends) if at not in together], hide_usage=hide_usage)
    odd = outcome(stream, [place + 1 for place in ends], hide_usage=hide_usage)

    assert one_by_one[1:] == some_at_once[1:] == odd[1:]
    assert one_by_one[2] is not None or one_by_one[0] == some_at_once[0] == odd[0]


USUAL = f"data: {FORMS[0].replace('%s', 'a')}\n\n".encode()


def accustomed() -> Witness:
    """A witness that has seen events which differ in their words alone."""
    witness = DIALECT.witness(hide_usage=True)
    for _ in range(3):
        witness.feed(USUAL)
    return witness


def test_news_between_two_usual_events_is_heard() -> None:
    witness = accustomed()

    witness.feed(USUAL + f"data: {FORMS[5]}\n\n".encode() + USUAL)
    with pytest.raises(Unavailable):
        witness.feed(USUAL + f"data: {FORMS[7]}\n\n".encode() + USUAL)

    assert witness.usage == Usage(3, 2)


def test_a_usual_event_does_not_overtake_the_half_of_another() -> None:
    witness = accustomed()

    assert [witness.feed(piece) for piece in (b": ping\n", USUAL, USUAL)] == [b"", b": ping\n" + USUAL, USUAL]


@pytest.mark.parametrize("form", FORMS[:4])
def test_an_event_without_news_goes_on_as_it_is(form: str) -> None:
    witness = DIALECT.witness(hide_usage=True)
    events = [f"data: {form.replace('%s', said)}\n\n".encode() for said in ("a", " b", "c", "d", '\\"e', "f")]
    witness.feed(events[0])

    assert all(witness.feed(event) is event for event in events)
