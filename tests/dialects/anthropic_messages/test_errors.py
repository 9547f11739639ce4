"""Errors of Anthropic messages: what providers say and what callers read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dirigent.core.errors import (
    BadAnswer,
    Denied,
    DirigentError,
    Invalid,
    Misconfigured,
    NoCandidate,
    Overrun,
    RateLimited,
    Rejected,
    TimedOut,
    TooLarge,
    TooLong,
    Unauthenticated,
    Unavailable,
    UnknownModel,
    Unsupported,
)
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.gateway.errors import shape_of

DIALECT = AnthropicMessages()


def told(kind: str, message: str, **details: Any) -> bytes:
    error = {"type": kind, "message": message, "details": details or None}
    return json.dumps({"type": "error", "error": error, "request_id": "req_011"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, told("invalid_request_error", "prompt is too long: 214783 tokens > 200000 maximum"), TooLong, "prompt"),
        (
            400,
            told(
                "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
            ),
            TooLong,
            "exceed context limit",
        ),
        (413, told("request_too_large", "Request exceeds the maximum size"), TooLong, "maximum size"),
        (400, told("invalid_request_error", "messages.1.role: bad"), Rejected, "bad"),
        (400, told("invalid_request_error", "Your credit balance is too low to access the API"), Misconfigured, "paid"),
        (402, told("billing_error", "Pay."), Misconfigured, "paid"),
        (401, told("authentication_error", "invalid x-api-key sk-ant-1234"), Misconfigured, "credentials"),
        (403, told("permission_error", "no"), Misconfigured, "credentials"),
        (404, told("not_found_error", "model: claude-9"), Misconfigured, "claude-9"),
        (408, told("timeout_error", "slow"), TimedOut, "slow"),
        (504, told("timeout_error", "slow"), TimedOut, "slow"),
        (429, told("rate_limit_error", "40000 input tokens per minute"), RateLimited, "per minute"),
        (500, told("api_error", "Internal"), Unavailable, "Internal"),
        (503, b"<html><title>Bad day</title>", Unavailable, "a web page: Bad day"),
        (529, told("overloaded_error", "Overloaded"), Unavailable, "overloaded: Overloaded"),
        (307, b"", Misconfigured, "base_url"),
        (204, b"", BadAnswer, "204"),
        (400, b'{"error":"plain words"}', Rejected, "plain words"),
        (400, b'{"error":{"message":"in the way of OpenAI","type":"x","code":null}}', Rejected, "OpenAI"),
        (422, b'{"detail":[{"loc":["body"],"msg":"missing"}]}', Rejected, "missing"),
        (400, b"", Rejected, "without a word"),
    ],
)
def test_a_refusal_means_what_its_status_type_and_words_say(
    status: int, body: bytes, kind: type[DirigentError], words: str
) -> None:
    error = DIALECT.read_error(status, body, 7.0)

    assert type(error) is kind
    assert words in error.message
    assert "sk-ant" not in error.message
    if kind in (RateLimited, TimedOut, Unavailable):
        assert error.retry_after == 7.0


def test_a_rejection_keeps_the_field_the_type_and_the_reason() -> None:
    error = DIALECT.read_error(
        400, told("invalid_request_error", "tools.0.name: too long", error_code="tool_name_conflict"), None
    )

    assert isinstance(error, Rejected)
    assert (error.param, error.kind, error.reason) == ("tools.0.name", "invalid_request_error", "tool_name_conflict")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Invalid("no"), "invalid_request_error"),
        (Unsupported("no"), "invalid_request_error"),
        (TooLong("prompt is too long: 9 > 8"), "invalid_request_error"),
        (TooLarge("no"), "request_too_large"),
        (Unauthenticated("no"), "authentication_error"),
        (Denied("no"), "permission_error"),
        (UnknownModel("no"), "not_found_error"),
        (RateLimited("no"), "rate_limit_error"),
        (TimedOut("no"), "timeout_error"),
        (Overrun("no"), "timeout_error"),
        (Unavailable("no"), "overloaded_error"),
        (NoCandidate("no"), "overloaded_error"),
        (BadAnswer("no"), "api_error"),
        (Misconfigured("no"), "api_error"),
        (DirigentError("no"), "api_error"),
        (Rejected("no", kind="billing_error"), "billing_error"),
        (Rejected("no", kind="invented_by_openai"), "invalid_request_error"),
    ],
)
def test_an_error_is_told_with_the_type_by_which_anthropics_clients_sort(error: DirigentError, kind: str) -> None:
    shape = shape_of(error)

    body = json.loads(DIALECT.write_error(error, shape.status, shape.kind, "run-1"))

    assert body == {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "run-1"}


def test_an_error_in_the_place_of_an_answer_is_told_as_one() -> None:
    body = told("overloaded_error", "Overloaded")

    for read in (DIALECT.read_response, DIALECT.usage_of, DIALECT.count_of):
        with pytest.raises(Unavailable, match="is overloaded: Overloaded"):
            read(body)


def test_money_that_is_spent_is_a_billing_error() -> None:
    body = json.loads(DIALECT.write_error(DirigentError("the budget is spent"), 429, "insufficient_quota", "r"))

    assert body["error"]["type"] == "billing_error"


@pytest.mark.parametrize("words", ["9000 tokens do not fit", "This model's maximum context length is 8192 tokens."])
def test_a_prompt_that_does_not_fit_is_told_in_the_words_by_which_agents_shorten_their_talk(words: str) -> None:
    body = json.loads(DIALECT.write_error(TooLong(words), 400, "invalid_request_error", "r"))

    assert body["error"]["message"] == f"prompt is too long: {words}"
