"""Events fold into the response that a call without streaming would have given."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
import pytest

from dirigent.core.errors import BadAnswer
from dirigent.core.events import (
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
    collect,
    folded,
)
from dirigent.core.messages import Choice, Message, Reasoning, Refusal, Response, Text, ToolCall
from dirigent.core.usage import Usage


def test_fragments_are_joined_choice_by_choice_in_the_order_of_their_indices() -> None:
    response = folded(
        [
            TextDelta("b", 1),
            ReasoningDelta("Hm"),
            TextDelta("a"),
            RefusalDelta("no", 1),
            TextDelta("a"),
            ToolCallDelta(1, "id2", "g", '{"x":'),
            ToolCallDelta(0, "id1", "f", "{}"),
            ToolCallDelta(1, arguments="1}"),
            Finished("stop", 1),
            Finished("tool_calls"),
        ]
    )

    assert response.choices == (
        Choice(
            Message(
                "assistant", (Reasoning("Hm"), Text("aa"), ToolCall("id1", "f", "{}"), ToolCall("id2", "g", '{"x":1}'))
            ),
            "tool_calls",
        ),
        Choice(Message("assistant", (Text("b"), Refusal("no"))), "stop"),
    )
    assert response.text == "aa"


def test_the_last_report_of_usage_counts() -> None:
    assert folded([UsageReported(Usage(9, 1)), TextDelta("a"), UsageReported(Usage(9, 4))]).usage == Usage(9, 4)
    assert folded([TextDelta("a")]).usage is None


def test_log_probabilities_are_joined_list_by_list() -> None:
    stretches = [b'{"content":[{"token":"a"}],"refusal":null}', b'{"content":[{"token":"b"}],"refusal":null}']

    (choice,) = folded([LogprobsDelta(msgspec.Raw(raw)) for raw in stretches]).choices

    assert choice.logprobs is not None
    assert msgspec.json.decode(choice.logprobs) == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def test_log_probabilities_that_are_no_lists_are_a_bad_answer() -> None:
    with pytest.raises(BadAnswer):
        folded([LogprobsDelta(msgspec.Raw(b"1")), LogprobsDelta(msgspec.Raw(b"[]"))])


def test_an_answer_without_events_is_an_empty_response() -> None:
    assert folded([]) == Response((), None)


async def test_a_verbatim_answer_cannot_be_collected_and_is_closed_nevertheless() -> None:
    closed: list[bool] = []

    async def answer() -> AsyncGenerator[Event, None]:
        try:
            yield Verbatim(b"{}")
        finally:
            closed.append(True)

    with pytest.raises(BadAnswer, match="cannot be collected"):
        await collect(answer())

    assert closed == [True]
