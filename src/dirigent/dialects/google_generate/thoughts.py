"""Seals in Google's wire format, where each part may bear one: `thoughtSignature`, in base64.

Google's own seals stand there as they are. Those of another provider travel in the same field (`dialects/seals`), on
the thought that they belong to, so that they come back with the next turn; Google itself never sees them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final

from dirigent.core.messages import Reasoning
from dirigent.dialects.seals import MARK, Seal, opened, sealed_up

__all__ = ["DIALECT", "FOREIGN", "NO_SEAL", "canonical", "read_thought", "travelling"]

DIALECT: Final = "google_generate"

NO_SEAL: Final = "skip_thought_signature_validator"
"""What Google takes in the place of a seal where a call is not its own, by its documentation."""

FOREIGN: Final = b64encode(MARK.encode()).decode()
"""How the seal of another provider begins here; the mark fills its base64 exactly, so it always begins so."""

_STANDARD = str.maketrans("-_", "+/")


def canonical(signature: str | None) -> str | None:
    """The seal in the letters in which Google writes it; some of its own SDKs write the same bytes in others."""
    if not signature or signature == NO_SEAL:
        return signature or None
    return signature.translate(_STANDARD)


def read_thought(text: str, signature: str | None) -> Reasoning:
    """The thought behind a part, with its own issuer's seal."""
    if signature is not None and signature.startswith(FOREIGN):
        try:
            travelled = opened(b64decode(signature).decode())
        except ValueError:  # it only looked like one
            travelled = None
        if travelled is not None:
            return travelled.on(text)
    return Reasoning(text, signature, issuer=DIALECT)


def travelling(thought: Reasoning) -> str | None:
    """What stands in `thoughtSignature` for this thought: its own seal, or that of another provider."""
    if thought.issuer in ("", DIALECT):
        return thought.signature
    if not (thought.signature or thought.sealed or thought.id):
        return None
    seal = Seal(thought.issuer, thought.signature, thought.sealed, thought.id)
    return b64encode(sealed_up(seal).encode()).decode()
