"""Requests of Google's generateContent, read from callers and written to providers.

Longer than 400 lines, because a request of Google's is read and written here, field by field, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.faults import invalid
from dirigent.dialects.google_generate.conversation import (
    WireContent,
    listed,
    read_conversation,
    written_conversation,
)
from dirigent.dialects.google_generate.generations import Generation
from dirigent.dialects.google_generate.names import in_camel_case
from dirigent.dialects.google_generate.schemas import as_json_schema, understood
from dirigent.dialects.google_generate.thoughts import DIALECT, FOREIGN
from dirigent.dialects.late import LateMessages
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.thinking import effort

__all__ = ["AS_LIST", "counted", "read_request", "splice", "unsaid", "write_request"]

AS_LIST: Final = "$alt"
"""In `extra`: the caller wants the stream as one JSON list, as Google sends it to who does not ask for events."""

_PATH = re.compile(r"/models/([^?]+):(generateContent|streamGenerateContent|countTokens)(?:\?(.*))?")
_FOREIGN = re.compile(rb'"thought_?[sS]ignature"\s*:\s*"' + FOREIGN.encode())
"""What the body of a request holds wherever there is a thought that another provider has sealed."""
_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
"""Tokens of thought for an effort, as Google publishes them for its own OpenAI-compatible endpoint."""
_LEVELS: Final = ("minimal", "low", "medium", "high")
_DYNAMIC: Final = -1


class _Thinking(msgspec.Struct, rename="camel"):
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Generation(msgspec.Struct, rename="camel"):
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    stop_sequences: list[str] | None = None
    candidate_count: Annotated[int, Meta(ge=1)] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    thinking_config: _Thinking | None = None


class _Calling(msgspec.Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _Calling | None = None


class _Declaration(msgspec.Struct, rename="camel"):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Body(msgspec.Struct, rename="camel"):
    contents: Raw = NULL
    system_instruction: Raw = NULL
    tools: Raw = NULL
    tool_config: Raw = NULL
    generation_config: Raw = NULL
    generate_content_request: Raw = NULL


class _Asked(NamedTuple):
    """What the path of a call says."""

    model: str
    method: str
    query: str


_UNDERSTOOD = frozenset(("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"))
_SAID = frozenset(field.encode_name for field in msgspec.structs.fields(_Generation))
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_content = msgspec.json.Decoder(WireContent)
_generation = msgspec.json.Decoder(_Generation)
_tool_config = msgspec.json.Decoder(_ToolConfig)
_declarations = msgspec.json.Decoder(list[_Declaration])
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes, path: str) -> Request:
    """The request in `body`, whose model and manner `path` names; a query behind it says how a stream is wanted.

    Raises Invalid with the field at fault; the contents are looked at when somebody reads them.
    """
    asked = _asked(path)
    try:
        fields = _fields.decode(body)
        plain = in_camel_case(body)
        named = fields if plain is body else _fields.decode(plain)
        read = _body.decode(plain)
        if asked.method == "countTokens" and read.generate_content_request != NULL:
            plain = bytes(read.generate_content_request)
            named, read = _fields.decode(plain), _body.decode(plain)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    system = _read(_content, read.system_instruction, "systemInstruction")
    contents = _contents(read.contents)
    extra = {key: raw for key, raw in named.items() if key not in _UNDERSTOOD}
    generation = _read_generation(read.generation_config, extra)
    choice, allowed = _read_choice(read.tool_config, extra)
    thinking = generation.thinking_config or _Thinking()
    stream = asked.method == "streamGenerateContent"
    as_list = stream and "alt=sse" not in asked.query.split("&")
    if as_list:
        extra[AS_LIST] = Raw(b'"json"')
    return Request(
        model=asked.model,
        messages=LateMessages(lambda: read_conversation(system, contents)),
        dialect=DIALECT,
        tools=tuple(_read_tools(read.tools, allowed)),
        tool_choice=choice,
        structure=_structure(generation),
        max_output=generation.max_output_tokens,
        temperature=generation.temperature,
        top_p=generation.top_p,
        top_k=None if generation.top_k is None else int(generation.top_k),
        stop=tuple(generation.stop_sequences or ()),
        seed=generation.seed,
        choices=generation.candidate_count or 1,
        logprobs=generation.response_logprobs is True,
        top_logprobs=generation.logprobs,
        presence_penalty=generation.presence_penalty,
        frequency_penalty=generation.frequency_penalty,
        reasoning_effort=thinking.thinking_level.lower() if thinking.thinking_level else None,
        reasoning_budget=thinking.thinking_budget,
        modalities=tuple(each.lower() for each in generation.response_modalities or ()),
        stream=stream,
        include_usage=True,  # this dialect always tells it
        extra=extra,
        wire=None if as_list else Wire(DIALECT, body, fields),
    )


def _asked(path: str) -> _Asked:
    found = _PATH.search(path)
    if found is None:
        raise Invalid("the path names a model and what is wanted of it: /v1beta/models/NAME:generateContent")
    return _Asked(unquote(found[1]), found[2], found[3] or "")


def _read(decoder: msgspec.json.Decoder[Any], raw: Raw, where: str) -> Any:
    if raw == NULL:
        return None
    try:
        return decoder.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, where) from None


def _contents(raw: Raw) -> Sequence[WireContent]:
    try:
        each = listed(raw)
    except UNREADABLE as fault:
        raise invalid(fault, "contents") from None
    if not each:
        raise Invalid("contents: this field is missing", param="contents")
    return [_read(_content, one, f"contents[{index}]") for index, one in enumerate(each)]


def _read_generation(raw: Raw, extra: dict[str, Raw]) -> _Generation:
    """How to answer; what our own words cannot hold of it goes into `extra`."""
    read: _Generation = _read(_generation, raw, "generationConfig") or _Generation()
    if raw == NULL:
        return read
    rest: dict[str, Any] = {key: each for key, each in _fields.decode(raw).items() if key not in _SAID}
    if read.response_mime_type not in (None, "application/json"):
        rest["responseMimeType"] = read.response_mime_type
    if read.thinking_config is not None:
        thinking = _any.decode(raw)["thinkingConfig"]
        if others := {key: raw for key, raw in thinking.items() if key not in ("thinkingBudget", "thinkingLevel")}:
            rest["thinkingConfig"] = others
    if rest:
        extra["generationConfig"] = Raw(_encode(rest))
    return read


def _read_choice(raw: Raw, extra: dict[str, Raw]) -> tuple[ToolChoice | None, Sequence[str]]:
    """Which function to call, and the only ones that may be."""
    read: _ToolConfig = _read(_tool_config, raw, "toolConfig") or _ToolConfig()
    calling = read.function_calling_config or _Calling()
    allowed = calling.allowed_function_names or ()
    rest = {} if raw == NULL else _any.decode(raw)
    kept = rest.pop("functionCallingConfig", None) or {}
    mode = calling.mode or "AUTO"
    unsaid = {key: raw for key, raw in kept.items() if key not in ("mode", "allowedFunctionNames")}
    if mode == "VALIDATED":
        unsaid["mode"] = mode
    if unsaid:
        rest["functionCallingConfig"] = unsaid
    if rest:
        extra["toolConfig"] = Raw(_encode(rest))
    match mode:
        case "ANY" if len(allowed) == 1:
            return ToolChoice("named", allowed[0]), ()
        case "ANY":
            return ToolChoice("required"), allowed
        case "NONE":
            return ToolChoice("none"), ()
        case "AUTO" if calling.mode is not None:
            return ToolChoice("auto"), ()
        case "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED":
            return None, allowed if mode == "VALIDATED" else ()
        case _:
            where = "toolConfig.functionCallingConfig.mode"
            raise Invalid(f"{where}: one of AUTO, ANY, NONE and VALIDATED, not {mode!r}", param=where)


def _read_tools(raw: Raw, allowed: Sequence[str]) -> Iterator[Tool | Opaque]:
    try:
        for index, each in enumerate(listed(raw)):
            fields = _fields.decode(each)
            declared = fields.pop("functionDeclarations", NULL)
            if declared != NULL:
                yield from _read_functions(declared, f"tools[{index}].functionDeclarations", allowed)
            if fields:  # a tool of Google's own, such as its search
                yield Opaque(DIALECT, _encode(fields), "tools")
    except UNREADABLE as fault:
        raise invalid(fault, "tools") from None


def _read_functions(raw: Raw, where: str, allowed: Sequence[str]) -> Iterator[Tool]:
    for one in _read(_declarations, raw, where):
        if allowed and one.name not in allowed:
            continue
        schema = one.parameters_json_schema
        if schema is None and one.parameters is not None:
            schema = as_json_schema(one.parameters)
        yield Tool(one.name, one.description, schema)


def _structure(asked: _Generation) -> Schema | None:
    if asked.response_mime_type != "application/json":
        return None
    if asked.response_json_schema is not None:
        return Schema(asked.response_json_schema)
    return Schema(None if asked.response_schema is None else as_json_schema(asked.response_schema))


# --- write ------------------------------------------------------------------------------------------------------------


def splice(wire: Wire) -> bytes:
    """The caller's bytes, for the model is named by the path alone; without thoughts that another provider sealed."""
    if _FOREIGN.search(wire.body) is None:
        return wire.body
    body = msgspec.json.decode(wire.body)
    for content in body.get("contents") or ():
        parts = content.get("parts")
        if isinstance(parts, list):
            content["parts"] = [part for part in parts if not _is_foreign(part)]
    body["contents"] = [content for content in body["contents"] if content.get("parts") != []]
    return _encode(body)


def _is_foreign(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    signature = part.get("thoughtSignature") or part.get("thought_signature")
    return isinstance(signature, str) and signature.startswith(FOREIGN)


def counted(body: bytes, deployment: str) -> bytes:
    """What is sent to have the tokens of a request counted: instructions and tools count only within a request."""
    fields = _fields.decode(in_camel_case(body))
    inner = fields.get("generateContentRequest", NULL)
    if inner != NULL:
        fields = _fields.decode(inner)
    elif fields.keys() <= {"contents"}:
        return body
    asked = {key: raw for key, raw in fields.items() if key != "model"}
    return _encode({"generateContentRequest": {"model": f"models/{deployment}", **asked}})


def write_request(request: Request, generation: Generation) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported where this dialect cannot say what is asked."""
    own = request.dialect == DIALECT
    _refuse(request, generation, own=own)
    system, contents = written_conversation(request.messages, generation, own=own)
    body: dict[str, Any] = {
        "systemInstruction": {"parts": system} if system else None,
        "contents": contents,
        "tools": list(_written_tools(request.tools, own=own)) or None,
        "toolConfig": _written_choice(request),
        "generationConfig": _written_generation(request, generation, own=own) or None,
    }
    written = {key: value for key, value in body.items() if value is not None}
    if own:
        for key, raw in request.extra.items():
            if key != AS_LIST:
                written[key] = _merged(written[key], _any.decode(raw)) if key in written else raw
    return _encode(written)


def _refuse(request: Request, generation: Generation, *, own: bool) -> None:
    if request.job is not None or request.task != "chat":
        raise Unsupported("this provider only holds conversations")
    if request.previous is not None:
        raise Unsupported("this provider keeps no earlier answers to go on from", param="previous_response_id")
    if not own and any(each != "text" for each in request.modalities):
        raise Unsupported("this provider is asked for text alone", param="modalities")
    if not own and request.structure is not None and request.tools and not generation.formats_beside_tools:
        raise Unsupported("this provider gives no structured answers where it has tools", param="response_format")


def _merged(ours: Any, rest: Any) -> Any:
    if not (isinstance(ours, dict) and isinstance(rest, dict)):
        return ours
    return {**rest, **{key: _merged(value, rest.get(key)) for key, value in ours.items()}}


def _written_tools(tools: Sequence[Tool | Opaque], *, own: bool) -> Iterator[Any]:
    declared = [_declaration(tool, own=own) for tool in tools if isinstance(tool, Tool)]
    if declared:
        yield {"functionDeclarations": declared}
    for tool in tools:
        if isinstance(tool, Opaque):
            if tool.dialect != DIALECT:
                raise Unsupported(
                    f"a tool that only the dialect {tool.dialect!r} knows cannot be sent to this provider"
                )
            yield Raw(tool.raw)


def _declaration(tool: Tool, *, own: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.parameters is not None:
        written["parametersJsonSchema"] = dict(tool.parameters) if own else understood(tool.parameters)
    return written


def _written_choice(request: Request) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
    calling: dict[str, Any] = {"mode": modes[choice.mode]}
    if choice.mode == "named":
        calling["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": calling}


def _written_generation(request: Request, generation: Generation, *, own: bool) -> dict[str, Any]:
    structure = request.structure
    schema = None if structure is None else structure.schema
    written: dict[str, Any] = {
        "maxOutputTokens": request.max_output,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": list(request.stop) or None,
        "candidateCount": request.choices if request.choices > 1 else None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "responseLogprobs": request.logprobs or None,
        "logprobs": request.top_logprobs,
        "responseMimeType": None if structure is None else "application/json",
        "responseJsonSchema": None if schema is None else dict(schema) if own else understood(schema),
        "responseModalities": [each.upper() for each in request.modalities] or None if own else None,
        "thinkingConfig": _asked_thought(request) if own else _thought(request, generation),
    }
    return {key: value for key, value in written.items() if value is not None}


def _asked_thought(request: Request) -> dict[str, Any] | None:
    """How to think, as the caller said it in this dialect."""
    asked: dict[str, Any] = {}
    if request.reasoning_budget is not None:
        asked["thinkingBudget"] = request.reasoning_budget
    if request.reasoning_effort is not None:
        asked["thinkingLevel"] = request.reasoning_effort.upper()
    return asked or None


def _thought(request: Request, generation: Generation) -> dict[str, Any] | None:
    """How to think, for what another dialect asked; what is thought is told, as other providers do."""
    word, budget = request.reasoning_effort, request.reasoning_budget
    if generation.thinking == "none" or (word is None and budget is None):
        return None
    if generation.thinking == "budget":
        tokens = _BUDGETS.get(word, _DYNAMIC) if word is not None else budget
        if tokens is None or tokens < 0:
            tokens = _DYNAMIC
        elif tokens < generation.least_budget:
            tokens = generation.least_budget
        return {"thinkingBudget": tokens, **({"includeThoughts": True} if tokens else {})}
    asked = effort(request)
    if asked is None:
        return {"includeThoughts": True}
    if asked in ("none", "minimal"):
        return {"thinkingLevel": generation.least_level.upper()}
    return {"thinkingLevel": (asked if asked in _LEVELS else "high").upper(), "includeThoughts": True}


def unsaid(request: Request, generation: Generation) -> Iterator[str]:
    """The settings that `write_request` leaves out."""
    if generation.thinking == "none":
        yield from (name for name in ("reasoning_effort", "reasoning_budget") if getattr(request, name) is not None)
    if request.parallel_tool_calls is False:
        yield "parallel_tool_calls"
    if request.user is not None:
        yield "user"
    if any(message.name is not None for message in request.messages if message.role != "tool"):
        yield "name"
    yield from request.extra
