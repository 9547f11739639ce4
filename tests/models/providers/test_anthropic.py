"""Anthropic: how requests are let in, and which beta features of a caller go on."""

from __future__ import annotations

from typing import Any

import pytest

from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.models.providers.provider import Provider
from tests.world import KEY, READER, World

ASKED = "context-1m-2025-08-07, fast-mode-2026-02-01,files-api-2025-04-14"


def read(**settings: Any) -> Provider:
    kind, faults = READER.read(Provider, {"type": "anthropic", "api_key": {"env": "KEY"}, **settings}, ())
    assert kind is not None, faults
    return kind


def refused(**settings: Any) -> str:
    kind, faults = READER.read(Provider, {"type": "anthropic", **settings}, ())
    assert kind is None
    return "; ".join(fault.message for fault in faults)


async def headers(kind: Provider) -> dict[str, str]:
    return dict((await kind.address("claude-opus-5", AnthropicMessages(), World({}).run())).headers)


async def test_a_request_is_let_in_by_the_key_and_names_the_version() -> None:
    assert await headers(read()) == {"x-api-key": KEY, "anthropic-version": "2023-06-01"}


async def test_beta_features_of_the_operator_are_asked_for_always() -> None:
    kind = read(betas=["a-2025-01-01", "b-2025-01-01"])

    assert (await headers(kind))["anthropic-beta"] == "a-2025-01-01,b-2025-01-01"
    assert kind.forwarded((("anthropic-beta", "c,b-2025-01-01"),)) == (
        ("anthropic-beta", "a-2025-01-01,b-2025-01-01,c"),
    )


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, "context-1m-2025-08-07,fast-mode-2026-02-01,files-api-2025-04-14"),
        ({"refuse_betas": ["fast-mode-*"]}, "context-1m-2025-08-07,files-api-2025-04-14"),
        ({"allow_betas": ["files-api-2025-04-14", "fast-mode-*"]}, "fast-mode-2026-02-01,files-api-2025-04-14"),
        ({"allow_betas": ["fast-mode-*"], "refuse_betas": ["fast-mode-2026-02-01"]}, None),
        ({"allow_betas": []}, None),
    ],
)
def test_a_caller_has_the_beta_features_that_the_operator_leaves(settings: dict[str, Any], left: str | None) -> None:
    taken = dict(read(**settings).forwarded((("anthropic-beta", ASKED), ("anthropic-version", "2023-01-01"))))

    assert taken.get("anthropic-beta") == left
    assert taken["anthropic-version"] == "2023-01-01"


def test_only_a_server_of_ones_own_needs_no_key() -> None:
    assert "{env: ANTHROPIC_API_KEY}" in refused()
    assert refused(base_url="ftp://x") != ""
    assert read(api_key=None, base_url="http://127.0.0.1:11434/v1").located() is None


@pytest.mark.parametrize("name", ["", "a,b", "a b", "ä", "a\r\nx-evil: 1"])
def test_what_cannot_be_the_name_of_a_beta_feature_is_refused(name: str) -> None:
    assert "is not the name of a beta feature" in refused(api_key={"env": "KEY"}, betas=[name])
