"""Conversations of Bedrock's Converse: turns that change sides, with instructions beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Message, Part, Role, ToolCall
from dirigent.dialects.bedrock_converse.blocks import (
    Block,
    CallSeal,
    cache_point,
    called_id,
    read_blocks,
    written_blocks,
)

__all__ = ["WireMessage", "called_in", "in_tool_loop", "read_conversation", "written_conversation"]


class WireMessage(msgspec.Struct):
    """One turn as callers send it; newer models take instructions in the middle of a conversation too."""

    role: Literal["user", "assistant", "system"]
    content: list[Raw]


# --- read -------------------------------------------------------------------------------------------------------------


def read_conversation(system: Sequence[Raw], turns: Sequence[WireMessage]) -> Iterator[Message]:
    """The messages of a conversation. Raises Invalid with the field at fault."""
    if system:
        yield from _turn("system", system, "system")
    for index, turn in enumerate(turns):
        yield from _turn(turn.role, turn.content, f"messages[{index}].content")


def _turn(role: Role, content: Sequence[Raw], where: str) -> Iterator[Message]:
    """The messages in one turn: each result of a tool is one, and so is what is said between them."""
    parts: list[Part] = []
    seals: dict[str, str] = {}
    results = False
    for part in read_blocks(content, where):
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
    if parts or not results:
        yield Message(role, tuple(_sealed(part, seals) for part in parts))


def _sealed(part: Part, seals: Mapping[str, str]) -> Part:
    if isinstance(part, ToolCall) and part.id in seals:
        return msgspec.structs.replace(part, signature=seals[part.id])
    return part


# --- write ------------------------------------------------------------------------------------------------------------


def written_conversation(
    messages: Sequence[Message], *, own: bool, caches: bool
) -> tuple[list[Any], list[dict[str, Any]]]:
    """The instructions and the turns. Raises Unsupported for what this dialect cannot say.

    Instructions from the middle of a conversation go to the others at its top, unless the caller spoke this dialect.
    Neighbours on one side become one turn, and the results of tools stand first in theirs.
    """
    system: list[Any] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = list(written_blocks(message.parts, own=own, caches=caches))
        if message.cache is not None and blocks and caches and message.role != "tool":
            blocks.append(cache_point(message.cache))
        match message.role:
            case "system" | "developer" if not (own and turns):
                system += blocks
            case "system" | "developer":
                _say(turns, "system", blocks)
            case "tool":
                _answer(turns, _result(message, blocks), message.cache if caches else None)
            case "user" | "assistant":
                _say(turns, message.role, blocks)
    if not (turns or system):
        raise Unsupported("this provider does not answer where nothing is said", param="messages")
    if not turns:  # a conversation of instructions alone is put as a question
        turns, system = [{"role": "user", "content": system}], []
    return system, turns


def _say(turns: list[dict[str, Any]], role: str, blocks: list[Any]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _result(message: Message, blocks: list[Any]) -> Block:
    kept = [block for block in blocks if not (isinstance(block, dict) and "cachePoint" in block)]
    result: Block = {"toolUseId": called_id(message.call or ""), "content": kept}
    if message.failed:
        result["status"] = "error"
    return {"toolResult": result}


def _answer(turns: list[dict[str, Any]], block: Block, mark: Raw | None) -> None:
    """Adds the result of a tool behind the other results of its turn, and before what is said there."""
    marked = [block] if mark is None else [block, cache_point(mark)]
    if not turns or turns[-1]["role"] != "user":
        turns.append({"role": "user", "content": marked})
        return
    blocks = turns[-1]["content"]
    place = next((at for at, each in enumerate(blocks) if not _is_result(each)), len(blocks))
    blocks[place:place] = marked


def _is_result(block: Any) -> bool:
    return isinstance(block, dict) and ("toolResult" in block or "cachePoint" in block)


def in_tool_loop(turns: Sequence[dict[str, Any]]) -> bool:
    """Whether the model is in the middle of its calls, without a sealed thought at the head of its turn.

    Models that count their thoughts then refuse to be asked for more of them.
    """
    for turn in reversed(turns):
        first = turn["content"][0]
        if turn["role"] == "assistant":
            return not (isinstance(first, dict) and "reasoningContent" in first)
        if not (isinstance(first, dict) and "toolResult" in first):
            return False
    return False


def called_in(messages: Sequence[Message]) -> list[str]:
    """The names of the tools that were called, each once."""
    return list(
        dict.fromkeys(part.name for message in messages for part in message.parts if isinstance(part, ToolCall))
    )
