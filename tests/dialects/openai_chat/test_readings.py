"""Requests are read in several ways, each as thoroughly as it has to be; all of them come to the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from dirigent.core.errors import Invalid
from dirigent.core.messages import Image, Message, Opaque, Request, Text, Wire
from dirigent.dialects.openai_chat import OpenAIChat

DIALECT = OpenAIChat()
LONG = "A" * 9_000
SHORT = "@@"
"""What stands in the bodies of these tests for a long string."""
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{SHORT}"}}
VIDEO = {"type": "video_url", "video_url": {"url": "v"}}
SAID = [{"role": "user", "content": "hi"}]


def outcome(body: bytes) -> Any:
    """What comes of a body: the request and what would go on of it, or the fault."""
    try:
        request = DIALECT.read_request(body)
        told = tuple(request.messages), tuple(request.tools)
    except Invalid as fault:
        return fault.param, re.sub(r" \(byte \d+\)", "", fault.message)
    return request.changed(messages=(), tools=(), extra={}), told, decoded(request), fields(request)


def decoded(request: Request) -> Any:
    """What a provider is sent, whose fields are each there once."""
    assert isinstance(request.wire, Wire)
    return json.loads(
        DIALECT.splice(request.wire, "x", report_usage=request.stream),
        object_pairs_hook=lambda pairs: {
            f"{key} {[name for name, _ in pairs].count(key)}": value for key, value in pairs
        },
    )


def fields(request: Request) -> dict[str, Any]:
    assert isinstance(request.wire, Wire)
    return {name: json.loads(bytes(raw)) for name, raw in request.wire.fields.items()}


def shortened(found: Any) -> str:
    return repr(opened(found)).replace(LONG, SHORT)


def opened(value: Any) -> Any:
    """All that stands in a value, in a form that can be told."""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, *(opened(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, tuple | list):
        return [opened(each) for each in value]
    if isinstance(value, dict):
        return {name: opened(each) for name, each in value.items()}
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else value


# --- what callers send, right and wrong -------------------------------------------------------------------------------

words = some.sampled_from(["hi", "", "ü", SHORT, f"a{SHORT}", f"{SHORT}b", f"{SHORT}\n", f'"{SHORT}', "\\", "\x7f"])
maybe = some.none() | words
parts = some.one_of(
    some.builds(lambda text: {"type": "text", "text": text}, words),
    some.builds(lambda url: {"type": "image_url", "image_url": {"url": url, "detail": None}}, words),
    some.builds(lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}, words),
    some.builds(lambda data: {"type": "file", "file": {"file_data": data}, "cache_control": {"type": data}}, words),
    some.builds(lambda kind: {"type": kind, "refusal": "no"}, words | some.just("refusal")),
    some.sampled_from([VIDEO, {"type": "text"}, {"type": "image_url", "image_url": {}}, {"text": "x"}, "x", None]),
)
calls = some.one_of(
    some.builds(lambda text: {"id": text, "function": {"name": text, "arguments": text}}, words),
    some.sampled_from([{"id": "c", "type": "custom", "custom": {}}, {"id": "c"}, {"function": {"name": "f"}}, 7]),
)
messages = some.fixed_dictionaries(
    {"role": some.sampled_from(["user", "assistant", "system", "tool", "function", "robot"])},
    optional={
        "content": maybe | some.lists(parts, max_size=3) | some.just(7),
        "name": maybe,
        "tool_call_id": maybe,
        "tool_calls": some.none() | some.lists(calls, max_size=2),
        "function_call": some.none() | some.builds(lambda text: {"name": text, "arguments": text}, words),
        "reasoning_content": maybe,
        "vendor": words | some.lists(words, max_size=2),
    },
)
tools = some.one_of(
    some.builds(lambda text: {"type": "function", "function": {"name": text, "parameters": {"a": text}}}, words),
    some.sampled_from([{"function": {"name": "f"}}, {"type": "custom", "custom": {}}, {"type": "function"}, {}, "x"]),
)
bodies = some.fixed_dictionaries(
    {"messages": some.lists(messages, max_size=3)},
    optional={
        "model": maybe,
        "tools": some.none() | some.lists(tools, max_size=2),
        "stream": some.booleans() | words,
        "stream_options": some.sampled_from([None, {}, {"include_usage": True}, {"include_usage": 1}, {"vendor": [1]}]),
        "max_tokens": some.sampled_from([None, 0, 5, -1, "5"]),
        "user": maybe,
        "stop": words,
        "metadata": words,
        SHORT: words,
    },
)
writers: some.SearchStrategy[Callable[[object], str]] = some.sampled_from(
    [
        json.dumps,
        partial(json.dumps, separators=(",", ":"), ensure_ascii=False),
        partial(json.dumps, separators=(" ,\n", "\t: ")),
    ]
)


@given(body=bodies, write=writers)
@example({"model": "m", "messages": [{"role": "user", "content": [PICTURE]}]}, json.dumps)
@example({"model": "m", "messages": [{"role": "user", "content": [PICTURE]}], "metadata": SHORT}, json.dumps)
@example({"model": SHORT, "messages": SAID}, json.dumps)
@example({"model": "m", "messages": [{"role": "user", "content": [{"type": SHORT}]}]}, json.dumps)
@example({"model": "m", "messages": [{"role": "user", "content": [PICTURE, VIDEO]}]}, json.dumps)
def test_what_is_long_is_read_as_what_is_short_is(body: dict[str, Any], write: Callable[[object], str]) -> None:
    short = write(body)

    long = outcome(short.replace(SHORT, LONG).encode())

    # what is named by a long name is refused for it: names have a bound, and nothing else has
    if isinstance(long[1], str) and "length <= 256" in long[1]:
        return
    assert shortened(long) == shortened(outcome(short.encode()))


@given(body=bodies.filter(lambda body: bool(body["messages"])))
def test_what_is_plain_is_read_as_what_needs_a_closer_look(body: dict[str, Any]) -> None:
    odd = {**body, "messages": [*body["messages"], {"role": "user", "content": [VIDEO]}]}
    if body.get("tools"):
        odd["tools"] = [*body["tools"], {"type": "custom"}]

    plain, closer = outcome(json.dumps(body).encode()), outcome(json.dumps(odd).encode())

    if isinstance(plain[1], str):
        assert closer == plain
        return
    (said, offered), (all_said, all_offered) = plain[1], closer[1]
    assert all_said[:-1] == said
    assert all_offered[: len(offered)] == offered
    assert closer[0] == plain[0]


# --- what must not get past the look ----------------------------------------------------------------------------------

LINES = f'"messages":[{{"role":"user","content":"{SHORT}"}}]'


@pytest.mark.parametrize("long", ["B", LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "body",
    [
        '{"model":"first",LINES,"model":"last"}',
        '{"model":"first",LINES,"mod\\u0065l":"last"}',
        '{"mod\\u0065l":"first",LINES,"model":"last"}',
        '{"\\u006dodel":"last",LINES}',
        '{LINES,"metadata":{"model":"first"},"model":"last"}',
        '{"metadata":{"model":"first"},LINES,"\\u006Dodel":"last"}',
        '{"model":"last","x":"\\"model\\":\\"first\\"",LINES}',
        '{"model" \n:\t"last" ,LINES}',
        '{"model":"l\\u0061st",LINES}',
        '{"messages":[{"role":"user","content":"first"}],"model":"last",LINES}',
        '{"messages":[{"role":"user","content":"@@"}],"model":"last","messages":[{"role":"user","content":"@@"}]}',
        '{"stream":true,"model":"last",LINES,"stream":false}',
        '{"model":"last",LINES,"\x7f":"\x7f"}',
        '{"model":"last",LINES,"\\u007f":"x"}',
        '{"model":"last","messages":[{"role":"user","content":"\x7f@@","name":"\x7f"},{"role":"user","content":"@@"}]}',
        '{"model":"last","metadata":"@@","messages":[{"role":"user","content":"@@"}]}',
    ],
)
def test_what_is_looked_at_is_what_goes_on(body: str, long: str) -> None:
    text = body.replace("LINES", LINES).replace(SHORT, long).encode()

    request = DIALECT.read_request(text)

    assert isinstance(request.wire, Wire)
    pairs: list[tuple[str, Any]] = json.loads(
        DIALECT.splice(request.wire, "x", report_usage=False), object_pairs_hook=lambda pairs: pairs
    )
    meant = json.loads(text)
    assert request.model == meant["model"] == "last"
    assert [name for name, _ in pairs] == list(dict.fromkeys(name for name, _ in pairs))
    assert json.loads(DIALECT.splice(request.wire, "x", report_usage=False)) == {**meant, "model": "x"}
    assert {name: json.loads(bytes(raw)) for name, raw in request.wire.fields.items()} == meant
    assert [message.text for message in request.messages] == [turn["content"] for turn in meant["messages"]]


@pytest.mark.parametrize("at", [0, 100, 8_999])
@pytest.mark.parametrize("bad", ["\n", "\r", "\t", "\0", "\\", "\\u12-", "\\ud800x", '"', "\udcff"])
def test_a_long_string_that_is_none_is_refused_in_the_words_for_a_short_one(bad: str, at: int) -> None:
    def body(text: str) -> bytes:
        broken = '{"model":"m","messages":[{"role":"user","content":"' + text + '"}]}'
        return broken.encode("utf-8", "surrogateescape")

    long, short = outcome(body(LONG[:at] + bad + LONG[at:])), outcome(body("AA" + bad + "AA"))

    assert isinstance(long[1], str)
    assert re.sub(r"position \d+", "", long[1]) == re.sub(r"position \d+", "", short[1])


def test_a_character_that_json_forbids_and_nobody_writes_is_found_by_who_reads_the_whole() -> None:
    body = '{"model":"m","messages":[{"role":"user","content":"' + LONG + '\x1f"}]}'
    request = DIALECT.read_request(body.encode())

    with pytest.raises(Invalid, match="invalid character"):
        list(request.messages)


@pytest.mark.parametrize("name", ["name", "description", "parameters"])
def test_a_tool_whose_words_are_no_text_is_refused_before_anybody_reads_it(name: str) -> None:
    told = b'"%b"' % bytes([0xFF]) if name != "parameters" else b'{"a":"%b"}' % bytes([0xFF])
    tool = b'{"function":{"name":"f","%b":%b}}' % (name.encode(), told)

    with pytest.raises(Invalid, match=r"tools\[0\]"):
        DIALECT.read_request(b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[%b]}' % tool)


def test_a_picture_is_read_when_somebody_looks_and_only_once() -> None:
    url = f"data:image/png;base64,{LONG}"
    body = {
        "model": "m",
        "messages": [*SAID, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
    }

    said = DIALECT.read_request(json.dumps(body).encode()).messages

    assert len(said) == 2
    assert list(said) == [Message("user", (Text("hi"),)), Message("user", (Image(url),))]
    assert said[1] is said[1]


# --- fields that nobody here knows ------------------------------------------------------------------------------------


def test_unknown_fields_of_messages_survive_a_change_and_go_to_their_own_dialect_alone() -> None:
    said = [
        {"role": "user", "content": "hi", "weight": 0, "vendor": {"a": [1, None]}},
        {
            "role": "assistant",
            "content": None,
            "annotations": [],
            "tool_calls": [{"id": "c", "function": {"name": "f"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "22"}], "tool_name": "f"},
    ]
    changed = DIALECT.read_request(json.dumps({"model": "m", "messages": said}).encode()).changed(temperature=0.5)
    shorter = changed.changed(messages=tuple(changed.messages[:1]))

    own, foreign = (
        json.loads(DIALECT.write_request(each, "x")) for each in (changed, changed.changed(dialect="another"))
    )

    assert [set(turn) - {"content", "tool_calls"} for turn in own["messages"]] == [
        {"role", "weight", "vendor"},
        {"role", "annotations"},
        {"role", "tool_call_id", "tool_name"},
    ]
    assert own["messages"][0] == said[0]
    assert json.loads(DIALECT.write_request(shorter, "x"))["messages"] == said[:1]
    assert not {"weight", "vendor", "annotations", "tool_name"} & {
        name for turn in foreign["messages"] for name in turn
    }


def test_a_part_of_another_kind_survives_beside_a_picture() -> None:
    url = f"data:image/png;base64,{LONG}"
    said = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, VIDEO]}]

    (message,) = DIALECT.read_request(json.dumps({"model": "m", "messages": said}).encode()).messages

    assert message.parts[0] == Image(url)
    assert isinstance(message.parts[1], Opaque)
