"""Thoughts in Bedrock's wire format, with the seals of whichever provider thought them.

Seals that Bedrock's models gave stand there as they are. Those of another provider travel in the same fields
(`dialects/seals`), so that they come back with the next turn; Bedrock itself never sees them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final

from dirigent.core.messages import Reasoning
from dirigent.dialects.seals import MARK, Seal, opened, sealed_up

__all__ = ["DIALECT", "MARKS", "call_seal", "foreign", "read_thought", "seal_block", "thought_block"]

DIALECT: Final = "bedrock_converse"

_MARK = b64encode(MARK.encode()).decode()
"""How a travelling seal begins where it stands in base64; the mark fills it exactly."""
MARKS: Final = (f'"{MARK}'.encode(), f'"{_MARK}'.encode())
"""What the body of a request holds wherever there may be a seal of another provider."""


def thought_block(thought: Reasoning) -> dict[str, Any] | None:
    """`reasoningContent` for a thought, whosever it is; None where there is nothing to say."""
    signature, sealed = thought.signature, thought.sealed
    if thought.issuer != DIALECT:
        seal = _travelling(thought)
        signature, sealed = (seal, None) if thought.text else (None, seal and _in_base64(seal))
    if sealed:
        return {"redactedContent": sealed}
    if not (thought.text or signature):
        return None
    return {"reasoningText": {"text": thought.text, **({"signature": signature} if signature else {})}}


def seal_block(signature: str, call: str) -> dict[str, Any]:
    """The block in which the seal of a tool call travels."""
    return {"redactedContent": _in_base64(sealed_up(Seal(signature=signature, call=call)))}


def foreign(signature: str | None, redacted: str | None) -> bool:
    """Whether a seal is another provider's."""
    return (signature or "").startswith(MARK) or (redacted or "").startswith(_MARK)


def read_thought(text: str, signature: str | None, redacted: str | None) -> Reasoning:
    """The thought behind a block, with its own issuer's seal."""
    travelled = _opened(redacted) or opened(signature)
    if travelled is not None:
        return travelled.on(text)
    return Reasoning(text, signature or None, redacted or None, issuer=DIALECT if signature or redacted else "")


def call_seal(redacted: str | None) -> tuple[str, str] | None:
    """The call to which a seal belongs, and its signature; None where it is the seal of a thought."""
    travelled = _opened(redacted)
    if travelled is None or travelled.call is None:
        return None
    return travelled.call, travelled.signature or ""


def _opened(redacted: str | None) -> Seal | None:
    if redacted is None or not redacted.startswith(_MARK):
        return None
    try:
        return opened(b64decode(redacted).decode())
    except ValueError:  # it only looked like one
        return None


def _in_base64(seal: str) -> str:
    return b64encode(seal.encode()).decode()


def _travelling(thought: Reasoning) -> str | None:
    if not (thought.signature or thought.sealed or thought.id):
        return None
    return sealed_up(Seal(thought.issuer, thought.signature, thought.sealed, thought.id))
