"""Requests of Anthropic messages, read from callers and written to providers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.anthropic_messages.blocks import refused
from dirigent.dialects.anthropic_messages.conversation import WireMessage, read_conversation, written_conversation
from dirigent.dialects.anthropic_messages.generations import Generation
from dirigent.dialects.anthropic_messages.manner import asked_thought, counts, samples, spoken_samples, thought
from dirigent.dialects.anthropic_messages.thoughts import DIALECT, foreign
from dirigent.dialects.anthropic_messages.tooling import tooling
from dirigent.dialects.late import LateMessages
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["counted", "read_request", "splice", "write_request"]

_NOT_COUNTED = ("max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "metadata", "service_tier")

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _AnyTool(msgspec.Struct):
    type: str | None = None


class _Tool(msgspec.Struct):
    name: Name
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: Raw = NULL


class _ThoughtBlock(msgspec.Struct):
    type: str
    signature: str | None = None
    data: str | None = None


class _Body(msgspec.Struct):
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    model: Name | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    system: str | list[Raw] | None = None
    stream: bool | None = None
    tools: list[Raw] | None = None
    tool_choice: _Choice | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Raw = NULL
    thinking: Raw = NULL
    output_config: Raw = NULL
    output_format: _Format | None = None
    """Where callers put the format before it moved into `output_config`."""


_UNDERSTOOD = frozenset(_Body.__struct_fields__)
_USUAL = frozenset(("model", "messages", "max_tokens", "stream", "system", "temperature"))
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)
_any_tool = msgspec.json.Decoder(_AnyTool)
_turns = msgspec.json.Decoder(list[dict[str, Raw]])
_blocks = msgspec.json.Decoder(list[Raw])
_thought_block = msgspec.json.Decoder(_ThoughtBlock)
_encode = msgspec.json.Encoder().encode
_FOREIGN = re.compile(rb'"(?:signature|data)"\s*:\s*"(?:"|dirigent\.)')
"""What the body of a request holds wherever there may be a thought that Anthropic did not seal."""
_NOTHING = Raw(b"[]")


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes, *, bounded: bool, headers: tuple[tuple[str, str], ...]) -> Request:
    """The request in `body`, which bears `max_tokens` where it is `bounded`.

    Raises Invalid with the field at fault in the way in which Anthropic names it; the contents of messages are looked
    at when somebody reads them.
    """
    try:
        fields = _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    try:
        read = _body.decode(body)
    except UNREADABLE as fault:
        raise refused(fault) from None
    if bounded and read.max_tokens is None:
        raise Invalid("max_tokens: Field required", param="max_tokens")
    messages = LateMessages(lambda: read_conversation(read.system, read.messages))
    if fields.keys() <= _USUAL:  # many requests say no more than this, and each field passed on costs time
        return Request(
            model=read.model or "",
            messages=messages,
            dialect=DIALECT,
            max_output=read.max_tokens,
            temperature=read.temperature,
            stream=read.stream is True,
            include_usage=True,
            headers=headers,
            wire=Wire(DIALECT, body, fields),
        )
    extra = {key: raw for key, raw in fields.items() if key not in _UNDERSTOOD}
    config, thinking = _config(read.output_config, extra), _thinking(read.thinking, extra)
    choice = read.tool_choice
    return Request(
        model=read.model or "",
        messages=messages,
        dialect=DIALECT,
        tools=tuple(_read_tools(read.tools)) if read.tools else (),
        tool_choice=None if choice is None else _read_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        structure=_structure(config.format or read.output_format),
        max_output=read.max_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=read.top_k,
        stop=tuple(read.stop_sequences) if read.stop_sequences else (),
        reasoning_effort="xhigh" if config.effort == "max" else config.effort,
        reasoning_budget=thinking,
        user=_user(read.metadata, extra),
        stream=read.stream is True,
        include_usage=True,  # this dialect always tells it
        extra=extra,
        headers=headers,
        wire=Wire(DIALECT, body, fields),
    )


def _config(raw: Raw, extra: dict[str, Raw]) -> _OutputConfig:
    """What the output is to be; what our own words cannot hold of it goes into `extra`."""
    if raw == NULL:
        return _OutputConfig()
    try:
        config = msgspec.json.decode(raw, type=_OutputConfig)
        rest = {key: each for key, each in _fields.decode(raw).items() if key not in ("effort", "format")}
    except UNREADABLE as fault:
        raise refused(fault, "output_config") from None
    if config.effort == "max":
        rest["effort"] = Raw(b'"max"')
    if rest:
        extra["output_config"] = Raw(_encode(rest))
    return config


def _thinking(raw: Raw, extra: dict[str, Raw]) -> int | None:
    """The tokens to think with; how else it is to be done goes into `extra`."""
    if raw == NULL:
        return None
    try:
        asked = msgspec.json.decode(raw, type=_Thinking)
        plain = len(_fields.decode(raw)) == (1 if asked.budget_tokens is None else 2)
    except UNREADABLE as fault:
        raise refused(fault, "thinking") from None
    budget = 0 if asked.type == "disabled" else asked.budget_tokens if asked.type == "enabled" else None
    if not plain or budget is None:
        extra["thinking"] = raw
    return budget


def _user(raw: Raw, extra: dict[str, Raw]) -> str | None:
    if raw == NULL:
        return None
    try:
        user = msgspec.json.decode(raw, type=_Metadata).user_id
        rest = {key: each for key, each in _fields.decode(raw).items() if key != "user_id"}
    except UNREADABLE as fault:
        raise refused(fault, "metadata") from None
    if rest:
        extra["metadata"] = Raw(_encode(rest))
    return user


def _read_tools(tools: Sequence[Raw]) -> Iterator[Tool | Opaque]:
    for index, raw in enumerate(tools):
        try:
            if _any_tool.decode(raw).type not in (None, "custom"):  # a tool of Anthropic's own, such as web search
                yield Opaque(DIALECT, bytes(raw), "tools")
                continue
            tool = _tool.decode(raw)
        except UNREADABLE as fault:
            raise refused(fault, f"tools.{index}") from None
        cache = None if tool.cache_control == NULL else Raw(bytes(tool.cache_control))
        yield Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache)


def _read_choice(choice: _Choice) -> ToolChoice:
    match choice.type:
        case "auto" | "none":
            return ToolChoice(choice.type)
        case "any":
            return ToolChoice("required")
        case "tool" if choice.name:
            return ToolChoice("named", choice.name)
        case "tool":
            raise Invalid("tool_choice.tool.name: Field required", param="tool_choice.tool.name")
        case kind:
            words = f"tool_choice.type: one of `auto`, `any`, `tool` and `none`, not {kind!r}"
            raise Invalid(words, param="tool_choice.type")


def _structure(asked: _Format | None) -> Schema | None:
    if asked is None:
        return None
    if asked.type != "json_schema" or asked.schema is None:
        raise Invalid("output_config.format: the type is `json_schema`, with a `schema`", param="output_config.format")
    return Schema(asked.schema)


# --- write ------------------------------------------------------------------------------------------------------------


def splice(wire: Wire, deployment: str) -> bytes:
    """The caller's bytes with the deployment's name, without thoughts that Anthropic did not seal: it refuses those."""
    fields: dict[str, object] = {**wire.fields, "model": deployment}
    if _FOREIGN.search(wire.body):
        turns = _turns.decode(wire.fields["messages"])
        fields["messages"] = [turn for turn in map(_without_foreign, turns) if turn["content"] != _NOTHING]
    return _encode(fields)


def _without_foreign(turn: dict[str, Raw]) -> dict[str, Raw]:
    if not bytes(turn["content"]).startswith(b"["):
        return turn
    blocks = _blocks.decode(turn["content"])
    kept = [block for block in blocks if not _is_foreign(block)]
    return turn if len(kept) == len(blocks) else {**turn, "content": Raw(_encode(kept))}


def _is_foreign(raw: Raw) -> bool:
    try:
        thought = _thought_block.decode(raw)
    except UNREADABLE:
        return False
    match thought.type:
        case "thinking":
            return foreign(thought.signature or "")
        case "redacted_thinking":
            return foreign(thought.data or "")
        case _:
            return False


def counted(body: bytes) -> bytes:
    """What is counted of a request: its settings for the answer are refused where nothing is answered."""
    return _encode({key: raw for key, raw in _fields.decode(body).items() if key not in _NOT_COUNTED})


def write_request(request: Request, deployment: str, generation: Generation, *, output: int, most: int | None) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported where this dialect cannot say what is asked.

    `output` bounds an answer for which nobody set a bound, and `most` is the longest that this deployment gives.
    """
    _refuse(request)
    own = request.dialect == DIALECT
    system, turns = written_conversation(request.messages, own=own)
    tools, choice, shape = tooling(request, generation, own=own)
    thinking, word = asked_thought(request) if own else thought(request, generation, most)
    if thinking is not None and counts(thinking):  # an answer that nobody bounds has its own tokens beside the thought
        output += thinking["budget_tokens"]
        output = output if most is None else min(output, most)
    body: dict[str, Any] = {
        "model": deployment,
        "max_tokens": output if request.max_output is None else request.max_output,
        "system": system or None,
        "messages": turns,
        "tools": tools or None,
        "tool_choice": choice,
        **(samples(request) if own else spoken_samples(request, generation, counted_thought=counts(thinking))),
        "stop_sequences": [each for each in request.stop if each.strip()] or None,
        "metadata": {"user_id": request.user} if request.user is not None else None,
        "thinking": thinking,
        "output_config": {key: each for key, each in (("effort", word), ("format", shape)) if each} or None,
        "stream": True if request.stream else None,
    }
    written = {key: value for key, value in body.items() if value is not None}
    if own:
        _add(written, request.extra)
    return _encode(written)


def _refuse(request: Request) -> None:
    if request.job is not None or request.task != "chat":
        raise Unsupported("this provider only holds conversations")
    if request.choices > 1:
        raise Unsupported("this provider gives one choice at a time", param="n")
    if request.previous is not None:
        raise Unsupported("this provider keeps no earlier answers to go on from", param="previous_response_id")
    if any(each != "text" for each in request.modalities):
        raise Unsupported("this provider answers in text alone", param="modalities")


def _add(written: dict[str, Any], extra: Mapping[str, Raw]) -> None:
    """Adds what only this dialect knows; where our own words hold a part of a field, the rest of it joins them."""
    for key, raw in extra.items():
        if key in ("output_config", "metadata") and key in written:
            written[key] = {**written[key], **_fields.decode(raw)}
        else:
            written[key] = raw
