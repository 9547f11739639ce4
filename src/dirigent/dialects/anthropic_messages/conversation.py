"""Conversations of Anthropic messages: turns that change sides, with instructions beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Message, Part, Reasoning, Role, ToolCall
from dirigent.dialects.anthropic_messages.blocks import Block, CallSeal, read_parts, result_block, written_blocks
from dirigent.dialects.anthropic_messages.thoughts import own_seal

__all__ = ["WireMessage", "in_tool_loop", "read_conversation", "written_conversation"]


class WireMessage(msgspec.Struct):
    """One turn as callers send it; newer models take instructions in the middle of a conversation too."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


# --- read -------------------------------------------------------------------------------------------------------------


def read_conversation(system: str | list[Raw] | None, turns: Sequence[WireMessage]) -> Iterator[Message]:
    """The messages of a conversation. Raises Invalid with the field at fault."""
    if system:
        yield from _turn("system", system, "system")
    for index, turn in enumerate(turns):
        yield from _turn(turn.role, turn.content, f"messages.{index}.content")


def _turn(role: Role, content: str | list[Raw], where: str) -> Iterator[Message]:
    """The messages in one turn: each result of a tool is one, and so is what is said between them."""
    parts: list[Part] = []
    seals: dict[str, str] = {}
    results = False
    for part in read_parts(content, where):
        match part:
            case Message():
                if parts:
                    yield Message(role, tuple(parts))
                    parts = []
                results = True
                yield part
            case CallSeal(call=call, signature=signature):
                seals[call] = signature
            case _:
                parts.append(part)
    if seals:
        parts = [_sealed(part, seals) for part in parts]
    if parts or not results:
        yield Message(role, tuple(parts))


def _sealed(part: Part, seals: Mapping[str, str]) -> Part:
    if isinstance(part, ToolCall) and part.id in seals:
        return msgspec.structs.replace(part, signature=seals[part.id])
    return part


# --- write ------------------------------------------------------------------------------------------------------------


def written_conversation(messages: Sequence[Message], *, own: bool) -> tuple[list[Block], list[dict[str, Any]]]:
    """The instructions and the turns.

    Instructions from the middle of a conversation go to the others at its top, since most models take them nowhere
    else; where the caller spoke this dialect (`own`), the model is known to take them, and they stay in their place.
    Neighbours on one side become one turn, and the results of tools stand first in theirs. Raises Unsupported for what
    this dialect cannot say.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        match message.role:
            case "system" | "developer" if not (own and turns):
                system += written_blocks(message, own=own)
            case "system" | "developer":
                _say(turns, "system", written_blocks(message, own=own))
            case "tool":
                _answer(turns, result_block(message, own=own))
            case "user" | "assistant":
                _say(turns, message.role, written_blocks(message, own=own))
    if not (turns or system):
        raise Unsupported("this provider does not answer where nothing is said", param="messages")
    if not turns:  # a conversation of instructions alone is put as a question
        turns, system = [{"role": "user", "content": system}], []
    for turn in turns:
        turn["content"] = _shortened(turn["content"])
    return system, turns


def _say(turns: list[dict[str, Any]], role: str, blocks: list[Block]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _answer(turns: list[dict[str, Any]], block: Block) -> None:
    """Adds the result of a tool behind the other results of its turn, and before what is said there."""
    if not turns or turns[-1]["role"] != "user":
        turns.append({"role": "user", "content": [block]})
        return
    blocks = turns[-1]["content"]
    place = next((at for at, each in enumerate(blocks) if each["type"] != "tool_result"), len(blocks))
    blocks.insert(place, block)


def _shortened(blocks: list[Block]) -> str | list[Block]:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and isinstance(blocks[0]["text"], str):
        return blocks[0]["text"]
    return blocks


def in_tool_loop(messages: Sequence[Message]) -> bool:
    """Whether the model is in the middle of its calls, without a sealed thought at the head of its turn.

    Models that count their thoughts then refuse to be asked for more of them.
    """
    answered = False
    said: list[Part] = []
    for message in reversed(messages):
        if message.role == "assistant":
            said = [*message.parts, *said]
        elif said:
            break
        answered = answered or message.role == "tool"
    sent = [part for part in said if not isinstance(part, Reasoning) or own_seal(part)]
    return answered and bool(sent) and not isinstance(sent[0], Reasoning)
