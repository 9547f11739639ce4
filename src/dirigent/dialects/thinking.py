"""How long a model thinks, in tokens and in OpenAI's words; it knows no wire format."""

from __future__ import annotations

from dirigent.core.messages import Request

__all__ = ["effort"]

_LOW, _MEDIUM = 1_024, 8_192
"""The most tokens of each effort, as Google publishes them for its own OpenAI-compatible endpoint."""


def effort(request: Request) -> str | None:
    """How long to think in OpenAI's words; None where the request leaves it to the model.

    | budget in tokens | effort |
    |---|---|
    | 0 | `none` |
    | up to 1,024 | `low` |
    | up to 8,192 | `medium` |
    | more | `high` |
    | negative: as the model sees fit | left out |

    The word wins where a request says both.
    """
    budget = request.reasoning_budget
    if request.reasoning_effort is not None or budget is None or budget < 0:
        return request.reasoning_effort
    if budget == 0:
        return "none"
    return "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
