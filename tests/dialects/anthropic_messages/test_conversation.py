"""Conversations: what other dialects lead in their way, put into turns that Anthropic takes."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import (
    Audio,
    Choice,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    Tool,
    ToolCall,
)
from dirigent.dialects.anthropic_messages import AnthropicMessages
from tests.dialects.anthropic_messages.typed import assert_sendable

DIALECT = AnthropicMessages()
OWN = "anthropic_messages"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAE="
PDF = b64encode(b"%PDF-1.7 made up").decode()
KEPT = Raw(b'{"type":"ephemeral","ttl":"1h","scope":"global"}')
CACHE = {"type": "ephemeral", "ttl": "1h", "scope": "global"}


def read(*turns: dict[str, Any], **fields: Any) -> tuple[Message, ...]:
    body = {"model": "m", "max_tokens": 9, "messages": list(turns), **fields}
    return tuple(DIALECT.read_request(json.dumps(body).encode()).messages)


def written(*messages: Message, dialect: str = "openai_chat", typed: bool = True, **fields: Any) -> dict[str, Any]:
    """What goes to the provider; it is held against the types of Anthropic's SDK."""
    request = Request(model="m", messages=messages, dialect=dialect, max_output=100, **fields)
    body: dict[str, Any] = json.loads(DIALECT.write_request(request, "claude-opus-4-8"))
    if typed:
        assert_sendable(body)
    return body


def turns(*messages: Message, **fields: Any) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in written(*messages, **fields)["messages"]]


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def model(*parts: Part | str) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def result(call: str, text: str, **fields: Any) -> Message:
    return Message("tool", (Text(text),), call=call, **fields)


ids = some.sampled_from(["a", "b", "functions.get:0", "über", ""])
said = some.lists(
    some.builds(Message, some.sampled_from(["system", "developer"]), some.just((Text("rule"),)))
    | some.builds(user, some.sampled_from(["hi", ""]))
    | ids.map(lambda each: model("so.", ToolCall(each, "f", "{}")))
    | some.builds(model, some.sampled_from(["yes", ""]))
    | ids.map(lambda each: result(each, "r")),
    min_size=1,
    max_size=8,
)


@given(said=said.filter(lambda messages: any(message.text or message.role == "tool" for message in messages)))
def test_whatever_was_said_becomes_turns_that_change_sides_with_results_first(said: list[Message]) -> None:
    given_turns = turns(*said)

    roles = [role for role, _ in given_turns]
    assert all(one != other for one, other in pairwise(roles))
    assert set(roles) <= {"user", "assistant"}
    blocks = [[] if isinstance(content, str) else content for _, content in given_turns]
    for turn in blocks:
        kinds = [block["type"] == "tool_result" for block in turn]
        assert kinds == sorted(kinds, reverse=True)
    called = [block.get("id", block.get("tool_use_id")) for turn in blocks for block in turn if "tool" in block["type"]]
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", each) for each in called)
    calls_and_results = sum(
        message.role == "tool" or any(isinstance(part, ToolCall) for part in message.parts) for message in said
    )
    assert len(called) == calls_and_results


def test_instructions_go_to_the_top_from_wherever_they_stand() -> None:
    body = written(
        Message("system", (Text("Be brief."),)),
        user("hi"),
        model("hello"),
        Message("developer", (Text("Be kind."),)),
        user("well?"),
    )

    assert body["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_a_caller_of_this_dialect_may_instruct_in_the_middle_of_a_conversation() -> None:
    said = (user("hi"), Message("system", (Text("Be kind."),)), user("well?"))

    body = written(*said, dialect=OWN)

    assert "system" not in body
    assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [
        ("user", "hi"),
        ("system", "Be kind."),
        ("user", "well?"),
    ]
    assert read(*body["messages"]) == said


def test_instructions_alone_are_put_as_a_question() -> None:
    body = written(Message("system", (Text("Say hello."),)))

    assert body["messages"] == [{"role": "user", "content": "Say hello."}]
    assert "system" not in body


def test_neighbours_on_one_side_become_one_turn() -> None:
    assert turns(user("one"), user("two"), model("three"), model("four"), user("five")) == [
        ("user", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
        ("assistant", [{"type": "text", "text": "three"}, {"type": "text", "text": "four"}]),
        ("user", "five"),
    ]


def test_the_results_of_parallel_calls_stand_in_one_turn_before_what_is_said_there() -> None:
    said = turns(
        user("weather?"),
        model(ToolCall("a", "weather", '{"city":"Ulm"}'), ToolCall("b", "weather", '{"city":"Bonn"}')),
        result("a", "sunny"),
        user("and?"),
        result("b", "rain", failed=True),
        tools=(Tool("weather"),),
    )

    assert [role for role, _ in said] == ["user", "assistant", "user"]
    assert said[1][1] == [
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Ulm"}},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Bonn"}},
    ]
    assert said[2][1] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": "b", "content": "rain", "is_error": True},
        {"type": "text", "text": "and?"},
    ]


def test_results_are_read_as_messages_of_their_own_with_all_that_they_hold() -> None:
    content = [
        {"type": "text", "text": "seen:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ]
    said = read(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": content, "cache_control": CACHE},
                {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": True},
                {"type": "tool_result", "tool_use_id": "c"},
                {"type": "text", "text": "well?"},
            ],
        }
    )

    assert said == (
        Message("tool", (Text("seen:"), Image(f"data:image/png;base64,{PNG}")), call="a", cache=said[0].cache),
        Message("tool", (Text("no"),), call="b", failed=True),
        Message("tool", (), call="c"),
        Message("user", (Text("well?"),)),
    )
    assert json.loads(bytes(said[0].cache or b"")) == CACHE


def test_a_cache_mark_survives_wherever_it_stands_with_fields_that_nobody_knows() -> None:
    body = {
        "system": [{"type": "text", "text": "s", "cache_control": CACHE}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "u", "cache_control": CACHE}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": CACHE}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "r", "cache_control": CACHE},
                    {
                        "type": "image",
                        "source": {"type": "url", "url": "https://e.org/a.png"},
                        "cache_control": CACHE,
                    },
                    {"type": "document", "source": {"type": "url", "url": "https://e.org/a"}, "cache_control": CACHE},
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": CACHE}],
    }
    request = DIALECT.read_request(json.dumps({"model": "m", "max_tokens": 1, **body}).encode())

    again = json.loads(DIALECT.write_request(request.changed(messages=tuple(request.messages)), "x"))

    assert {key: again[key] for key in body} == body


def test_a_mark_on_a_message_goes_to_its_last_block_that_can_bear_one() -> None:
    thought = Reasoning("hm", "sig", issuer=OWN)
    said = Message("assistant", (Text("a"), Text("b"), thought), cache=KEPT)

    (_, (_, blocks), _) = turns(user("?"), said, user("!"), typed=False)

    assert [block.get("cache_control") for block in blocks] == [None, CACHE, None]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (f"data:image/png;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        (f"data:image/jpeg;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        ("data:image/jpg;base64,AAAA", {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}),
        (f"DATA:;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        ("data:image/gif,GIF8%00", {"type": "base64", "media_type": "image/gif", "data": "R0lGOAA="}),
        ("https://e.org/cat.png", {"type": "url", "url": "https://e.org/cat.png"}),
    ],
)
def test_an_image_goes_with_what_it_is_and_not_with_what_it_is_called(url: str, source: dict[str, Any]) -> None:
    assert turns(user(Image(url, "high"))) == [("user", [{"type": "image", "source": source}])]


def test_a_document_in_the_place_of_an_image_goes_as_a_document() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}

    assert turns(user(Image(f"data:application/pdf;base64,{PDF}"))) == [
        ("user", [{"type": "document", "source": source}])
    ]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (File(PDF, "a.pdf"), {"type": "base64", "media_type": "application/pdf", "data": PDF}),
        (
            File(f"data:application/pdf;base64,{PDF}", "a.pdf"),
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
        ),
        (File("AAAA", "a.pdf"), {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}),
        (
            File(b64encode("Grüße".encode()).decode(), "a.pdf", media_type="text/markdown"),
            {"type": "text", "media_type": "text/plain", "data": "Grüße"},
        ),
        (
            File(b64encode(b"a,b").decode(), "a.csv"),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
        (File(None, "a.pdf", url="https://e.org/a.pdf"), {"type": "url", "url": "https://e.org/a.pdf"}),
    ],
)
def test_a_document_goes_by_its_contents_or_its_address(file: File, source: dict[str, Any]) -> None:
    assert turns(user(file)) == [("user", [{"type": "document", "source": source, "title": file.name}])]


def test_documents_of_every_source_come_back_as_they_were_read() -> None:
    sources: list[dict[str, Any]] = [
        {"type": "base64", "media_type": "application/pdf", "data": PDF},
        {"type": "url", "url": "https://e.org/a.pdf"},
        {"type": "file", "file_id": "file_011"},
        {"type": "text", "media_type": "text/plain", "data": "Grüße"},
        {"type": "content", "content": [{"type": "text", "text": "piece"}]},
    ]
    blocks: list[dict[str, Any]] = [{"type": "document", "source": source, "title": "T"} for source in sources]
    blocks.append({"type": "document", "source": sources[1], "citations": {"enabled": True}, "context": "c"})
    blocks.append({"type": "image", "source": {"type": "file", "file_id": "file_012"}})
    blocks.append({"type": "search_result", "source": "s", "title": "t", "content": []})

    (message,) = read({"role": "user", "content": blocks})

    assert [type(part) for part in message.parts] == [File] * 4 + [Opaque] * 4
    assert turns(message, dialect=OWN) == [("user", blocks)]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Audio("AAAA", "wav"), "sound"),
        (Image("ftp://e.org/cat.png"), "http address"),
        (Image("data:image/svg+xml;base64,AAAA"), "image/svg"),
        (File(reference="file-1"), "another provider keeps"),
        (File(name="a.docx", data="UEsDBA=="), "'unknown'"),
        (File(name="a"), "without contents"),
        (File(data="?", media_type="text/plain"), "not base64"),
        (Opaque("openai_chat", b"{}"), "openai_chat"),
    ],
)
def test_what_cannot_be_said_is_refused_so_that_another_candidate_may_take_it(part: Part, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        written(user(part))


def test_sealed_thoughts_go_back_byte_for_byte_and_others_are_never_forged() -> None:
    seal = "EqQBCgIYAhIM+1/a=="
    said = turns(
        user("?"),
        model(
            Reasoning("mine", seal, issuer=OWN),
            Reasoning(sealed="EmwK+/=", issuer=OWN),
            Reasoning("of another", "gAAA", issuer="google_generate"),
            Reasoning("unsealed"),
            Reasoning("sealed elsewhere", sealed="x", issuer="openai_responses"),
            "so.",
        ),
        user("!"),
    )

    assert said[1][1] == [
        {"type": "thinking", "thinking": "mine", "signature": seal},
        {"type": "redacted_thinking", "data": "EmwK+/="},
        {"type": "text", "text": "so."},
    ]


def test_thoughts_of_every_kind_are_read_with_their_seals() -> None:
    (message,) = read(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "a", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "thinking", "thinking": "of nobody", "signature": ""},
            ],
        }
    )

    assert message.parts == (
        Reasoning("a", "s", issuer=OWN),
        Reasoning("", sealed="d", issuer=OWN),
        Reasoning("of nobody"),
    )


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"city": "Köln", "n": 1.50}', '{"city": "Köln", "n": 1.50}'),
        ("", "{}"),
        ("  ", "{}"),
        ('{"city": "Kö', '{"INVALID_JSON":"{\\"city\\": \\"Kö"}'),
        ("[1]", '{"INVALID_JSON":"[1]"}'),
        ("7", '{"INVALID_JSON":"7"}'),
    ],
)
def test_arguments_go_as_the_object_that_they_are_to_the_byte(arguments: str, given: str) -> None:
    request = Request(model="m", messages=(user("?"), model(ToolCall("a", "f", arguments)), result("a", "r")))

    body = DIALECT.write_request(request, "m")

    assert f'"input":{given}'.encode() in body


def test_ids_of_other_providers_become_such_as_anthropic_takes_and_still_belong_together() -> None:
    said = turns(
        user("?"),
        model(ToolCall("functions.get:0", "get", "{}"), ToolCall("functions.get.0", "get", "{}")),
        result("functions.get.0", "second"),
        result("functions.get:0", "first"),
    )

    ids = [block["id"] for block in said[1][1]]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", each) for each in ids)
    assert [(block["tool_use_id"], block["content"]) for block in said[2][1]] == [(ids[1], "second"), (ids[0], "first")]


def test_empty_texts_are_left_out_for_anthropic_refuses_them() -> None:
    assert turns(user("?"), model(""), user("", "!")) == [
        ("user", [{"type": "text", "text": "?"}, {"type": "text", "text": "!"}])
    ]


def test_a_conversation_in_which_nothing_is_said_is_left_to_another_candidate() -> None:
    with pytest.raises(Unsupported, match="nothing is said"):
        written(user(""), model(""))


def test_refusals_and_spoken_answers_go_as_what_was_said() -> None:
    said = turns(user("?"), model(Refusal("No."), Audio(reference="a1", transcript="Never.")), user("!"))

    assert said[1] == ("assistant", [{"type": "text", "text": "No."}, {"type": "text", "text": "Never."}])


def test_the_seals_of_other_providers_travel_in_thoughts_and_reach_their_issuer_again() -> None:
    answered = model(
        Reasoning("sealed words", "sig+/", issuer="google_generate"),
        Reasoning(sealed="gAAAA", id="rs_1", issuer="openai_responses"),
        ToolCall("a", "f", "{}", signature="call-seal"),
    )
    response = folded_of(answered)
    body = json.loads(DIALECT.write_response(response, Request(model="m"), "msg_1", 0))

    (again,) = read({"role": "assistant", "content": body["content"]})

    assert again == answered
    assert [block["type"] for block in body["content"]] == [
        "thinking",
        "redacted_thinking",
        "redacted_thinking",
        "tool_use",
    ]


def test_verbatim_thoughts_that_anthropic_did_not_seal_stay_behind() -> None:
    foreign = json.loads(
        DIALECT.write_response(
            folded_of(model(Reasoning("of another", "x", issuer="google_generate"), Reasoning("of nobody"), "so.")),
            Request(model="m"),
            "msg_1",
            0,
        )
    )["content"]
    own = {"type": "thinking", "thinking": "mine", "signature": "EqQB"}
    said = [
        {"role": "user", "content": 'the words "signature":"" are no thought'},
        {"role": "assistant", "content": [own, *foreign]},
        {"role": "user", "content": [{"type": "text", "text": "!", "new": 1}]},
        {"role": "assistant", "content": foreign[:2]},
    ]
    wire = DIALECT.read_request(json.dumps({"model": "m", "max_tokens": 1, "messages": said}).encode()).wire
    assert wire is not None

    sent = json.loads(DIALECT.splice(wire, "x", report_usage=True))

    assert sent["messages"] == [said[0], {"role": "assistant", "content": [own, foreign[2]]}, said[2]]


@pytest.mark.parametrize(
    ("turn", "param"),
    [
        ({"role": "tool", "content": "x"}, "messages.0.role"),
        ({"role": "user"}, "messages.0.content"),
        ({"role": "user", "content": 7}, "messages.0.content"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages.0.content.0.text"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages.0.content.0.type"),
        ({"role": "user", "content": [{"type": "image", "source": {}}]}, "messages.0.content.0.source.type"),
        ({"role": "user", "content": ["x"]}, "messages.0.content.0"),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]}]},
            "messages.0.content.0.content.0.text",
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_result", "tool_use_id": ""}]}
                ],
            },
            "messages.0.content.0.content",
        ),
    ],
)
def test_a_fault_in_a_message_is_named_as_anthropic_names_it(turn: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(turn)

    assert raised.value.param == param
    assert raised.value.message.startswith(f"{param}: ")


def folded_of(message: Message) -> Response:
    return Response((Choice(message, "stop"),))
