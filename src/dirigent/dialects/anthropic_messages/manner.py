"""The manner of an answer: how long to think about it and how to sample it, as each generation of models takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dirigent.core.messages import Request
from dirigent.dialects.anthropic_messages.conversation import in_tool_loop
from dirigent.dialects.anthropic_messages.generations import BUDGETS, Generation
from dirigent.dialects.anthropic_messages.tooling import forced
from dirigent.dialects.thinking import effort

__all__ = ["asked_thought", "counts", "samples", "spoken_samples", "thought", "unsaid"]

_LEAST = 1024
"""Tokens of thought below which there is none, and of the answer that are left beside it."""

Thought = tuple[dict[str, Any] | None, str | None]
"""What is said as `thinking` and as `effort`."""


def asked_thought(request: Request) -> Thought:
    """How to think, as the caller said it in this dialect."""
    budget = request.reasoning_budget
    if budget is None:
        return None, request.reasoning_effort
    if budget == 0:
        return {"type": "disabled"}, request.reasoning_effort
    return {"type": "enabled", "budget_tokens": budget}, request.reasoning_effort


def thought(request: Request, generation: Generation, most: int | None) -> Thought:
    """How to think, and with which effort, for what another dialect asked.

    Not to think is said by not asking for it: the latest models refuse to be told. Who must call a tool cannot think.
    `most` is the longest answer of the deployment.
    """
    word, budget = request.reasoning_effort, request.reasoning_budget
    if word is None and (budget is None or budget < 0):
        return None, None
    if generation.thinking == "adaptive":
        asked = effort(request)
        if asked in ("none", "minimal"):
            return None, "low"
        known = asked if asked in generation.efforts else "high"
        return None if forced(request, generation) else {"type": "adaptive"}, known
    tokens = budget if budget is not None and budget >= 0 else BUDGETS.get(word or "", 0)
    bound = most if request.max_output is None else request.max_output
    if bound is not None:  # it is one for thought and answer together, and an answer there must be
        tokens = min(tokens, bound - _LEAST)
    if tokens < _LEAST or forced(request, generation) or in_tool_loop(request.messages):
        return None, None
    return {"type": "enabled", "budget_tokens": tokens}, None


def counts(thinking: dict[str, Any] | None) -> bool:
    """Whether thoughts are measured out in tokens."""
    return thinking is not None and "budget_tokens" in thinking


def samples(request: Request) -> dict[str, float | int | None]:
    """How to sample, as it is asked for."""
    return {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}


def spoken_samples(request: Request, generation: Generation, *, counted_thought: bool) -> dict[str, float | int | None]:
    """How to sample, as far as the deployment takes it; a temperature above 1, its hottest, becomes 1."""
    if not generation.samples or counted_thought:
        return {}
    heat = None if request.temperature is None else min(request.temperature, 1.0)
    top_p = request.top_p if heat is None or generation.samples_both else None
    return {"temperature": heat, "top_p": top_p, "top_k": request.top_k}


def unsaid(request: Request, generation: Generation, most: int | None) -> Iterator[str]:
    """The settings that `write_request` leaves out or changes."""
    thinking, word = thought(request, generation, most)
    if thinking is None and word is None and effort(request) not in (None, "none"):
        yield "reasoning_effort"
    said = spoken_samples(request, generation, counted_thought=counts(thinking))
    yield from (name for name, asked in samples(request).items() if asked is not None and said.get(name) != asked)
    for name in ("seed", "top_logprobs", "presence_penalty", "frequency_penalty"):
        if getattr(request, name) is not None:
            yield name
    if request.logprobs:
        yield "logprobs"
    if any(not each.strip() for each in request.stop):
        yield "stop"
    if any(message.name is not None for message in request.messages):
        yield "name"
    yield from request.extra
