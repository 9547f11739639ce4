"""Requests of OpenAI responses, read from callers and written to providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Message, Opaque, Request, Schema, Text, Tool, ToolChoice, Wire
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.openai_responses.items import (
    DIALECT,
    demand,
    foreign,
    read_items,
    unsealed,
    written_items,
)
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.seals import MARK
from dirigent.dialects.thinking import effort

__all__ = ["read_request", "splice", "unsaid", "write_request", "written_choice", "written_format", "written_tools"]

Name = Annotated[str, Meta(min_length=1, max_length=256)]

_MARK = MARK.encode()
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _TextOptions(msgspec.Struct):
    format: _Format | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Conversation(msgspec.Struct):
    id: str


class _Function(msgspec.Struct, omit_defaults=True):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _AnyTool(msgspec.Struct):
    type: str


class _Body(msgspec.Struct):
    model: Name | None = None
    input: str | list[Raw] | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = NULL
    parallel_tool_calls: bool | None = None
    text: _TextOptions | None = None
    reasoning: _Reasoning | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    conversation: str | _Conversation | None = None
    prompt: Raw = NULL
    background: bool | None = None
    user: str | None = None


_KNOWN = frozenset(_Body.__struct_fields__) - {"include", "conversation", "prompt", "background"}
"""Fields for which there are words of our own; the others are carried as they are."""
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(str | list[Raw] | None)
_function = msgspec.json.Decoder(_Function)
_any_tool = msgspec.json.Decoder(_AnyTool)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """The request in `body`, with the `headers` that belong to it.

    Raises Invalid with the path of the field at fault, as the caller wrote it.
    """
    try:
        fields = _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    try:
        read = _body.decode(body)
    except UNREADABLE as fault:
        raise invalid(fault) from None
    choice = _read_choice(read.tool_choice)
    extra = {key: raw for key, raw in fields.items() if key not in _KNOWN}
    if choice is None and read.tool_choice != NULL:  # beyond our own words
        extra["tool_choice"] = read.tool_choice
    for name in ("text", "reasoning"):  # of these our own words know one field each
        if name in fields and (others := _others(fields[name])):
            extra[name] = Raw(_encode(others))
    conversation = read.conversation.id if isinstance(read.conversation, _Conversation) else read.conversation
    return Request(
        model=read.model or "",
        messages=tuple(_messages(read)),
        dialect=DIALECT,
        tools=tuple(_read_tools(read.tools)) if read.tools else (),
        tool_choice=choice,
        parallel_tool_calls=read.parallel_tool_calls,
        structure=_structure(None if read.text is None else read.text.format),
        max_output=read.max_output_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        logprobs=read.top_logprobs is not None or _LOGPROBS in (read.include or ()),
        top_logprobs=read.top_logprobs,
        reasoning_effort=None if read.reasoning is None else read.reasoning.effort,
        previous=read.previous_response_id or conversation,
        user=read.user,
        stream=read.stream is True,
        include_usage=read.stream is True,
        extra=extra,
        headers=headers,
        wire=Wire(DIALECT, body, fields),
    )


def _messages(read: _Body) -> Iterator[Message]:
    if read.instructions is not None:
        yield Message("system", (Text(read.instructions),))
    if read.prompt != NULL:
        yield demand("prompt")
    if read.background:
        yield demand("background")
    said = read.input is not None or read.instructions is not None
    if not (said or read.previous_response_id or read.conversation or read.prompt != NULL):
        yield demand("input")  # what to make of nothing, a provider of this dialect may judge for itself
    elif isinstance(read.input, str):
        yield Message("user", (Text(read.input),))
    else:
        yield from read_items(read.input or ())


def _others(raw: Raw) -> dict[str, Raw]:
    """What stands in `text` or `reasoning` beside that which is understood."""
    given = msgspec.json.decode(raw, type=dict[str, Raw] | None) or {}
    return {key: value for key, value in given.items() if key not in ("format", "effort")}


def _read_tools(tools: Sequence[Raw]) -> Iterator[Tool | Opaque]:
    for index, raw in enumerate(tools):
        try:
            if _any_tool.decode(raw).type != "function":
                yield Opaque(DIALECT, bytes(raw), "tools")
                continue
            function = _function.decode(raw)
        except UNREADABLE as fault:
            raise invalid(fault, f"tools[{index}]") from None
        yield Tool(function.name, function.description, function.parameters, function.strict)


def _read_choice(raw: Raw) -> ToolChoice | None:
    if raw == NULL:
        return None
    try:
        choice: str | dict[str, Any] = msgspec.json.decode(raw, type=str | dict[str, Any])
    except UNREADABLE:
        choice = {}
    match choice:
        case "auto" | "none" | "required":
            return ToolChoice(choice)
        case {"type": "function", "name": str(name)}:
            return ToolChoice("named", name)
        case {"type": str(kind)} if kind != "function":
            return None  # the verbatim path and `extra` carry it
    raise Invalid(
        "tool_choice: one of `none`, `auto`, `required`, or an object that names a function", param="tool_choice"
    )


def _structure(format: _Format | None) -> Schema | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return Schema()
    if format.schema is None:
        raise missing("text.format.schema", "the schema is missing")
    return Schema(format.schema, format.name, format.description, format.strict)


# --- write ------------------------------------------------------------------------------------------------------------


def splice(wire: Wire, deployment: str) -> bytes:
    """The caller's bytes with the deployment's name, without the seals of other issuers that travel in them."""
    fields = dict(wire.fields)
    fields["model"] = Raw(_encode(deployment))
    if _MARK in wire.body and (given := fields.get("input")) is not None:
        items = _items.decode(given)
        if isinstance(items, list):
            fields["input"] = Raw(_encode([kept for item in items if (kept := unsealed(item)) is not None]))
    return _encode(fields)


def unsaid(request: Request) -> list[str]:
    """The settings that this dialect has no words for."""
    silent = {
        "stop": request.stop,
        "seed": request.seed is not None,
        "top_k": request.top_k is not None,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "messages.name": any(message.name is not None for message in request.messages),
    }
    strange = sorted(request.extra) if request.dialect != DIALECT else []
    return [*(name for name, given in silent.items() if given), *strange]


def write_request(request: Request, deployment: str) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported for what this dialect cannot say.

    A request that comes from another dialect is not kept by the provider, for its caller did not ask for that; what
    is thought about it comes back sealed, so that it can be handed in again.
    """
    own = request.dialect == DIALECT
    if "audio" in request.modalities:
        raise Unsupported("OpenAI responses do not speak: ask for text, or a model behind chat completions")
    if request.choices > 1:
        raise Unsupported("OpenAI responses give one answer at a time", param="n")
    if request.previous is not None and not own:
        raise Unsupported(f"the conversation {request.previous!r} is kept by the provider that gave it; send its turns")
    body: dict[str, Any] = {"model": deployment}
    messages = list(request.messages)
    if messages and (instructions := _instructions(messages[0])) is not None:
        body["instructions"] = instructions
        del messages[0]
    items = list(written_items(messages))
    if items or not (own or request.previous):
        body["input"] = items
    body |= {key: value for key, value in _settings(request, own=own) if value is not None}
    extra: Mapping[str, Raw] = request.extra if own else {}
    for key, raw in extra.items():
        body[key] = _understood(raw) | body[key] if key in ("text", "reasoning") and key in body else raw
    if request.stream:
        body["stream"] = True
    return _encode(body)


def _instructions(message: Message) -> str | None:
    """The text of a message that says nothing else, where it can stand above the conversation."""
    match message:
        case Message(role="system", parts=(Text(text=text),)):
            return text
        case _:
            return None


def _understood(raw: Raw) -> dict[str, Any]:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _settings(request: Request, *, own: bool) -> Iterator[tuple[str, object]]:
    if request.tools:
        yield "tools", written_tools(request.tools, own=own)
        yield "tool_choice", written_choice(request.tool_choice)
        yield "parallel_tool_calls", request.parallel_tool_calls
    if request.structure is not None:
        yield "text", {"format": written_format(request.structure)}
    thinking = effort(request)
    if thinking is not None:
        yield "reasoning", {"effort": thinking}
    yield "max_output_tokens", request.max_output
    yield "temperature", request.temperature
    yield "top_p", request.top_p
    yield "top_logprobs", request.top_logprobs
    yield "user", request.user
    if own:
        if "conversation" not in request.extra:
            yield "previous_response_id", request.previous
        return
    yield "store", False
    included = ([_LOGPROBS] if request.logprobs else []) + ([_SEALED] if thinking not in (None, "none") else [])
    yield "include", included or None


def written_tools(tools: Sequence[Tool | Opaque], *, own: bool) -> list[object]:
    """The tools as this dialect lists them; where it says nothing about `strict`, this dialect means yes."""
    written: list[object] = []
    for tool in tools:
        if isinstance(tool, Opaque):
            written.append(foreign(tool))
            continue
        strict = tool.strict if own or tool.strict is not None else False
        parameters = None if tool.parameters is None else dict(tool.parameters)
        function = msgspec.to_builtins(_Function(tool.name, tool.description, parameters, strict))
        written.append({"type": "function", **function} | ({} if own else {"parameters": parameters}))
    return written


def written_format(structure: Schema | None) -> dict[str, Any]:
    """The structure of the answer as `text.format` says it."""
    if structure is None:
        return {"type": "text"}
    if structure.schema is None:
        return {"type": "json_object"}
    known = {"description": structure.description, "strict": structure.strict}
    said = {key: value for key, value in known.items() if value is not None}
    return {"type": "json_schema", "name": structure.name, "schema": dict(structure.schema), **said}


def written_choice(choice: ToolChoice | None) -> object:
    """The choice of tools as this dialect says it."""
    if choice is None:
        return None
    return {"type": "function", "name": choice.name} if choice.mode == "named" else choice.mode
