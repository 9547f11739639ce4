"""OpenAI: which of its two dialects for chat is spoken, and what a regional address says."""

from __future__ import annotations

from typing import Any

import pytest

from dirigent.models.providers.provider import Provider
from tests.world import READER


def read(**settings: Any) -> Provider:
    kind, faults = READER.read(Provider, {"type": "openai", "api_key": {"env": "KEY"}, **settings}, ())
    assert kind is not None, faults
    return kind


@pytest.mark.parametrize(
    ("speaks", "heard"),
    [
        (None, ["openai_chat", "openai_responses", "openai_chat"]),
        (["openai_responses"], ["openai_responses"] * 3),
        (["openai_responses", "openai_chat"], ["openai_chat", "openai_responses", "openai_responses"]),
    ],
)
def test_a_caller_gets_its_own_dialect_where_the_models_have_it(speaks: list[str] | None, heard: list[str]) -> None:
    kind = read(**({} if speaks is None else {"speaks": speaks}))

    dialects = [kind.dialect("chat", name) for name in ("openai_chat", "openai_responses", "anthropic_messages")]

    assert [each.name for each in dialects if each is not None] == heard


@pytest.mark.parametrize(
    ("settings", "region"),
    [
        ({}, None),
        ({"base_url": "https://eu.api.openai.com/v1"}, "eu"),
        ({"base_url": "https://eu.api.openai.com/v1", "region": "ie"}, "ie"),
        ({"base_url": "https://eu.api.openai.com.example/v1"}, None),
    ],
)
def test_a_regional_address_says_where_data_is_processed(settings: dict[str, Any], region: str | None) -> None:
    assert read(**settings).located() == region
