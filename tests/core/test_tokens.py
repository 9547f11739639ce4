"""Tokens are estimated near enough to bill by, for any text, and for all that a request may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.messages import Audio, File, Image, Message, Opaque, Request, Schema, Text, Tool, ToolCall
from dirigent.core.tokens import (
    AUDIO,
    FILE,
    IMAGE,
    MESSAGE,
    SMALL_IMAGE,
    estimated,
    estimated_parts,
    estimated_request,
)

# Counted with the o200k vocabulary; none of these is among the texts that the weights were fitted to.
COUNTED = {
    "Please review the attached purchase agreement and list all payment terms, delivery dates and penalties, "
    "sorted by date, in a table with three columns. Mark anything unusual.": 32,
    "Bitte prüfen Sie den beigefügten Kaufvertrag und listen Sie alle Zahlungsbedingungen, Liefertermine und "
    "Vertragsstrafen nach Datum sortiert in einer Tabelle mit drei Spalten auf. Markieren Sie Ungewöhnliches.": 45,
    "async def fetch(session, url):\n    async with session.get(url) as response:\n"
    "        if response.status != 200:\n            raise ValueError(f'{url}: {response.status}')\n"
    "        return await response.json()": 43,
}
LINE = some.sampled_from(
    ["The ", "Straße ", "größer, ", "x = 3\n", "    ", "----", "-", "=", "你好", "при", "😀", "é", '{"a": 1}', "Q", " "]
)
TEXTS = some.one_of(some.text(max_size=200), some.lists(LINE, max_size=60).map("".join))


def asked(*messages: Message, **fields: object) -> int:
    """The estimate for a request of these messages."""
    return estimated_request(Request(model="m", messages=messages, **fields))  # type: ignore[arg-type]  # fields as given


@pytest.mark.parametrize(("text", "tokens"), COUNTED.items())
def test_a_text_is_estimated_within_a_fifth(text: str, tokens: int) -> None:
    assert estimated(text) == pytest.approx(tokens, rel=0.2)


@given(TEXTS)
def test_every_text_has_tokens_and_no_more_than_bytes_and_one(text: str) -> None:
    tokens = estimated(text)

    assert (tokens == 0) == (text == "")
    assert 0 <= tokens <= len(text.encode("utf-8", "replace")) + 1


@given(TEXTS, TEXTS)
def test_two_texts_together_have_about_the_tokens_of_both(one: str, other: str) -> None:
    together = estimated(one + other)

    # Where they meet, a rule or an indentation may become one token.
    assert together >= max(estimated(one), estimated(other)) - 4
    # Accents in the one tell that the other is not English either, and so has more tokens than it would have alone.
    assert together <= 1.7 * (estimated(one) + estimated(other)) + 4


def test_a_rule_of_signs_is_few_tokens() -> None:
    assert estimated("-" * 80) < 5


def test_a_request_is_its_messages_with_their_frames_its_tools_and_its_structure() -> None:
    hello, schema = Message("user", (Text("Hello there"),)), {"type": "object", "properties": {"a": {"type": "string"}}}

    plain = asked(hello)
    twice = asked(hello, hello)
    with_tool = asked(hello, tools=(Tool("weather", "The weather of a place, today.", schema),))
    with_structure = asked(hello, structure=Schema(schema))

    assert twice - plain == MESSAGE + estimated("Hello there")
    assert with_tool - plain > estimated("The weather of a place, today.")
    assert with_structure > plain


def test_what_is_no_text_has_a_fixed_figure() -> None:
    data = "data:image/png;base64," + "A" * 100_000

    assert estimated_parts([Image(data)]) == IMAGE
    assert estimated_parts([Image(data, detail="low")]) == SMALL_IMAGE
    assert estimated_parts([Audio("A" * 100_000, "wav"), File(data=data)]) == AUDIO + FILE
    assert estimated_parts([Opaque("anthropic_messages", b"A" * 100_000)]) == FILE


def test_a_call_counts_by_its_name_and_arguments() -> None:
    short = estimated_parts([ToolCall("1", "weather", '{"place":"Rome"}')])
    longer = estimated_parts([ToolCall("1", "weather", '{"place":"Rome","days":[1,2,3],"unit":"celsius"}')])

    assert estimated('{"place":"Rome"}') < short < longer
