"""Requests of Bedrock's Converse, read from callers and written to providers.

Longer than 400 lines, because a request of Converse is read and written here, part by part, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.bedrock_converse.answers import STOPPED_BY
from dirigent.dialects.bedrock_converse.blocks import cache_point, mark_of
from dirigent.dialects.bedrock_converse.conversation import (
    WireMessage,
    called_in,
    in_tool_loop,
    read_conversation,
    written_conversation,
)
from dirigent.dialects.bedrock_converse.families import BUDGETS, Family
from dirigent.dialects.bedrock_converse.thoughts import DIALECT, MARKS, foreign
from dirigent.dialects.faults import invalid
from dirigent.dialects.late import LateMessages
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.schemas import closed
from dirigent.dialects.thinking import effort

__all__ = ["counted", "read_request", "splice", "unsaid", "write_request"]

_PATH = re.compile(r"/model/([^?]+)/(converse|converse-stream|count-tokens)(?:\?|$)")
_LEAST_THOUGHT = 1024
_USUAL_OUTPUT = 4096
"""Tokens of an answer beside its thought, where a bound has to be set for the sake of the thought."""
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")


class _Inference(msgspec.Struct, rename="camel"):
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class _Choice(msgspec.Struct):
    auto: Raw = NULL
    any: Raw = NULL
    tool: _Named | None = None


class _Named(msgspec.Struct):
    name: str


class _ToolConfig(msgspec.Struct, rename="camel"):
    tools: list[Raw] = []
    tool_choice: _Choice | None = None


class _InputSchema(msgspec.Struct):
    json: dict[str, Any] | None = None


class _ToolSpec(msgspec.Struct, rename="camel"):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    input_schema: _InputSchema | None = None
    strict: bool | None = None


class _CachePoint(msgspec.Struct):
    ttl: str | None = None


class _Tool(msgspec.Struct, rename="camel"):
    tool_spec: _ToolSpec | None = None
    cache_point: _CachePoint | None = None


class _JsonSchema(msgspec.Struct):
    schema: str
    name: str | None = None
    description: str | None = None


class _Structure(msgspec.Struct, rename="camel"):
    json_schema: _JsonSchema


class _TextFormat(msgspec.Struct):
    structure: _Structure | None = None


class _OutputConfig(msgspec.Struct, rename="camel"):
    text_format: _TextFormat | None = None
    effort: str | None = None


class _Thinking(msgspec.Struct):
    type: str = ""
    budget_tokens: int | None = None


class _More(msgspec.Struct):
    """What is understood of the fields that are the model's own."""

    thinking: _Thinking | None = None
    top_k: int | None = None


class _Body(msgspec.Struct, rename="camel"):
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    system: list[Raw] | None = None
    inference_config: _Inference | None = None
    tool_config: _ToolConfig | None = None
    output_config: _OutputConfig | None = None
    additional_model_request_fields: Raw = NULL


class _CountedInput(msgspec.Struct):
    converse: Raw = NULL


class _CountedBody(msgspec.Struct):
    input: _CountedInput


_UNDERSTOOD = frozenset(field.encode_name for field in msgspec.structs.fields(_Body))
_body = msgspec.json.Decoder(_Body)
_fields = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)
_more = msgspec.json.Decoder(_More)
_schema = msgspec.json.Decoder(dict[str, Any])
_counted = msgspec.json.Decoder(_CountedBody)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_request(body: bytes, path: str) -> Request:
    """The request in `body`, whose model and manner `path` names.

    Raises Invalid with the field at fault; the contents of messages are looked at when somebody reads them.
    """
    asked = _PATH.search(path)
    if asked is None:
        raise Invalid("the path names a model and what is wanted of it: /model/NAME/converse")
    try:
        fields = _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None
    plain = body
    try:
        if asked[2] == "count-tokens":
            plain = bytes(_counted.decode(body).input.converse)
            fields = _fields.decode(plain)
        read = _body.decode(plain)
    except UNREADABLE as fault:
        raise invalid(fault) from None
    inference = read.inference_config or _Inference()
    output = read.output_config or _OutputConfig()
    config = read.tool_config or _ToolConfig()
    extra = {key: raw for key, raw in fields.items() if key not in _UNDERSTOOD}
    more = _read_more(read.additional_model_request_fields, extra)
    thinking = more.thinking
    system, turns = read.system or (), read.messages
    return Request(
        model=unquote(asked[1]),
        messages=LateMessages(lambda: read_conversation(system, turns)),
        dialect=DIALECT,
        tools=tuple(_read_tools(config.tools)),
        tool_choice=_read_choice(config.tool_choice),
        structure=_read_structure(output),
        max_output=inference.max_tokens,
        temperature=inference.temperature,
        top_p=inference.top_p,
        top_k=more.top_k,
        stop=tuple(inference.stop_sequences or ()),
        reasoning_effort=output.effort,
        reasoning_budget=None if thinking is None else 0 if thinking.type == "disabled" else thinking.budget_tokens,
        stream=asked[2] == "converse-stream",
        include_usage=True,  # this dialect always tells it
        extra=extra,
        wire=Wire(DIALECT, body, fields),
    )


def _read_more(raw: Raw, extra: dict[str, Raw]) -> _More:
    """What is understood of the model's own fields; the others go into `extra`."""
    if raw == NULL:
        return _More()
    try:
        more = _more.decode(raw)
        rest = _fields.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, "additionalModelRequestFields") from None
    rest.pop("top_k", None)
    if more.thinking is not None and more.thinking.type in ("enabled", "disabled"):
        del rest["thinking"]
    if rest:
        extra["additionalModelRequestFields"] = Raw(_encode(rest))
    return more


def _read_tools(tools: Sequence[Raw]) -> Iterator[Tool | Opaque]:
    read: list[Tool | Opaque] = []
    for index, raw in enumerate(tools):
        try:
            tool = _tool.decode(raw)
        except UNREADABLE as fault:
            raise invalid(fault, f"toolConfig.tools[{index}]") from None
        last = read[-1] if read else None
        if tool.tool_spec is not None:
            spec = tool.tool_spec
            schema = None if spec.input_schema is None else spec.input_schema.json
            read.append(Tool(spec.name, spec.description, schema, spec.strict))
        elif tool.cache_point is not None and isinstance(last, Tool):
            read[-1] = msgspec.structs.replace(last, cache=mark_of(tool.cache_point.ttl))
        else:
            read.append(Opaque(DIALECT, bytes(raw), "tools"))
    return iter(read)


def _read_choice(choice: _Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice("named", choice.tool.name)
    return ToolChoice("required") if choice.any != NULL else ToolChoice("auto") if choice.auto != NULL else None


def _read_structure(output: _OutputConfig) -> Schema | None:
    if output.text_format is None or output.text_format.structure is None:
        return None
    asked = output.text_format.structure.json_schema
    try:
        schema = _schema.decode(asked.schema.encode())
    except (*UNREADABLE, UnicodeEncodeError) as fault:
        raise invalid(fault, "outputConfig.textFormat.structure.jsonSchema.schema") from None
    return Schema(schema, asked.name or "answer", asked.description)


# --- write ------------------------------------------------------------------------------------------------------------


def splice(wire: Wire) -> bytes:
    """The caller's bytes, for the model is named by the path alone; without thoughts that another provider sealed."""
    if not any(mark in wire.body for mark in MARKS):
        return wire.body
    body = msgspec.json.decode(wire.body)
    for turn in body.get("messages") or ():
        turn["content"] = [block for block in turn["content"] if not _is_foreign(block)]
    body["messages"] = [turn for turn in body["messages"] if turn["content"]]
    return _encode(body)


def _is_foreign(block: Any) -> bool:
    thought = block.get("reasoningContent") if isinstance(block, dict) else None
    if not isinstance(thought, dict):
        return False
    said, redacted = thought.get("reasoningText"), thought.get("redactedContent")
    signature = said.get("signature") if isinstance(said, dict) else None
    return foreign(signature if isinstance(signature, str) else None, redacted if isinstance(redacted, str) else None)


def counted(body: bytes) -> bytes:
    """What is sent to have the tokens of a request counted: what does not belong to the prompt is refused there."""
    fields = _fields.decode(body)
    if "input" in fields:
        return body
    return _encode({"input": {"converse": {key: raw for key, raw in fields.items() if key in _COUNTED}}})


def write_request(request: Request, family: Family) -> bytes:
    """The body for a provider, out of our own words. Raises Unsupported where this dialect cannot say what is asked."""
    _refuse(request)
    own = request.dialect == DIALECT
    system, turns = written_conversation(request.messages, own=own, caches=own or family.caches)
    tools, choice = _tooling(request, caches=own or family.caches_tools, own=own)
    word, more = _asked_thought(request) if own else _thought(request, family, quiet=_quiet(choice, turns))
    if request.top_k is not None and (own or (family.top_k and not _counts(more))):
        more["top_k"] = request.top_k
    body: dict[str, Any] = {
        "messages": turns,
        "system": system or None,
        "inferenceConfig": _inference(request, family, more, own=own) or None,
        "toolConfig": {"tools": tools, **({"toolChoice": choice} if choice else {})} if tools else None,
        "outputConfig": {
            key: each for key, each in (("textFormat", _format(request, own=own)), ("effort", word)) if each
        }
        or None,
        "additionalModelRequestFields": more or None,
        "additionalModelResponseFieldPaths": [STOPPED_BY] if family.names_stop and request.stop and not own else None,
    }
    written = {key: value for key, value in body.items() if value is not None}
    if own:
        for key, raw in request.extra.items():
            written[key] = {**_fields.decode(raw), **written[key]} if key in written else raw
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
    if request.structure is not None and request.structure.schema is None:
        raise Unsupported("this provider gives structured answers by a schema alone", param="response_format")


def _format(request: Request, *, own: bool) -> dict[str, Any] | None:
    structure = request.structure
    if structure is None or structure.schema is None:
        return None
    schema = structure.schema if own else closed(structure.schema)
    if schema is None:
        raise Unsupported("this provider wants every key of a structured answer to be named", param="response_format")
    asked = {"schema": _encode(schema).decode(), "name": structure.name}
    if structure.description is not None:
        asked["description"] = structure.description
    return {"type": "json_schema", "structure": {"jsonSchema": asked}}


def _inference(request: Request, family: Family, more: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """The bound and how to sample, as far as the deployment takes it; a heat above 1, the hottest here, becomes 1."""
    output = request.max_output
    if output is None and _counts(more) and not own:
        output = more["thinking"]["budget_tokens"] + _USUAL_OUTPUT
    samples = {"temperature": request.temperature, "topP": request.top_p} if own else _samples(request, family, more)
    stop = [each for each in request.stop if own or family.blank_stops or each.strip()]
    written = {"maxTokens": output, **samples, "stopSequences": stop or None}
    return {key: value for key, value in written.items() if value is not None}


def _samples(request: Request, family: Family, more: Mapping[str, Any]) -> dict[str, float | None]:
    if not family.samples or _counts(more):
        return {}
    heat = None if request.temperature is None else min(request.temperature, 1.0)
    return {"temperature": heat, "topP": request.top_p if heat is None or family.samples_both else None}


def _counts(more: Mapping[str, Any]) -> bool:
    return "budget_tokens" in more.get("thinking", {})


# --- thought ----------------------------------------------------------------------------------------------------------


def _asked_thought(request: Request) -> tuple[str | None, dict[str, Any]]:
    """How to think, as the caller said it in this dialect."""
    budget = request.reasoning_budget
    if budget is None:
        return request.reasoning_effort, {}
    thinking = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}
    return request.reasoning_effort, {"thinking": thinking}


def _thought(request: Request, family: Family, *, quiet: bool) -> tuple[str | None, dict[str, Any]]:
    """How to think, and with which effort, for what another dialect asked; `quiet` where no thought is possible.

    Not to think is said by not asking for it: the latest models refuse to be told.
    """
    asked = effort(request)
    if asked is None or family.thinking == "none":
        return None, {}
    level = {"minimal": "low", "none": "low"}.get(asked, asked if asked in ("low", "medium") else "high")
    match family.thinking:
        case "adaptive":
            return level, {} if quiet or asked in ("none", "minimal") else {"thinking": {"type": "adaptive"}}
        case "effort":
            return None, {"reasoning_effort": level}
        case "nova":
            config = {"type": "enabled", "maxReasoningEffort": level}
            return None, {} if asked == "none" else {"reasoningConfig": config}
        case _:
            tokens = request.reasoning_budget or BUDGETS.get(asked, 0)
            if request.max_output is not None:  # it bounds thought and answer together, and an answer there must be
                tokens = min(tokens, request.max_output - _LEAST_THOUGHT)
            if quiet or tokens < _LEAST_THOUGHT:
                return None, {}
            return None, {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _quiet(choice: Mapping[str, Any] | None, turns: Sequence[dict[str, Any]]) -> bool:
    """Whether no thought is possible: a call is forced, or it is in the middle of its calls."""
    return (choice is not None and "auto" not in choice) or in_tool_loop(turns)


def unsaid(request: Request, family: Family) -> Iterator[str]:
    """The settings that `write_request` leaves out or changes."""
    more: dict[str, Any] = {}
    if effort(request) not in (None, "none"):
        _, choice = _tooling(request, caches=False, own=False)
        _, turns = written_conversation(request.messages, own=False, caches=False)
        word, more = _thought(request, family, quiet=_quiet(choice, turns))
        if word is None and not more:
            yield from (name for name in ("reasoning_effort", "reasoning_budget") if getattr(request, name) is not None)
    said = _samples(request, family, more)
    if request.temperature is not None and said.get("temperature") != request.temperature:
        yield "temperature"
    if request.top_p is not None and said.get("topP") != request.top_p:
        yield "top_p"
    if request.top_k is not None and (not family.top_k or _counts(more)):
        yield "top_k"
    for name in ("seed", "top_logprobs", "presence_penalty", "frequency_penalty", "user"):
        if getattr(request, name) is not None:
            yield name
    if request.logprobs:
        yield "logprobs"
    if request.parallel_tool_calls is False:
        yield "parallel_tool_calls"
    if not family.blank_stops and any(not each.strip() for each in request.stop):
        yield "stop"
    if any(message.name is not None for message in request.messages):
        yield "name"
    yield from request.extra


# --- tools ------------------------------------------------------------------------------------------------------------


def _tooling(request: Request, *, caches: bool, own: bool) -> tuple[list[Any], dict[str, Any] | None]:
    """The tools, and which of them to call. Where calls were made before, Bedrock wants tools to be named."""
    called = called_in(request.messages)
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        if called:
            raise Unsupported("this provider cannot be kept from calling tools that were called before")
        return [], None
    tools: list[Any] = []
    for tool in request.tools:
        tools.append(_written_tool(tool, own=own))
        if caches and isinstance(tool, Tool) and tool.cache is not None:
            tools.append(cache_point(tool.cache))
    if not request.tools:
        return [_spec(name, None, None, None) for name in called], None
    if choice is None:
        return tools, None
    if choice.mode == "named":
        return tools, {"tool": {"name": choice.name}}
    return tools, {"any": {}} if choice.mode == "required" else {"auto": {}}


def _written_tool(tool: Tool | Opaque, *, own: bool) -> Any:
    if isinstance(tool, Tool):
        narrowed = closed(_objects(tool.parameters)) if tool.strict and not own else None
        strict = tool.strict if own or not tool.strict or narrowed is not None else None
        return _spec(tool.name, tool.description, narrowed or tool.parameters, strict)
    if tool.dialect != DIALECT:
        raise Unsupported(f"a tool that only the dialect {tool.dialect!r} knows cannot be sent to this provider")
    return Raw(tool.raw)


def _spec(
    name: str,
    description: str | None,
    parameters: Mapping[str, Any] | None,
    strict: bool | None,  # noqa: FBT001
) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": name, "inputSchema": {"json": _objects(parameters)}}
    if description:
        spec["description"] = description
    if strict is not None:
        spec["strict"] = strict
    return {"toolSpec": spec}


def _objects(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of an object: what a tool's arguments are, said or not."""
    return {"type": "object", **schema} if schema else {"type": "object", "properties": {}}
