"""How many tokens a text has, estimated without any model's vocabulary."""

from __future__ import annotations

from dirigent.core.messages import Request

__all__ = ["estimated", "estimated_request"]


def estimated(text: str) -> int:
    """Tokens of a text, roughly."""
    return -(-len(text.encode()) // 4)


def estimated_request(request: Request) -> int:
    """Input tokens of a request, roughly."""
    return sum(estimated(text) + 4 for _, text in request.texts())
