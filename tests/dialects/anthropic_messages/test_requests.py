"""Requests of Anthropic messages: what callers may send, and what goes on to which generation of models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import (
    Embedding,
    Message,
    Opaque,
    Reasoning,
    Request,
    Schema,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from dirigent.core.profile import Profile
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.anthropic_messages.tooling import ANSWER
from tests.dialects.anthropic_messages.typed import assert_counted, assert_sendable

DIALECT = AnthropicMessages()
OWN = "anthropic_messages"
SAID = [{"role": "user", "content": "hi"}]
WEATHER: dict[str, Any] = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
LATEST, SIXTH, FIFTH, FOURTH, OTHER = (
    "claude-opus-4-8",
    "claude-sonnet-4-6",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-20250514",
    "qwen3",
)


def body_of(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 64, "messages": SAID, **fields}).encode()


def read(**fields: Any) -> Request:
    return DIALECT.read_request(body_of(**fields))


def asked(text: str = "hi", **fields: Any) -> Request:
    """A request that was read in another dialect."""
    return Request(**{"model": "m", "messages": (Message("user", (Text(text),)),), "dialect": "openai_chat", **fields})


def written(request: Request, deployment: str = OTHER, dialect: AnthropicMessages = DIALECT) -> dict[str, Any]:
    """What goes to the provider; it is held against the types of Anthropic's SDK."""
    body: dict[str, Any] = json.loads(dialect.write_request(request, deployment))
    assert_sendable(body)
    return body


def test_everything_that_our_own_words_know_is_read() -> None:
    request = read(
        system="Be brief.",
        tools=[{**WEATHER, "description": "d", "strict": True}, SEARCH],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        thinking={"type": "enabled", "budget_tokens": 2048},
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        stream=True,
    )

    assert list(request.messages) == [Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),))]
    assert request.tools[0] == Tool("weather", "d", WEATHER["input_schema"], strict=True)
    assert request.tools[1] == Opaque(OWN, json.dumps(SEARCH).encode(), "tools")
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.structure == Schema({"type": "object"})
    assert (request.reasoning_effort, request.reasoning_budget, request.parallel_tool_calls) == ("low", 2048, False)
    assert (request.temperature, request.top_p, request.top_k, request.max_output) == (0.5, 0.9, 4, 64)
    assert (request.stop, request.user, request.stream, request.include_usage) == (("END",), "u", True, True)
    assert request.extra == {}


def test_what_only_this_dialect_knows_survives_where_the_dialect_stays() -> None:
    fields: dict[str, Any] = {
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "max", "task_budget": {"type": "tokens", "total": 20_000}},
        "metadata": {"user_id": "u", "more": 1},
        "service_tier": "auto",
        "container": "c",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "tools": [SEARCH],
        "tool_choice": {"type": "auto"},
    }
    request = read(**fields)

    again = json.loads(DIALECT.write_request(request.changed(messages=tuple(request.messages)), LATEST))

    assert {key: again[key] for key in fields} == fields
    assert "task_budget" not in DIALECT.write_request(request.changed(dialect="other", tools=()), LATEST).decode()


@pytest.mark.parametrize(
    ("thinking", "budget", "kept"),
    [
        ({"type": "disabled"}, 0, False),
        ({"type": "enabled", "budget_tokens": 1024}, 1024, False),
        ({"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, 1024, True),
        ({"type": "adaptive"}, None, True),
        ({"type": "between_tools"}, None, True),
        (None, None, False),
    ],
)
def test_how_to_think_comes_back_as_the_caller_said_it(
    thinking: dict[str, Any] | None, budget: int | None, *, kept: bool
) -> None:
    request = read(thinking=thinking)

    assert request.reasoning_budget == budget
    assert ("thinking" in request.extra) == kept
    assert written(request.changed()).get("thinking") == thinking


def test_the_bound_is_demanded_of_an_answer_and_not_of_a_count() -> None:
    body = json.dumps({"model": "m", "messages": SAID}).encode()

    with pytest.raises(Invalid) as raised:
        DIALECT.read_request(body, "/v1/messages")

    assert raised.value.param == "max_tokens"
    assert DIALECT.read_request(body, "/v1/messages/count_tokens").max_output is None


def test_a_body_that_is_counted_leaves_out_what_only_an_answer_has() -> None:
    request = asked(
        tools=(Tool("weather"),), stop=("x",), user="u", temperature=1.0, stream=True, reasoning_effort="high"
    )

    counted = json.loads(DIALECT.counting_body(DIALECT.write_request(request, LATEST)))

    assert_counted(counted)
    assert counted.keys() == {"model", "messages", "tools", "thinking", "output_config"}
    assert DIALECT.counting_path("x") == "/messages/count_tokens"
    assert DIALECT.count_of(b'{"input_tokens": 14}') == DIALECT.count_of(DIALECT.write_count(14)) == 14


def test_the_headers_that_belong_to_a_request_go_with_it_and_no_others() -> None:
    headers = {b"anthropic-beta": b"a,b", b"anthropic-version": b"2023-06-01", b"x-api-key": b"secret", b"cookie": b"c"}

    request = DIALECT.read_request(body_of(), "/v1/messages", headers)

    assert request.headers == (("anthropic-beta", "a,b"), ("anthropic-version", "2023-06-01"))
    assert request.changed().headers == request.headers


def test_verbatim_nothing_changes_but_the_name_of_the_model() -> None:
    request = read(thinking={"type": "adaptive"}, unknown={"a": 1.5}, top_k=None)
    assert request.wire is not None

    sent = DIALECT.splice(request.wire, "claude-opus-5", report_usage=True)

    assert json.loads(sent) == json.loads(request.wire.body) | {"model": "claude-opus-5"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"model": ""}, "model"),
        ({"tools": [{"name": "x", "input_schema": 3}]}, "tools.0.input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.tool.name"),
        ({"thinking": {"budget_tokens": 3}}, "thinking.type"),
        ({"thinking": 7}, "thinking"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format"),
    ],
)
def test_a_fault_is_named_as_anthropic_names_it(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(**fields)

    assert raised.value.param == param
    assert raised.value.message.startswith(f"{param}: ")


# --- the bound of the answer ------------------------------------------------------------------------------------------


def test_an_answer_that_nobody_bounds_is_bounded_by_the_deployment_as_far_as_there_is_room() -> None:
    fitted = DIALECT.fitted(LATEST, Profile(context_window=20_000, max_output=16_000))

    assert written(asked())["max_tokens"] == 4096
    assert written(asked(max_output=7), dialect=fitted)["max_tokens"] == 7
    assert written(asked(), LATEST, fitted)["max_tokens"] == 16_000
    assert 4096 < written(asked("word " * 4000), LATEST, fitted)["max_tokens"] < 16_000
    assert written(asked("word " * 40_000), LATEST, fitted)["max_tokens"] == 4096
    small = DIALECT.fitted(OTHER, Profile(max_output=512))
    assert written(asked(), dialect=small)["max_tokens"] == 512


# --- thought ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deployment", "effort", "thinking", "told"),
    [
        (LATEST, "none", None, "low"),
        (LATEST, "minimal", None, "low"),
        (LATEST, "low", {"type": "adaptive"}, "low"),
        (LATEST, "xhigh", {"type": "adaptive"}, "xhigh"),
        (LATEST, None, None, None),
        ("claude-fable-5-20270101", "high", {"type": "adaptive"}, "high"),
        (SIXTH, "xhigh", {"type": "adaptive"}, "high"),
        (FIFTH, "none", None, None),
        (FIFTH, "minimal", {"type": "enabled", "budget_tokens": 1024}, None),
        (FIFTH, "low", {"type": "enabled", "budget_tokens": 2048}, None),
        (FIFTH, "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        (FOURTH, "high", {"type": "enabled", "budget_tokens": 16_384}, None),
        (OTHER, "xhigh", {"type": "enabled", "budget_tokens": 32_000}, None),
    ],
)
def test_an_effort_is_said_in_the_way_of_each_generation(
    deployment: str, effort: str | None, thinking: dict[str, Any] | None, told: str | None
) -> None:
    body = written(asked(reasoning_effort=effort), deployment)

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == told
    if thinking is not None and "budget_tokens" in thinking:
        assert body["max_tokens"] >= thinking["budget_tokens"] + 4096


@pytest.mark.parametrize(
    ("budget", "deployment", "thinking", "effort"),
    [
        (5000, FIFTH, {"type": "enabled", "budget_tokens": 5000}, None),
        (0, FIFTH, None, None),
        (-1, FIFTH, None, None),
        (100, FIFTH, None, None),
        (5000, LATEST, {"type": "adaptive"}, "medium"),
        (0, LATEST, None, "low"),
        (-1, LATEST, None, None),
    ],
)
def test_a_budget_of_another_dialect_is_kept_or_becomes_an_effort(
    budget: int, deployment: str, thinking: dict[str, Any] | None, effort: str | None
) -> None:
    body = written(asked(reasoning_budget=budget), deployment)

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_thought_leaves_room_for_the_answer_within_the_callers_bound() -> None:
    assert written(asked(reasoning_effort="high", max_output=4000), FIFTH)["thinking"]["budget_tokens"] == 2976
    assert "thinking" not in written(asked(reasoning_effort="high", max_output=2000), FIFTH)
    assert written(asked(reasoning_effort="high", max_output=2000), FIFTH)["max_tokens"] == 2000
    body = written(asked(reasoning_effort="xhigh"), FIFTH, DIALECT.fitted(FIFTH, Profile(max_output=16_000)))
    assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (14_976, 16_000)


def test_who_must_call_a_tool_is_not_asked_to_think() -> None:
    forced = asked(reasoning_effort="high", tools=(Tool("f"),), tool_choice=ToolChoice("required"))

    assert "thinking" not in written(forced, FIFTH)
    assert written(forced, LATEST)["output_config"] == {"effort": "high"}
    assert "thinking" not in written(forced, LATEST)
    assert tuple(DIALECT.fitted(FIFTH, Profile()).unsaid(forced)) == ("reasoning_effort",)
    assert tuple(DIALECT.fitted(LATEST, Profile()).unsaid(forced)) == ()


def test_a_conversation_whose_calls_came_without_sealed_thoughts_goes_on_without_thinking() -> None:
    def called(*before: Reasoning) -> Request:
        return asked(
            messages=(
                Message("user", (Text("?"),)),
                Message("assistant", (*before, ToolCall("a", "f", "{}"))),
                Message("tool", (Text("r"),), call="a"),
            ),
            reasoning_effort="high",
            tools=(Tool("f"),),
        )

    assert "thinking" not in written(called(), FIFTH)
    assert "thinking" in written(called(), LATEST)
    assert "thinking" not in written(called(Reasoning("unsealed")), FIFTH)
    assert "thinking" in written(called(Reasoning("mine", "s", issuer=OWN)), FIFTH)


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deployment", "sent", "unsaid"),
    [
        (LATEST, {}, ("temperature", "top_p", "top_k")),
        (SIXTH, {"temperature": 1.0, "top_k": 5}, ("temperature", "top_p")),
        (FIFTH, {"temperature": 1.0, "top_k": 5}, ("temperature", "top_p")),
        (FOURTH, {"temperature": 1.0, "top_p": 0.5, "top_k": 5}, ("temperature",)),
        (OTHER, {"temperature": 1.0, "top_p": 0.5, "top_k": 5}, ("temperature",)),
    ],
)
def test_samples_go_as_far_as_a_generation_takes_them_and_the_rest_is_told(
    deployment: str, sent: dict[str, Any], unsaid: tuple[str, ...]
) -> None:
    request = asked(temperature=1.7, top_p=0.5, top_k=5)
    dialect = DIALECT.fitted(deployment, Profile())

    body = written(request, deployment, dialect)

    assert {key: body[key] for key in ("temperature", "top_p", "top_k") if key in body} == sent
    assert tuple(dialect.unsaid(request)) == unsaid


def test_a_model_that_counts_its_thoughts_is_not_told_how_to_sample() -> None:
    request = asked(temperature=0.2, reasoning_effort="low")

    assert "temperature" not in written(request, FIFTH)
    assert tuple(DIALECT.fitted(FIFTH, Profile()).unsaid(request)) == ("temperature",)


def test_settings_without_words_here_are_named() -> None:
    request = asked(
        seed=1,
        logprobs=True,
        top_logprobs=2,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        stop=("END", "\n"),
        messages=(Message("user", (Text("hi"),), name="Ada"),),
        extra={"logit_bias": Raw(b"{}")},
    )

    body = written(request)

    assert set(DIALECT.unsaid(request)) == {
        "seed",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "name",
        "logit_bias",
    }
    assert body["stop_sequences"] == ["END"]
    assert body.keys() == {"model", "max_tokens", "messages", "stop_sequences"}
    assert tuple(DIALECT.unsaid(asked(temperature=0.5, top_p=0.9, user="u"))) == ()


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), True, {"type": "auto"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("named", "f"), None, {"type": "tool", "name": "f"}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_the_choice_of_tools_is_said_in_anthropics_words(
    choice: ToolChoice | None, sent: dict[str, Any] | None, *, parallel: bool | None
) -> None:
    request = asked(tools=(Tool("f"),), tool_choice=choice, parallel_tool_calls=parallel)

    assert written(request).get("tool_choice") == sent
    assert "tool_choice" not in written(request.changed(tools=()))


def test_the_arguments_of_a_tool_are_always_an_object() -> None:
    tools = (Tool("a"), Tool("b", parameters={"properties": {}}), Tool("c", "d", {"type": "object"}, strict=False))

    assert written(asked(tools=tools))["tools"] == [
        {"name": "a", "input_schema": {"type": "object", "properties": {}}},
        {"name": "b", "input_schema": {"type": "object", "properties": {}}},
        {"name": "c", "description": "d", "input_schema": {"type": "object"}, "strict": False},
    ]


def test_a_strict_tool_is_closed_where_the_model_knows_strictness_and_open_elsewhere() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    request = asked(
        tools=(Tool("f", parameters=schema, strict=True), Tool("g", parameters={"type": "object"}, strict=True))
    )

    (first, second) = written(request, LATEST)["tools"]

    assert first["strict"] is True
    assert first["input_schema"]["additionalProperties"] is False
    assert second == {"name": "g", "input_schema": {"type": "object"}}
    assert written(request, FOURTH)["tools"][0] == {"name": "f", "input_schema": schema}


# --- structure --------------------------------------------------------------------------------------------------------

BILL = {
    "type": "object",
    "properties": {
        "total": {"type": "number", "minimum": 0, "description": "In euros."},
        "lines": {"type": "array", "minItems": 2, "items": {"type": "object", "properties": {"a": {"const": 1}}}},
        "kind": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
    },
    "required": ["total"],
}


def test_a_structure_is_asked_for_within_anthropics_limits() -> None:
    shape = written(asked(structure=Schema(BILL, "bill", strict=True)), LATEST)["output_config"]["format"]

    assert shape == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "total": {"type": "number", "description": "In euros. (minimum: 0)"},
                "lines": {
                    "type": "array",
                    "description": "(minItems: 2)",
                    "items": {"type": "object", "additionalProperties": False, "properties": {"a": {"const": 1}}},
                },
                "kind": {"anyOf": [{"type": "string", "description": "(maxLength: 3)"}, {"type": "null"}]},
            },
            "required": ["total"],
        },
    }


def test_a_caller_of_this_dialect_keeps_the_schema_as_it_came() -> None:
    shape = {"type": "json_schema", "schema": BILL}

    assert written(read(output_config={"format": shape}).changed(), LATEST)["output_config"]["format"] == shape
    assert written(read(output_format=shape).changed(), LATEST)["output_config"]["format"] == shape


@pytest.mark.parametrize(
    ("deployment", "schema"),
    [
        (LATEST, None),
        (LATEST, {"type": "object"}),
        (
            LATEST,
            {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
        ),
        (FOURTH, BILL),
    ],
)
def test_a_structure_that_has_no_words_there_is_asked_for_by_a_tool(
    deployment: str, schema: dict[str, Any] | None
) -> None:
    alone = written(asked(structure=Schema(schema), reasoning_effort="high"), deployment)
    beside = written(asked(structure=Schema(schema), tools=(Tool("f"),)), deployment)
    only = written(asked(structure=Schema(schema), tools=(Tool("f"),), tool_choice=ToolChoice("none")), deployment)

    assert [tool["name"] for tool in alone["tools"]] == [ANSWER] == [tool["name"] for tool in only["tools"]]
    assert alone["tools"][0]["input_schema"] == (schema or {"type": "object", "properties": {}})
    assert alone["tool_choice"] == {"type": "tool", "name": ANSWER, "disable_parallel_tool_use": True}
    assert "thinking" not in alone
    assert [tool["name"] for tool in beside["tools"]] == ["f", ANSWER]
    assert beside["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": 2},
        {"previous": "resp_1"},
        {"modalities": ("text", "audio")},
        {"task": "embeddings", "job": Embedding(("a",))},
        {"tools": (Opaque("openai_responses", b"{}", "tools"),)},
    ],
)
def test_what_changes_the_meaning_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        DIALECT.write_request(asked(**fields), LATEST)
