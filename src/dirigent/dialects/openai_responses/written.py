"""What callers of OpenAI responses get: the answer as an object, and the items of which it is made."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.messages import Audio, FinishReason, Opaque, Reasoning, Refusal, Request, Response, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_responses.items import DIALECT
from dirigent.dialects.openai_responses.requests import written_choice, written_format, written_tools
from dirigent.dialects.raw import UNREADABLE
from dirigent.dialects.seals import Seal, sealed_up

__all__ = [
    "called",
    "closed",
    "listed",
    "output_text",
    "reasoned",
    "shell",
    "spoken",
    "tail",
    "write_response",
]

_ECHOED = (
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "tool_choice",
    "truncation",
)
"""Fields without words of our own that an answer repeats of its request."""

_logprobs = msgspec.json.Decoder(dict[str, list[Raw] | None])
_encode = msgspec.json.Encoder().encode


def write_response(response: Response, request: Request, answer_id: str, created: int) -> bytes:
    """The body of a whole answer."""
    body = shell(request, answer_id, created)
    if not response.choices:
        return _encode(closed(body, [], "stop", response.usage))
    choice, ending = response.choices[0], tail(answer_id)
    logprobs = listed(choice.logprobs)
    output: list[dict[str, Any]] = []
    words: list[dict[str, Any]] | None = None  # the contents of the item to which further words belong
    for part in choice.message.parts:
        match part:
            case Audio(transcript=None | ""):
                continue
            case Text(text=text) | Audio(transcript=str(text)):  # there is no sound here, but its words can be told
                said: dict[str, Any] = output_text(text, logprobs)
                logprobs = None
            case Refusal(text=text):
                said = {"type": "refusal", "refusal": text}
            case Reasoning():
                words = None
                seal = Seal(part.issuer, part.signature, part.sealed, part.id)
                output.append(reasoned(f"rs_{ending}_{len(output)}", part.text, seal))
                continue
            case ToolCall():
                words = None
                output.append(called(f"fc_{ending}_{len(output)}", part.id, part.name, part.arguments or "{}"))
                if part.signature is not None:
                    seal = Seal(signature=part.signature, call=part.id)
                    output.append(reasoned(f"rs_{ending}_{len(output)}", "", seal))
                continue
            case _:
                continue
        if words is None:
            words = []
            output.append(spoken(f"msg_{ending}_{len(output)}", words))
        words.append(said)
    if choice.finish in ("length", "content_filter") and output and "status" in output[-1]:
        output[-1]["status"] = "incomplete"
    return _encode(closed(body, output, choice.finish or "stop", response.usage))


def listed(raw: Raw | None) -> list[Raw] | None:
    """Log probabilities as this dialect lists them."""
    if raw is None:
        return None
    try:
        return _logprobs.decode(raw).get("content")
    except UNREADABLE:
        return None


def tail(answer_id: str) -> str:
    """What the ids of an answer's items have in common."""
    return answer_id.rpartition("_")[2]


def shell(request: Request, answer_id: str, created: int) -> dict[str, Any]:
    """An answer of which nothing is known yet but what was asked."""
    own = request.dialect == DIALECT
    said = [message.text for message in request.messages[:1] if message.role == "system"]
    tools = request.tools if own else tuple(tool for tool in request.tools if not isinstance(tool, Opaque))
    return {
        "id": answer_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": said[0] if said else None,
        "max_output_tokens": request.max_output,
        "metadata": {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous if own and "conversation" not in request.extra else None,
        "reasoning": {"effort": request.reasoning_effort, "summary": None},
        "store": False,  # nobody here keeps it
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": written_format(request.structure)},
        "tool_choice": written_choice(request.tool_choice) or "auto",
        "tools": written_tools(tools, own=own),
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        **{key: request.extra[key] for key in _ECHOED if own and key in request.extra},
    }


def closed(
    body: dict[str, Any], output: list[dict[str, Any]], finish: FinishReason, usage: Usage | None
) -> dict[str, Any]:
    """The whole answer that began with `body`."""
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    return {
        **body,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": None if usage is None else _written_usage(usage),
    }


def output_text(text: str, logprobs: list[Raw] | None = None) -> dict[str, Any]:
    """A part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}


def spoken(item_id: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    """An item of words."""
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": content}


def reasoned(item_id: str, text: str, seal: Seal) -> dict[str, Any]:
    """An item of thought; its seal travels in `encrypted_content`.

    An empty one does too: so the item, when it is handed in again, is known for ours, and not for OpenAI's.
    """
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": item_id, "summary": summary, "encrypted_content": sealed_up(seal)}


def called(item_id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """An item that calls a tool."""
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def _written_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
