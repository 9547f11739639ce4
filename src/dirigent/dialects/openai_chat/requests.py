"""Requests of OpenAI chat completions, read from callers and written to providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.openai_chat.messages import (
    Messages,
    WireMessage,
    at_once,
    cache_mark,
    foreign,
    written_messages,
)
from dirigent.dialects.openai_chat.takes import Takes
from dirigent.dialects.openai_chat.thoughts import DIALECT
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.thinking import effort

__all__ = ["OutputField", "read_request", "splice", "unsaid", "write_request"]

OutputField = Literal["max_tokens", "max_completion_tokens"]
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct, omit_defaults=True):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    function: _Function | UnsetType = UNSET
    type: str = "function"
    cache_control: Raw | UnsetType = UNSET


class _AnyTool(msgspec.Struct):
    type: str = "function"


class _JsonSchema(msgspec.Struct, omit_defaults=True):
    name: str = "answer"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None
    schema: dict[str, Any] | None = None
    """Where llama.cpp and some vendors take the schema beside `json_object`."""


class _Body(msgspec.Struct):
    model: Name
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = NULL
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    user: str | None = None
    functions: list[Raw] | None = None
    function_call: Raw = NULL
    top_k: Raw = NULL


_UNDERSTOOD = frozenset(_Body.__struct_fields__) - {"top_k"}  # some of what servers take there is beyond our own words
_USUAL = frozenset(
    ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stream", "stream_options")
)
_LARGE = 65_536
"""The bytes from which on a body most likely holds a picture or a document."""
_SHORTEST = Raw(b'[{"role":"user"}]')
"""What stands for messages that have been read already."""
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)
_function = msgspec.json.Decoder(_Function)
_whole_number = msgspec.json.Decoder(Annotated[int, Meta(ge=1)])
_any_tool = msgspec.json.Decoder(_AnyTool)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes) -> Request:
    """The request in `body`. Raises Invalid with the path of the field at fault, as the caller wrote it."""
    try:
        fields = _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    try:
        read = _read_body(body, fields)
    except UNREADABLE as fault:
        raise invalid(fault) from None
    if fields.keys() <= _USUAL:  # most requests say no more than this, and each field passed on costs time
        return Request(
            model=read.model,
            messages=Messages(read.messages),
            dialect=DIALECT,
            max_output=read.max_completion_tokens if read.max_completion_tokens is not None else read.max_tokens,
            temperature=read.temperature,
            stream=read.stream is True,
            include_usage=read.stream_options is not None and read.stream_options.include_usage is True,
            wire=Wire(DIALECT, body, fields),
        )
    extra = {} if fields.keys() <= _UNDERSTOOD else {key: fields[key] for key in fields.keys() - _UNDERSTOOD}
    if (top_k := _top_k(read.top_k)) is not None:
        extra = {key: raw for key, raw in extra.items() if key != "top_k"}
    choice = _read_choice(read.tool_choice if read.tools or read.functions is None else _modern(read.function_call))
    if choice is None and read.tool_choice != NULL:  # beyond our own words
        extra["tool_choice"] = read.tool_choice
    return Request(
        model=read.model,
        messages=Messages(read.messages),
        dialect=DIALECT,
        tools=tuple(_read_tools(read.tools)) if read.tools else tuple(_read_functions(read.functions or ())),
        tool_choice=choice,
        parallel_tool_calls=False if read.functions and not read.tools else read.parallel_tool_calls,
        structure=_structure(read.response_format),
        max_output=read.max_completion_tokens if read.max_completion_tokens is not None else read.max_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        stop=() if read.stop is None else (read.stop,) if isinstance(read.stop, str) else tuple(read.stop),
        seed=read.seed,
        choices=read.n or 1,
        logprobs=bool(read.logprobs),
        top_logprobs=read.top_logprobs,
        presence_penalty=read.presence_penalty,
        frequency_penalty=read.frequency_penalty,
        reasoning_effort=read.reasoning_effort,
        modalities=tuple(read.modalities) if read.modalities else (),
        top_k=top_k,
        user=read.user,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        extra=extra,
        wire=Wire(DIALECT, body, fields),
    )


def _read_body(body: bytes, fields: Mapping[str, Raw]) -> _Body:
    """What our own words know of the body; a large one is gone over as rarely as possible."""
    if len(body) < _LARGE or (messages := at_once(fields.get("messages", NULL))) is None:
        return _body.decode(body)
    read = _body.decode(_encode({**fields, "messages": _SHORTEST}))
    read.messages = list(messages)
    return read


def _read_tools(tools: Sequence[Raw]) -> Iterator[Tool | Opaque]:
    for index, raw in enumerate(tools):
        try:
            tool = _tool.decode(raw)
        except UNREADABLE as fault:
            if not _of_another_kind(raw):
                raise invalid(fault, f"tools[{index}]") from None
            tool = _Tool(type="")
        if tool.type != "function":
            yield Opaque(DIALECT, bytes(raw), "tools")
            continue
        function = tool.function
        if function is UNSET:
            raise missing(f"tools[{index}].function", "a tool of type `function` names its function")
        mark = None if tool.cache_control is UNSET else cache_mark(tool.cache_control)
        yield Tool(function.name, function.description, function.parameters, function.strict, mark)


def _of_another_kind(raw: Raw) -> bool:
    """Whether this is a tool that only says `function` in some way of its own."""
    try:
        return _any_tool.decode(raw).type != "function"
    except UNREADABLE:
        return False


def _read_functions(functions: Sequence[Raw]) -> Iterator[Tool]:
    """Tools in the old form; they are told to providers in the present one, and their calls to the caller in his."""
    for index, raw in enumerate(functions):
        try:
            function = _function.decode(raw)
        except UNREADABLE as fault:
            raise invalid(fault, f"functions[{index}]") from None
        yield Tool(function.name, function.description, function.parameters)


def _modern(old: Raw) -> Raw:
    """`function_call` in the words of `tool_choice`."""
    if old == NULL or bytes(old).startswith(b'"'):
        return old
    return Raw(b'{"type":"function","function":' + bytes(old) + b"}")


def _top_k(raw: Raw) -> int | None:
    """What our own words can say of it: some servers take 0 or -1 for all there are."""
    try:
        return None if raw == NULL else _whole_number.decode(raw)
    except UNREADABLE:
        return None


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
        case {"function": {"name": str(name)}}:
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
        return Schema(format.schema)
    asked, param = format.json_schema, "response_format.json_schema"
    if asked is None or asked.schema is None:
        param = param if asked is None else f"{param}.schema"
        raise Invalid(f"{param}: the schema is missing", param=param)
    return Schema(asked.schema, asked.name, asked.description, asked.strict)


_ALL = Takes(cache_marks=True, seals=True, file_addresses=True, pictures_from_tools=True, stored_pictures=True)


# --- write ------------------------------------------------------------------------------------------------------------


def splice(
    wire: Wire, deployment: str, *, report_usage: bool, output_field: OutputField | None, stream_options: bool
) -> bytes:
    """The caller's bytes with the deployment's name, and in a stream usage asked for.

    Beyond that nothing is touched, but for what this provider would refuse the whole request for: with `output_field`
    the bound of the answer goes out under that name, and without `stream_options` they stay here.
    """
    fields = dict(wire.fields)
    fields["model"] = Raw(_encode(deployment))
    if output_field is not None:
        other = "max_tokens" if output_field == "max_completion_tokens" else "max_completion_tokens"
        if (bound := fields.pop(other, NULL)) != NULL:
            fields.setdefault(output_field, bound)
    if not stream_options:
        fields.pop("stream_options", None)
    elif report_usage:
        given = fields.get("stream_options", NULL)
        options: dict[str, Raw] = msgspec.json.decode(given, type=dict[str, Raw] | None) or {}
        options["include_usage"] = Raw(b"true")
        fields["stream_options"] = Raw(_encode(options))
    return _encode(fields)


def unsaid(request: Request, *, takes_top_k: bool) -> list[str]:
    """The settings that a provider of this dialect has no words for."""
    if request.dialect == DIALECT:
        return []
    silent = ["top_k"] if request.top_k is not None and not takes_top_k else []
    return [*silent, *sorted(request.extra)]


def write_request(
    request: Request,
    deployment: str,
    *,
    output_field: OutputField,
    report_usage: bool,
    adds: Mapping[str, object],
    takes: Takes,
    takes_top_k: bool,
) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported for what this dialect cannot say.

    A caller of this dialect knows what his provider takes: what he sent goes out again, as it would have verbatim.
    """
    if request.previous is not None:
        raise Unsupported(f"the conversation {request.previous!r} is kept by the provider that gave it; send its turns")
    own = request.dialect == DIALECT
    takes = _ALL if own else takes
    body: dict[str, Any] = {
        "model": deployment,
        "messages": list(written_messages(request.messages, takes)),
        **{key: value for key, value in _settings(request, output_field, takes) if value is not None},
        **(request.extra if own else {}),
        **adds,
    }
    if (own or takes_top_k) and request.top_k is not None:
        body.setdefault("top_k", request.top_k)
    if request.stream:
        body["stream"] = True
        if report_usage:
            body["stream_options"] = {"include_usage": True}
    return _encode(body)


def _settings(request: Request, output_field: OutputField, takes: Takes) -> Iterator[tuple[str, object]]:
    if request.tools:
        yield "tools", [_written_tool(tool, takes) for tool in request.tools]
        yield "tool_choice", _choice(request.tool_choice)
        yield "parallel_tool_calls", request.parallel_tool_calls
    if request.structure is not None:
        yield "response_format", _format(request.structure)
    yield output_field, request.max_output
    yield "temperature", request.temperature
    yield "top_p", request.top_p
    yield "stop", list(request.stop) or None
    yield "seed", request.seed
    yield "n", request.choices if request.choices > 1 else None
    yield "logprobs", True if request.logprobs else None
    yield "top_logprobs", request.top_logprobs
    yield "presence_penalty", request.presence_penalty
    yield "frequency_penalty", request.frequency_penalty
    yield "reasoning_effort", effort(request)
    yield "modalities", list(request.modalities) or None
    yield "user", request.user


def _written_tool(tool: Tool | Opaque, takes: Takes) -> object:
    if isinstance(tool, Opaque):
        return foreign(tool)
    parameters = None if tool.parameters is None else dict(tool.parameters)
    function = _Function(tool.name, tool.description, parameters, tool.strict)
    mark = {"cache_control": tool.cache} if takes.cache_marks and tool.cache is not None else {}
    return {"type": "function", "function": function, **mark}


def _format(structure: Schema) -> object:
    if structure.schema is None:
        return {"type": "json_object"}
    asked = _JsonSchema(structure.name, structure.description, dict(structure.schema), structure.strict)
    return {"type": "json_schema", "json_schema": {"name": asked.name, **msgspec.to_builtins(asked)}}


def _choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode
