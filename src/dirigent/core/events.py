"""The events that an answer streams, and `collect`, which folds them into a response.

Two laws hold for every model: text fragments of one choice, joined in order, are the answer that a non-streamed call
would have given; and after the first event no other candidate may speak.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec

from dirigent.core.errors import BadAnswer
from dirigent.core.messages import Choice, FinishReason, Message, Part, Reasoning, Refusal, Response, Text, ToolCall
from dirigent.core.usage import Usage

__all__ = [
    "Answer",
    "Event",
    "Finished",
    "LogprobsDelta",
    "ReasoningDelta",
    "RefusalDelta",
    "TextDelta",
    "ToolCallDelta",
    "UsageReported",
    "Verbatim",
    "collect",
    "folded",
]


class TextDelta(msgspec.Struct, frozen=True):
    """The next stretch of text."""

    text: str
    choice: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True):
    """The next stretch of what the model thinks aloud before it answers."""

    text: str
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True):
    """The next stretch of a refusal."""

    text: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A fragment of a tool call: `id` and `name` come with the first fragment, `arguments` is to be concatenated."""

    index: int
    """Which call of this choice; stable and unique over the answer."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


class LogprobsDelta(msgspec.Struct, frozen=True):
    """Log probabilities of the tokens that came last, as the provider wrote them."""

    raw: msgspec.Raw
    choice: int = 0


class Finished(msgspec.Struct, frozen=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True):
    """What the answer has used; a later report replaces an earlier one."""

    usage: Usage


class Verbatim(msgspec.Struct, frozen=True):
    """Bytes of the provider's answer, unbuilt: a stretch of its event stream, or its whole body.

    Only who asked with the request's own bytes (`Request.wire`) receives it, and knows its dialect therefore.
    """

    data: bytes


Event = TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | LogprobsDelta | Finished | UsageReported | Verbatim
Answer = AsyncGenerator[Event, None]
"""The events that a model gives to one request. Whoever stops reading closes it: `async with aclosing(answer)`."""


async def collect(answer: Answer) -> Response:
    """The whole response. Raises what the answer raises; closes it in every case."""
    async with aclosing(answer) as events:
        return folded([event async for event in events])


def folded(events: Iterable[Event]) -> Response:
    """The response that these events make up. Raises BadAnswer where one of them is verbatim."""
    choices: dict[int, _Collected] = {}
    usage: Usage | None = None
    for event in events:
        match event:
            case UsageReported(usage=reported):
                usage = reported
            case Verbatim():
                raise BadAnswer("a verbatim answer cannot be collected: ask with a request that carries no wire form")
            case _:
                choices.setdefault(event.choice, _Collected()).add(event)
    return Response(tuple(choices[index].choice() for index in sorted(choices)), usage)


class _Collected:
    """One choice while its fragments come in."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.thought: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, list[str]] = {}  # index -> [id, name, fragment, fragment, ...]
        self.logprobs: list[msgspec.Raw] = []
        self.finish: FinishReason | None = None

    def add(self, event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | LogprobsDelta | Finished) -> None:
        match event:
            case TextDelta(text=text):
                self.text.append(text)
            case ReasoningDelta(text=text):
                self.thought.append(text)
            case RefusalDelta(text=text):
                self.refusal.append(text)
            case ToolCallDelta(index=index, id=call, name=name, arguments=arguments):
                parts = self.calls.setdefault(index, ["", ""])
                parts[0] = parts[0] or call or ""
                parts[1] = parts[1] or name or ""
                parts.append(arguments)
            case LogprobsDelta(raw=raw):
                self.logprobs.append(raw)
            case Finished(reason=reason):
                self.finish = reason

    def choice(self) -> Choice:
        parts: list[Part] = []
        if self.thought:
            parts.append(Reasoning("".join(self.thought)))
        if self.text:
            parts.append(Text("".join(self.text)))
        if self.refusal:
            parts.append(Refusal("".join(self.refusal)))
        for index in sorted(self.calls):
            call, name, *fragments = self.calls[index]
            parts.append(ToolCall(call, name, "".join(fragments)))
        return Choice(Message("assistant", tuple(parts)), self.finish, _joined(self.logprobs))


def _joined(stretches: list[msgspec.Raw]) -> msgspec.Raw | None:
    """Log probabilities of a whole answer: the lists of all stretches, one after the other, key by key."""
    if len(stretches) < 2:
        return stretches[0] if stretches else None
    whole: dict[str, list[msgspec.Raw]] = {}
    for raw in stretches:
        try:
            lists = msgspec.json.decode(raw, type=dict[str, list[msgspec.Raw] | None])
        except msgspec.DecodeError:
            raise BadAnswer("the provider's log probabilities are no lists") from None
        for key, values in lists.items():
            whole.setdefault(key, []).extend(values or ())
    return msgspec.Raw(msgspec.json.encode({key: values or None for key, values in whole.items()}))
