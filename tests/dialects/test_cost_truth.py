"""What an answer costs is what a hand has worked out, for every vendor's way to report usage, streamed or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dirigent.core.usage import Price, Tariff, Usage
from tests.dialects.matrix.spoken import DIALECTS, encoded_stream

FOLDER = Path(__file__).parents[1] / "golden" / "usage"
Json = dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    name: str
    usage: Json | None
    stream: list[Json]
    price: Price
    parts: list[tuple[int, str | None]]
    nano: int | None


class Book(msgspec.Struct, frozen=True):
    dialect: str
    cases: list[Case]


CASES = [
    (book.dialect, case)
    for file in sorted(FOLDER.glob("*.json"))
    for book in [msgspec.json.decode(file.read_bytes(), type=Book)]
    for case in book.cases
]
NAMES = [case.name for _, case in CASES]


def test_there_are_hundreds_of_shapes() -> None:
    assert len(CASES) >= 200
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(("dialect", "case"), CASES, ids=NAMES)
def test_the_sum_in_the_file_is_right(dialect: str, case: Case) -> None:
    if case.nano is None:
        assert case.usage is None or any(price is None for _, price in case.parts) or not case.parts
        return

    by_hand = sum(
        (Fraction(tokens) * Fraction(price) * 1000 for tokens, price in case.parts if price is not None), Fraction(0)
    )

    assert ceil(by_hand) == case.nano


@pytest.mark.parametrize(("dialect", "case"), CASES, ids=NAMES)
def test_a_whole_answer_costs_what_a_hand_has_worked_out(dialect: str, case: Case) -> None:
    spoken = DIALECTS[dialect].dialect

    usage = spoken.usage_of(msgspec.json.encode(whole(dialect, case.usage)))

    assert costs(case.price, usage) == case.nano


@pytest.mark.parametrize(("dialect", "case"), CASES, ids=NAMES)
def test_a_stream_costs_the_same(dialect: str, case: Case) -> None:
    witness = DIALECTS[dialect].dialect.witness(hide_usage=False)

    for piece in pieces(encoded_stream(dialect, streamed(dialect, case.stream))):
        witness.feed(piece)
    witness.end()

    assert witness.complete
    assert costs(case.price, witness.usage) == case.nano


def costs(price: Price, usage: Usage | None) -> int | None:
    """What `usage` costs, by the exact way and by the fast one."""
    if usage is None:
        return None
    exact, fast = price.cost(usage), Tariff(price).cost(usage)
    assert exact == fast
    return exact.nano if exact is not None else None


def pieces(data: bytes) -> Sequence[bytes]:
    """The bytes as a network may cut them."""
    return [data[start : start + 113] for start in range(0, len(data), 113)]


def whole(dialect: str, usage: Json | None) -> Json:
    """A whole answer of one word that reports this."""
    match dialect:
        case "openai_chat":
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            answer: Json = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        case "openai_responses":
            content = [{"type": "output_text", "text": "Hi", "annotations": []}]
            item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": content}
            answer = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": [item]}
        case "anthropic_messages":
            answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
            answer["content"] = [{"type": "text", "text": "Hi"}]
        case "google_generate":
            answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
        case _:
            said = {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}
            answer = {"output": said, "stopReason": "end_turn", "metrics": {"latencyMs": 1}}
    named = "usageMetadata" if dialect == "google_generate" else "usage"
    return answer | ({named: usage} if usage is not None else {})


def streamed(dialect: str, reports: Sequence[Json]) -> list[Json]:
    """The events of an answer of one word that reports this, one after the other."""
    first, last = reports[:-1], reports[-1:]
    match dialect:
        case "openai_chat":
            said = [chunk({"content": "Hi"}), *(chunk({"content": "!"}, usage) for usage in first)]
            return [*said, chunk({}, end="stop"), *(chunk(None, usage) for usage in last)]
        case "openai_responses":
            response = whole(dialect, reports[-1] if reports else None)
            begun = response | {"status": "in_progress", "output": [], "usage": None}
            word = {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0}
            return [
                {"type": "response.created", "response": begun, "sequence_number": 0},
                word | {"delta": "Hi", "sequence_number": 1},
                {"type": "response.completed", "response": response, "sequence_number": 2},
            ]
        case "anthropic_messages":
            begun = whole(dialect, None) | {"content": [], "stop_reason": None}
            begun |= {"usage": first[0]} if first else {}
            ended: Json = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
            word = {"type": "text_delta", "text": "Hi"}
            return [
                {"type": "message_start", "message": begun},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": word},
                {"type": "content_block_stop", "index": 0},
                ended | ({"usage": last[0]} if last else {}),
                {"type": "message_stop"},
            ]
        case "google_generate":
            told: list[Json | None] = [*reports] or [None]
            return [*(google("Hi", usage) for usage in told[:-1]), google("!", told[-1], end="STOP")]
        case _:
            return [
                {"messageStart": {"role": "assistant"}},
                {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}},
                {"contentBlockStop": {"contentBlockIndex": 0}},
                {"messageStop": {"stopReason": "end_turn"}},
                {"metadata": {"metrics": {"latencyMs": 1}} | ({"usage": last[0]} if last else {})},
            ]


def chunk(delta: Mapping[str, str] | None, usage: Json | None = None, end: str | None = None) -> Json:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": end}]
    made: Json = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return made | ({"usage": usage} if usage is not None else {})


def google(words: str, usage: Json | None, end: str | None = None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": [{"text": words}]}, "index": 0}
    candidate |= {"finishReason": end} if end is not None else {}
    return {"candidates": [candidate]} | ({"usageMetadata": usage} if usage is not None else {})
