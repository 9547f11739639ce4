"""The tools of a request, which of them to call, and the structure of the answer, written to providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Opaque, Request, Tool
from dirigent.dialects.anthropic_messages.generations import Generation
from dirigent.dialects.anthropic_messages.thoughts import DIALECT
from dirigent.dialects.schemas import closed

__all__ = ["ANSWER", "forced", "tooling"]

ANSWER: Final = "dirigent_structured_answer"
"""The tool by which a model gives an answer of a set structure, where it knows no other way to be held to one."""


def tooling(
    request: Request, generation: Generation, *, own: bool
) -> tuple[list[Any], dict[str, Any] | None, dict[str, Any] | None]:
    """The tools, which of them to call, and the format of the answer.

    A structure that the format cannot say is asked for as the arguments of a tool; `answers` and `streams` turn its
    call into text again.
    """
    tools = [_written_tool(tool, generation, own=own) for tool in request.tools]
    choice = _written_choice(request) if tools else None
    structure = request.structure
    if structure is None:
        return tools, choice, None
    schema = structure.schema
    if schema is not None and generation.formats:
        written = dict(schema) if own else closed(schema)
        if written is not None:
            return tools, choice, {"type": "json_schema", "schema": written}
    described = {"description": structure.description} if structure.description else {}
    answering = {"name": ANSWER, "description": "Gives the answer.", **described, "input_schema": _objects(schema)}
    others = [] if choice is not None and choice["type"] == "none" else tools
    must = {"type": "any"} if others else {"type": "tool", "name": ANSWER}
    return [*others, answering], {**must, "disable_parallel_tool_use": True}, None


def forced(request: Request, generation: Generation) -> bool:
    """Whether a request of another dialect makes the model call a tool."""
    _, choice, _ = tooling(request, generation, own=False)
    return choice is not None and choice["type"] in ("any", "tool")


def _written_tool(tool: Tool | Opaque, generation: Generation, *, own: bool) -> object:
    if isinstance(tool, Opaque):
        if tool.dialect != DIALECT:
            raise Unsupported(f"a tool that only the dialect {tool.dialect!r} knows cannot be sent to this provider")
        return Raw(tool.raw)
    schema, strict = _objects(tool.parameters), tool.strict
    if strict and not own:
        narrowed = closed(schema) if generation.formats else None
        schema, strict = (schema, None) if narrowed is None else (narrowed, True)
    written: dict[str, Any] = {"name": tool.name, "description": tool.description, "input_schema": schema}
    written |= {"strict": strict, "cache_control": tool.cache}
    return {key: value for key, value in written.items() if value is not None}


def _objects(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of an object: what a tool's arguments are there, said or not."""
    if not schema:
        return {"type": "object", "properties": {}}
    return dict(schema) if "type" in schema else {"type": "object", **schema}


def _written_choice(request: Request) -> dict[str, Any] | None:
    choice, alone = request.tool_choice, request.parallel_tool_calls is False
    if choice is not None and choice.mode == "none":
        return {"type": "none"}
    if choice is None and not alone:
        return None
    kinds = {"auto": "auto", "required": "any", "named": "tool"}
    written: dict[str, Any] = {"type": kinds[choice.mode] if choice is not None else "auto"}
    if choice is not None and choice.mode == "named":
        written["name"] = choice.name
    return written | ({"disable_parallel_tool_use": True} if alone else {})
