"""What steps ask of models: turns of a conversation out of templates, and the text that comes back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dirigent.core.errors import BadAnswer, Finding, Invalid
from dirigent.core.messages import Message, Refusal, Request, Response, Role, Schema, Text
from dirigent.models.filling import template_faults

__all__ = ["Parameters", "Turn", "said", "text_of", "turn", "turn_faults", "with_parameters"]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a model is to answer; what is not said is left to it."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """How much chance there is in the words: 0 for none."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """The share of likely words that are drawn from."""
    max_output: Annotated[int, Meta(ge=1)] | None = None
    """The longest answer, in tokens."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends."""
    seed: int | None = None
    """Where the provider takes one: the same seed, the same answer."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long to think before answering."""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One turn of a conversation."""

    content: str
    """A template."""
    role: Literal["system", "user", "assistant"] = "user"


def turn(role: Role, text: str) -> Message:
    """One message of text."""
    return Message(role, (Text(text),))


def with_parameters(
    model: str, messages: Sequence[Message], parameters: Parameters, structure: Schema | None = None
) -> Request:
    """The request for a model. Raises Invalid where nothing is asked."""
    if not any(message.text.strip() for message in messages if message.role != "system"):
        raise Invalid(f"there is nothing to ask {model!r}: every template came out empty")
    return Request(
        model=model,
        messages=tuple(messages),
        structure=structure,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output=parameters.max_output,
        stop=parameters.stop,
        seed=parameters.seed,
        reasoning_effort=parameters.reasoning_effort,
    )


def said(turns: Sequence[object]) -> Iterator[Message]:
    """The messages of a conversation as the scope has them: objects with `role` and `content`."""
    for each in turns:
        if isinstance(each, dict) and isinstance(content := each.get("content"), str):
            role = each.get("role")
            yield turn(role if role in ("system", "developer", "user", "assistant") else "user", content)


def text_of(response: Response, model: str) -> str:
    """The text of an answer. Raises BadAnswer where the model refuses, or says nothing."""
    if text := response.text:
        return text
    parts = response.choices[0].message.parts if response.choices else ()
    words = " ".join(part.text for part in parts if isinstance(part, Refusal))
    raise BadAnswer(f"{model!r} refuses: {words}" if words else f"{model!r} says nothing")


def turn_faults(turns: Sequence[Turn], names: Collection[str], path: tuple[str | int, ...]) -> Iterator[Finding]:
    """What is wrong with the templates of a conversation."""
    for place, each in enumerate(turns):
        yield from template_faults(each.content, names, (*path, place, "content"))
