"""The words of OpenTelemetry's conventions for generative AI (`gen-ai-dev/1.42.0-dev`), which nobody else has to know.

They are still in development and may be renamed; then they are renamed here.
"""

from __future__ import annotations

from collections.abc import Mapping

from dirigent.core.observations import Traced, Tried

__all__ = ["Answerer", "Attributes", "attempt_attributes", "name_of", "run_attributes"]

Attributes = dict[str, str | int | float | bool]
Answerer = tuple[str, str]
"""Of a deployment: the type of its provider, and how that one calls the model."""

_OPERATIONS = {"completions": "text_completion"}
"""Where the conventions call a task otherwise."""
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Where the conventions call a provider otherwise than its configuration does."""


def operation_of(task: str) -> str:
    """What was asked for, such as `chat`, `text_completion` or `embeddings`."""
    return _OPERATIONS.get(task, task)


def name_of(task: str, model: str | None) -> str:
    """The name of a span: the operation and the model."""
    return " ".join(filter(None, (operation_of(task) or "request", model)))


def run_attributes(traced: Traced, answerer: Answerer | None) -> Attributes:
    """What is said of a run: by the conventions, and under `dirigent.` what they have no words for."""
    served = traced.served
    said: Mapping[str, str | int | float | bool | None] = {
        "gen_ai.operation.name": operation_of(traced.task) or None,
        "gen_ai.request.model": served.model,
        "gen_ai.request.max_tokens": traced.max_tokens,
        "gen_ai.request.temperature": traced.temperature,
        "gen_ai.request.top_p": traced.top_p,
        "gen_ai.request.seed": traced.seed,
        "gen_ai.request.choice.count": traced.choices if traced.choices > 1 else None,
        "gen_ai.request.stream": traced.stream or None,
        "gen_ai.response.id": served.run,
        "gen_ai.response.time_to_first_chunk": served.first_token,
        "http.response.status_code": served.status or None,
        "url.path": served.path,
        "error.type": served.code,
        "dirigent.run": served.run,
        "dirigent.request": served.request,
        "dirigent.tenant": served.tenant,
        "dirigent.project": served.project,
        "dirigent.key": served.key,
        "dirigent.purpose": served.purpose,
        "dirigent.revision": served.revision,
        "dirigent.route": served.route,
        "dirigent.deployment": served.deployment,
        "dirigent.attempts": served.attempts,
        "dirigent.cost.nano": served.cost.nano if served.cost is not None else None,
        "dirigent.cost.currency": served.cost.currency if served.cost is not None else None,
        **_answered(answerer),
        **_usage(traced),
    }
    return {name: value for name, value in said.items() if value is not None}


def attempt_attributes(traced: Traced, tried: Tried, answerer: Answerer | None) -> Attributes:
    """What is said of one try. The usage is that of the run, where one try alone has answered."""
    alone = sum(each.outcome == "answered" for each in traced.tried) == 1
    said: Mapping[str, str | int | float | bool | None] = {
        "gen_ai.operation.name": operation_of(traced.task) or None,
        "gen_ai.request.model": answerer[1] if answerer is not None else None,
        "error.type": tried.outcome if tried.outcome not in ("answered", "abandoned") else None,
        "dirigent.deployment": tried.deployment,
        "dirigent.outcome": tried.outcome,
        **_answered(answerer if tried.outcome == "answered" else (answerer[0], "") if answerer is not None else None),
        **(_usage(traced) if alone and tried.outcome == "answered" else {}),
    }
    return {name: value for name, value in said.items() if value is not None}


def _answered(answerer: Answerer | None) -> Mapping[str, str | None]:
    if answerer is None:
        return {}
    provider, model = answerer
    return {"gen_ai.provider.name": _PROVIDERS.get(provider, provider), "gen_ai.response.model": model or None}


def _usage(traced: Traced) -> Mapping[str, int | None]:
    served = traced.served
    return {
        "gen_ai.usage.input_tokens": served.input_tokens,
        "gen_ai.usage.output_tokens": served.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": served.cached_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": served.reasoning_tokens or None,
    }
