"""Requests of OpenAI chat completions, read from callers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dirigent.core.errors import Invalid
from dirigent.core.messages import Message, Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.abridged import Abridged, AbridgedFields
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.late import Late
from dirigent.dialects.openai_chat.messages import (
    PlainMessage,
    WireMessage,
    are_plain,
    cache_mark,
    late_messages,
    read_messages,
)
from dirigent.dialects.openai_chat.thoughts import DIALECT
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["read_request"]

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    function: _Function | UnsetType = UNSET
    type: str = "function"
    cache_control: Raw | UnsetType = UNSET


class _Object(msgspec.Struct):
    """Any object, unread."""


class _PlainFunction(msgspec.Struct):
    name: Name
    description: str | None = None
    parameters: _Object | None = None
    strict: bool | None = None


class _PlainTool(msgspec.Struct):
    """A function, its parameters unread."""

    function: _PlainFunction | UnsetType = UNSET
    type: str = "function"
    cache_control: Raw | UnsetType = UNSET


class _AnyTool(msgspec.Struct):
    type: str = "function"


class _JsonSchema(msgspec.Struct):
    name: str = "answer"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None
    schema: dict[str, Any] | None = None
    """Where llama.cpp and some vendors take the schema beside `json_object`."""


class _Body(msgspec.Struct):
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    model: Name | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = NULL
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0)] | None = None
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


class _PlainBody(_Body):
    """A body in whose messages and tools nothing needs a closer look."""

    messages: Annotated[list[PlainMessage], Meta(min_length=1)]  # type: ignore[assignment]  # a closer kind of it
    tools: list[_PlainTool] | None = None  # type: ignore[assignment]


_UNDERSTOOD = frozenset(_Body.__struct_fields__) - {"top_k"}  # some of what servers take there is beyond our own words
_USUAL = frozenset(
    ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stream", "stream_options")
)
_LARGE = 8_192
"""The bytes from which on a body may hold a picture or a document."""
_body = msgspec.json.Decoder(_Body)
_plain_body = msgspec.json.Decoder(_PlainBody)
_fields = msgspec.json.Decoder(dict[str, Raw])
_tools = msgspec.json.Decoder(list[Raw])
_tool = msgspec.json.Decoder(_Tool)
_function = msgspec.json.Decoder(_Function)
_whole_number = msgspec.json.Decoder(Annotated[int, Meta(ge=1)])
_any_tool = msgspec.json.Decoder(_AnyTool)
_choice_of_tool = msgspec.json.Decoder(str | dict[str, Any])


def read_request(body: bytes) -> Request:
    """The request in `body`. Raises Invalid with the path of the field at fault, as the caller wrote it."""
    if len(body) >= _LARGE and (abridged := Abridged.of(body)) is not None:
        request = _read_abridged(body, abridged)
        if request is not None:
            return request
    try:
        fields = _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    plain = _plain(body)
    if plain is not None:
        return _request(plain, fields, late_messages(plain.messages, body), Wire(DIALECT, body, fields))
    try:
        read = _body.decode(body)
    except UNREADABLE as fault:
        raise invalid(fault) from None
    return _request(read, fields, read_messages(read.messages, body), Wire(DIALECT, body, fields))


def _read_abridged(body: bytes, abridged: Abridged) -> Request | None:
    """The request, whose messages are only looked through; None where they need a closer look, or have a fault."""
    try:
        fields = _fields.decode(abridged.text)
    except UNREADABLE:
        return None
    if not abridged.holds_all(fields.get("messages", NULL)) or (read := _plain(abridged.text)) is None:
        return None
    messages = late_messages(read.messages, body, brief=abridged.text)
    return _request(read, fields, messages, Wire(DIALECT, body, AbridgedFields(abridged, fields, "messages")))


def _plain(text: bytes) -> _PlainBody | None:
    """The body as nearly all are, read in one go; None where something needs a closer look, or is at fault."""
    try:
        read = _plain_body.decode(text)
    except UNREADABLE:
        return None
    if read.tools and not all(tool.type == "function" and tool.function is not UNSET for tool in read.tools):
        return None
    return read if are_plain(read.messages) else None


def _request(read: _Body, fields: Mapping[str, Raw], messages: Sequence[Message], wire: Wire) -> Request:
    if fields.keys() <= _USUAL:  # most requests say no more than this, and each field passed on costs time
        return Request(
            model=read.model or "",
            messages=messages,
            dialect=DIALECT,
            max_output=read.max_completion_tokens if read.max_completion_tokens is not None else read.max_tokens,
            temperature=read.temperature,
            stream=read.stream is True,
            include_usage=read.stream_options is not None and read.stream_options.include_usage is True,
            wire=wire,
        )
    extra = {} if fields.keys() <= _UNDERSTOOD else {key: fields[key] for key in fields.keys() - _UNDERSTOOD}
    if (top_k := _top_k(read.top_k)) is not None:
        extra = {key: raw for key, raw in extra.items() if key != "top_k"}
    choice = _read_choice(read.tool_choice if read.tools or read.functions is None else _modern(read.function_call))
    if choice is None and read.tool_choice != NULL:  # beyond our own words
        extra["tool_choice"] = read.tool_choice
    return Request(
        model=read.model or "",
        messages=messages,
        dialect=DIALECT,
        tools=_told_tools(read, fields),
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
        wire=wire,
    )


def _told_tools(read: _Body, fields: Mapping[str, Raw]) -> Sequence[Tool | Opaque]:
    """The tools; where nothing of them needs a closer look, they are read when somebody asks for them."""
    if not read.tools:
        return tuple(_read_functions(read.functions or ()))
    raw = fields["tools"]
    if isinstance(read, _PlainBody) and bytes(raw).isascii():  # else some of it may be no text at all
        return Late(lambda: _read_tools(_tools.decode(raw)), len(read.tools))
    return tuple(_read_tools(_tools.decode(raw)))


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
        choice = _choice_of_tool.decode(raw)
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
