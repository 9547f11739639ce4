"""Requests of OpenAI chat completions, read from callers and written to providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, overload

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Role,
    Schema,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Wire,
)

__all__ = ["DIALECT", "read_request", "splice", "write_request"]

DIALECT = "openai_chat"

Name = Annotated[str, Meta(min_length=1, max_length=256)]


_NULL = Raw(b"null")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct, omit_defaults=True):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: Literal["function"] = "function"


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _CalledFunction
    type: str = "function"


class _Reference(msgspec.Struct):
    id: str


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Raw] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _CalledFunction | None = None
    refusal: str | None = None
    audio: _Reference | None = None


class _JsonSchema(msgspec.Struct, omit_defaults=True):
    name: str = "answer"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Body(msgspec.Struct):
    model: Name
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = _NULL
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


_UNDERSTOOD = frozenset(_Body.__struct_fields__)
_PLAIN_ROLES = frozenset(("system", "developer", "user"))
"""Roles whose messages are well-formed as soon as their content is a text."""
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes) -> Request:
    """The request in `body`. Raises Invalid with the path of the field at fault, as the caller wrote it."""
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    try:
        read = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _invalid(fault) from None
    return Request(
        model=read.model,
        messages=_Messages(read.messages),
        tools=tuple(_read_tools(read.tools)) if read.tools else (),
        tool_choice=_read_choice(read.tool_choice),
        parallel_tool_calls=read.parallel_tool_calls,
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
        user=read.user,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        extra={} if fields.keys() <= _UNDERSTOOD else {key: fields[key] for key in fields.keys() - _UNDERSTOOD},
        wire=Wire(DIALECT, body, fields),
    )


def _invalid(fault: Exception, prefix: str = "") -> Invalid:
    """msgspec's words with the path that it found, in the form in which OpenAI names parameters."""
    message, found, place = str(fault).partition(" - at `$")
    path = prefix + place.rstrip("`")
    param = path.removeprefix(".") or None
    if not found and "missing required field" in message:
        param = message.rsplit("`", 2)[-2]
    return Invalid(f"{param}: {message}" if param else message, param=param)


class _Messages(Sequence[Message]):
    """The messages of a request, checked at once, turned into our own words when somebody reads them.

    On the verbatim path nobody does, and that is most of all requests.
    """

    def __init__(self, wire: Sequence[_Message]) -> None:
        self._wire = wire
        self._read: tuple[Message, ...] | None = None
        if not all(type(message.content) is str and message.role in _PLAIN_ROLES for message in wire):
            self._all()

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._wire)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all())

    def _all(self) -> tuple[Message, ...]:
        if self._read is None:
            self._read = tuple(_message(message, index) for index, message in enumerate(self._wire))
        return self._read


def _message(message: _Message, index: int) -> Message:
    where = f"messages[{index}]"
    role: Role = "tool" if message.role == "function" else message.role
    parts = list(_parts(message, where))
    if message.refusal is not None:
        parts.append(Refusal(message.refusal))
    if message.audio is not None:
        parts.append(Audio(reference=message.audio.id))
    calls = message.tool_calls or ()
    parts += [ToolCall(call.id, call.function.name, call.function.arguments) for call in calls]
    if message.function_call is not None:
        parts.append(ToolCall("", message.function_call.name, message.function_call.arguments))
    if role == "tool" and message.role == "tool" and message.tool_call_id is None:
        raise Invalid(
            f"{where}.tool_call_id: a message of role `tool` names the call that it answers",
            param=f"{where}.tool_call_id",
        )
    if message.content is None and role != "assistant":
        raise Invalid(f"{where}.content: a message of role `{message.role}` has content", param=f"{where}.content")
    return Message(role, tuple(parts), message.name, message.tool_call_id)


def _parts(message: _Message, where: str) -> Iterator[Part]:
    if isinstance(message.content, str):
        yield Text(message.content)
        return
    for index, raw in enumerate(message.content or ()):
        yield _part(raw, f"{where}.content[{index}]")


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _InputAudio(msgspec.Struct):
    data: str
    format: str


class _FileRef(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    image_url: _ImageUrl | UnsetType = UNSET
    input_audio: _InputAudio | UnsetType = UNSET
    file: _FileRef | UnsetType = UNSET


_part_decoder = msgspec.json.Decoder(_Part)


def _part(raw: Raw, where: str) -> Part:
    try:
        part = _part_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _invalid(fault, where) from None
    match part.type, part:
        case "text", _Part(text=str(text)):
            return Text(text)
        case "image_url", _Part(image_url=_ImageUrl(url=url, detail=detail)):
            return Image(url, detail)
        case "input_audio", _Part(input_audio=_InputAudio(data=data, format=sound)):
            return Audio(data, sound)
        case "file", _Part(file=_FileRef(file_data=data, file_id=reference, filename=name)):
            return File(data, name, reference)
        case "refusal", _Part(refusal=str(text)):
            return Refusal(text)
        case ("text" | "image_url" | "input_audio" | "file" | "refusal") as kind, _:
            raise Invalid(f"{where}: a part of type `{kind}` has a field `{kind}`", param=f"{where}.{kind}")
        case _:
            return Opaque(DIALECT, bytes(raw))


def _read_tools(tools: Sequence[Raw]) -> Iterator[Tool]:
    for index, raw in enumerate(tools):
        try:
            function = _tool.decode(raw).function
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise _invalid(fault, f"tools[{index}]") from None
        yield Tool(function.name, function.description, function.parameters, function.strict)


def _read_choice(raw: Raw) -> ToolChoice | None:
    if raw == _NULL:
        return None
    try:
        choice: str | dict[str, Any] = msgspec.json.decode(raw, type=str | dict[str, Any])
        match choice:
            case "auto" | "none" | "required":
                return ToolChoice(choice)
            case {"function": {"name": str(name)}}:
                return ToolChoice("named", name)
            case {"type": "allowed_tools" | "custom"}:
                return None  # beyond our own words; the verbatim path and `extra` carry it
    except msgspec.DecodeError:
        pass
    raise Invalid(
        "tool_choice: one of `none`, `auto`, `required`, or an object that names a function", param="tool_choice"
    )


def _structure(format: _Format | None) -> Schema | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return Schema()
    asked = format.json_schema
    if asked is None or asked.schema is None:
        raise Invalid("response_format.json_schema.schema: the schema is missing", param="response_format.json_schema")
    return Schema(asked.schema, asked.name, asked.description, asked.strict)


# --- write ------------------------------------------------------------------------------------------------------------


def splice(wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
    """The caller's bytes with the deployment's name and, in a stream, usage asked for; nothing else is touched."""
    fields = dict(wire.fields)
    fields["model"] = Raw(_encode(deployment))
    if report_usage:
        given = fields.get("stream_options")
        options: dict[str, Raw] = (
            msgspec.json.decode(given, type=dict[str, Raw] | None) or {} if given is not None else {}
        )
        options["include_usage"] = Raw(b"true")
        fields["stream_options"] = Raw(_encode(options))
    return _encode(fields)


def write_request(
    request: Request, deployment: str, *, output_field: str, report_usage: bool, adds: Mapping[str, object]
) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported for parts that only another dialect knows."""
    body: dict[str, Any] = {
        "model": deployment,
        "messages": [_written(message) for message in request.messages],
        **{key: value for key, value in _settings(request, output_field) if value is not None},
        **request.extra,
        **adds,
    }
    if request.stream:
        body["stream"] = True
        if report_usage:
            body["stream_options"] = {"include_usage": True}
    return _encode(body)


def _settings(request: Request, output_field: str) -> Iterator[tuple[str, object]]:
    if request.tools:
        yield (
            "tools",
            [
                _Tool(_Function(tool.name, tool.description, _plain(tool.parameters), tool.strict))
                for tool in request.tools
            ],
        )
        yield "tool_choice", _choice(request.tool_choice)
        yield "parallel_tool_calls", request.parallel_tool_calls
    if (structure := request.structure) is not None:
        schema = structure.schema
        asked = (
            None
            if schema is None
            else _JsonSchema(structure.name, structure.description, dict(schema), structure.strict)
        )
        yield (
            "response_format",
            _Format("json_object")
            if asked is None
            else {"type": "json_schema", "json_schema": {"name": asked.name, **msgspec.to_builtins(asked)}},
        )
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
    yield "reasoning_effort", request.reasoning_effort
    yield "modalities", list(request.modalities) or None
    yield "user", request.user


def _plain(parameters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if parameters is None else dict(parameters)


def _choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


def _written(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
    sounds = [part for part in message.parts if isinstance(part, Audio) and part.reference]
    content = [part for part in message.parts if not isinstance(part, ToolCall | Refusal) and part not in sounds]
    if all(isinstance(part, Text) for part in content) and len(content) < 2:
        written["content"] = (
            content[0].text if content and isinstance(content[0], Text) else None if calls or refusals or sounds else ""
        )
    else:
        written["content"] = [_written_part(part) for part in content]
    if message.name is not None:
        written["name"] = message.name
    if message.call is not None:
        written["tool_call_id"] = message.call
    if calls:
        written["tool_calls"] = [_Call(call.id, _CalledFunction(call.name, call.arguments)) for call in calls]
    if refusals:
        written["refusal"] = "".join(refusals)
    if sounds:
        written["audio"] = {"id": sounds[0].reference}
    return written


def _written_part(part: Part) -> object:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(url=url, detail=detail):
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data=data, format=sound):
            return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
        case File(data=data, name=name, reference=reference):
            known = {"file_data": data, "filename": name, "file_id": reference}
            return {"type": "file", "file": {key: value for key, value in known.items() if value is not None}}
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return Raw(raw)
        case _:
            raise Unsupported(
                f"a part that only the dialect {getattr(part, 'dialect', '?')!r} knows cannot be sent to this provider"
            )
