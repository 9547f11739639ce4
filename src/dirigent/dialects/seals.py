"""Seals of one dialect, carried through another: so that a caller can hand back what only its issuer understands.

A provider that seals what its model thought wants the seal back in the next turn. A caller who speaks another dialect
has no field for it, but one in which it carries sealed thoughts of its own provider. There our seal travels: the
prefix `dirigent.`, and behind it base64 of a JSON object {issuer, signature, sealed, id, call}. `call` names the tool
call to which the seal belongs, for providers that seal calls. Nothing in it is secret, and whoever forges one has
won nothing: the issuer judges its own seals.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from dirigent.core.messages import Reasoning

__all__ = ["MARK", "Seal", "opened", "sealed_up"]

MARK = "dirigent."
"""How every seal that travels so begins; no provider's own sealed thought contains a full stop there."""


class Seal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What belongs to a stretch of thought, or to a tool call, beside its text."""

    issuer: str = ""
    signature: str | None = None
    sealed: str | None = None
    id: str | None = None
    call: str | None = None

    def on(self, text: str) -> Reasoning:
        """The stretch of thought with this text and this seal."""
        return Reasoning(text, self.signature, self.sealed, self.id, self.issuer)


_encode = msgspec.json.Encoder().encode
_seal = msgspec.json.Decoder(Seal)


def sealed_up(seal: Seal) -> str:
    """The seal as a text that any field carries."""
    return MARK + urlsafe_b64encode(_encode(seal)).decode()


def opened(text: str | None) -> Seal | None:
    """The seal in such a text; None where the text is something else."""
    if text is None or not text.startswith(MARK):
        return None
    try:
        return _seal.decode(urlsafe_b64decode(text[len(MARK) :].encode()))
    except (ValueError, msgspec.DecodeError, RecursionError):  # it only looked like one
        return None
