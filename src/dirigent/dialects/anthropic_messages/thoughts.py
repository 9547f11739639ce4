"""Thoughts in Anthropic's wire format, with the seals of whichever provider thought them.

Anthropic's own seals stand there as they are. Those of another provider travel in the same fields (`dialects/seals`),
so that they come back with the next turn and reach their issuer byte for byte; Anthropic itself never sees them.
"""

from __future__ import annotations

from typing import Any, Final

from dirigent.core.messages import Reasoning
from dirigent.dialects.seals import MARK, Seal, opened, sealed_up

__all__ = ["DIALECT", "call_seal", "foreign", "own_seal", "read_thought", "seal_block", "thought_block"]

DIALECT: Final = "anthropic_messages"


def thought_block(thought: Reasoning) -> dict[str, Any] | None:
    """The block for a thought; None where there is nothing to say. Without a seal it has an empty signature."""
    if thought.issuer == DIALECT:
        if thought.sealed is not None:
            return {"type": "redacted_thinking", "data": thought.sealed}
        seal = thought.signature or ""
    else:
        seal = _travelling(thought)
        if seal and not thought.text:
            return {"type": "redacted_thinking", "data": seal}
    if not (thought.text or seal):
        return None
    return {"type": "thinking", "thinking": thought.text, "signature": seal}


def seal_block(signature: str, call: str) -> dict[str, Any]:
    """The block in which the seal of a tool call travels."""
    return {"type": "redacted_thinking", "data": sealed_up(Seal(signature=signature, call=call))}


def own_seal(thought: Reasoning) -> bool:
    """Whether Anthropic itself has sealed this thought, so that it may be given back to it."""
    return thought.issuer == DIALECT and bool(thought.signature or thought.sealed)


def foreign(seal: str) -> bool:
    """Whether Anthropic would refuse this seal: it is another provider's, or there is none."""
    return not seal or seal.startswith(MARK)


def read_thought(text: str, seal: str, *, redacted: bool) -> Reasoning:
    """The thought behind a block, with its own issuer's seal."""
    travelled = opened(seal)
    if travelled is not None:
        return travelled.on(text)
    if redacted:
        return Reasoning(text, sealed=seal, issuer=DIALECT)
    return Reasoning(text, seal, issuer=DIALECT) if seal else Reasoning(text)


def call_seal(seal: str) -> tuple[str, str] | None:
    """The call to which a seal belongs, and its signature; None where it is the seal of a thought."""
    travelled = opened(seal)
    if travelled is None or travelled.call is None:
        return None
    return travelled.call, travelled.signature or ""


def _travelling(thought: Reasoning) -> str:
    if not (thought.signature or thought.sealed or thought.id):
        return ""
    return sealed_up(Seal(thought.issuer, thought.signature, thought.sealed, thought.id))
