"""Whether an answer has the form that was asked for."""

from __future__ import annotations

import msgspec

from dirigent.core.messages import Request, Response, Schema, Tool, ToolCall
from dirigent.core.run import Run
from dirigent.models.conformity import fault_in
from dirigent.models.verifiers.verifier import Verdict, Verifier, accepted, refused

__all__ = ["Structure"]


class Structure(Verifier, frozen=True):
    """Accept an answer that is complete and has the form that the request asks for.

    Where the request has a structure, the text is JSON that fits its schema. A tool that is called exists, and its
    arguments are JSON that fits its parameters. An answer that was cut off at its bound, or that says nothing, is not
    accepted. Of JSON Schema all is checked but `pattern`, `patternProperties`, `format` and references to elsewhere.
    """

    async def verdict(self, request: Request, response: Response, name: str, run: Run) -> Verdict:
        """The first thing that is wrong with any of its choices."""
        tools = {tool.name: tool for tool in request.tools if isinstance(tool, Tool)}
        for choice in response.choices:
            if choice.finish in ("length", "content_filter"):
                return refused(f"it was ended early ({choice.finish})")
            calls = [part for part in choice.message.parts if isinstance(part, ToolCall)]
            text = choice.message.text
            if not calls and not text.strip():
                return refused("it says nothing")
            wrong = next(filter(None, (_fault_of_call(call, tools) for call in calls)), None)
            if wrong is None and request.structure is not None and not calls:
                wrong = _fault_of_text(text, request.structure)
            if wrong is not None:
                return refused(wrong)
        return accepted("it has the form that was asked for") if response.choices else refused("it is empty")


def _fault_of_text(text: str, structure: Schema) -> str | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "its text is not JSON"
    if structure.schema is None:
        return None if isinstance(value, dict) else "its text is no JSON object"
    return fault_in(value, structure.schema)


def _fault_of_call(call: ToolCall, tools: dict[str, Tool]) -> str | None:
    tool = tools.get(call.name)
    if tool is None:
        return f"it calls the tool {call.name!r}, which there is not"
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return f"the arguments for {call.name!r} are not JSON"
    wrong = fault_in(value, tool.parameters or {})
    return None if wrong is None else f"the arguments for {call.name!r}: {wrong}"
