"""Requests of OpenAI chat completions as they go out: the caller's own bytes, or written out of our own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Opaque, Request, Schema, Tool, ToolChoice, Wire
from dirigent.dialects.abridged import AbridgedFields
from dirigent.dialects.openai_chat.takes import Takes
from dirigent.dialects.openai_chat.thoughts import DIALECT
from dirigent.dialects.openai_chat.written import foreign, written_messages
from dirigent.dialects.raw import NULL
from dirigent.dialects.thinking import effort

__all__ = ["OutputField", "counts_throughout", "splice", "unsaid", "write_request"]

OutputField = Literal["max_tokens", "max_completion_tokens"]

_ALL: Final = Takes(
    cache_marks=True,
    seals=True,
    file_addresses=True,
    pictures_from_tools=True,
    stored_pictures=True,
    unknown_fields=True,
)
_COUNTED: Final = Raw(b'{"include_usage":true}')
_TRUE: Final = Raw(b"true")
_options = msgspec.json.Decoder(dict[str, Raw] | None)
_encode = msgspec.json.Encoder().encode


def splice(
    wire: Wire, deployment: str, *, report_usage: bool, output_field: OutputField | None, stream_options: bool
) -> bytes:
    """The caller's bytes with the deployment's name, and in a stream usage asked for.

    Beyond that nothing is touched, but for what this provider would refuse the whole request for: with `output_field`
    the bound of the answer goes out under that name, and without `stream_options` they stay here.
    """
    given = wire.fields
    abridged = None
    if type(given) is AbridgedFields:  # `isinstance` is dear where a class is abstract
        abridged, given = given.abridged, given.brief
    fields: dict[str, Any] = {**given, "model": deployment}
    if output_field is not None:
        other = "max_tokens" if output_field == "max_completion_tokens" else "max_completion_tokens"
        if (bound := fields.pop(other, NULL)) != NULL:
            fields.setdefault(output_field, bound)
    if not stream_options:
        fields.pop("stream_options", None)
    elif report_usage:
        fields["stream_options"] = _counted(fields.get("stream_options", NULL))
    written = _encode(fields)
    if abridged is None:
        return written
    if abridged.holds_all(written):
        return abridged.whole(written)
    return _encode({**fields, "messages": wire.fields["messages"]})


def _counted(options: Raw) -> Raw:
    """The options of a stream with which it reports the usage."""
    given = _options.decode(options)
    if not given:
        return _COUNTED
    return options if given.get("include_usage") == _TRUE else Raw(_encode({**given, "include_usage": _TRUE}))


def counts_throughout(wire: Wire | None) -> bool:
    """Whether the caller of a stream asked for the usage in every event, as he may ask vLLM."""
    given = wire.fields.get("stream_options", NULL) if wire is not None else NULL
    return given != _COUNTED and (_options.decode(given) or {}).get("continuous_usage_stats") == _TRUE


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
    told = {"description": tool.description, "parameters": parameters, "strict": tool.strict}
    function = {"name": tool.name, **{key: value for key, value in told.items() if value is not None}}
    mark = {"cache_control": tool.cache} if takes.cache_marks and tool.cache is not None else {}
    return {"type": "function", "function": function, **mark}


def _format(structure: Schema) -> object:
    if structure.schema is None:
        return {"type": "json_object"}
    told = {"description": structure.description, "schema": dict(structure.schema), "strict": structure.strict}
    named = {"name": structure.name, **{key: value for key, value in told.items() if value is not None}}
    return {"type": "json_schema", "json_schema": named}


def _choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode
