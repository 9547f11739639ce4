"""The words for what a text is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

__all__ = ["SUBJECTS", "Reading", "SubjectReader", "Tier"]

SUBJECTS: dict[str, str] = {
    "law": "contracts, statutes, courts, data protection, intellectual property",
    "technology": "software, data, networks, computers, IT operations and security",
    "engineering": "machines, electrics, materials, construction, production, maintenance",
    "science": "physics, chemistry, biology, mathematics, earth and space, research method",
    "medicine": "diagnosis, treatment, drugs, care, health questions",
    "finance": "accounting, taxes, controlling, banking, investment",
    "marketing": "advertising, brand, content, campaigns, public relations",
    "sales": "offers, leads, negotiation, key accounts, tenders",
    "hr": "hiring, employment, pay, leave, training, works council",
    "customer_service": "orders, complaints, returns, support tickets, help for users",
    "logistics": "transport, customs, warehouse, purchasing, supply chain",
    "general": "everyday talk, translation and rewriting, travel, cooking, trivia",
}
"""The subjects that are known without any example from the operator, and what each covers."""

Tier = Literal["static", "encoder"]
"""Which reader spoke: the static word table in this process, or the multilingual encoder in a process of its own."""


class Reading(msgspec.Struct, frozen=True):
    """What a text is about, and how sure that is."""

    subject: str
    certainty: float
    """The probability, 0 to 1, that the subject is right; calibrated on the examples by cross-validation."""
    scores: Mapping[str, float]
    """The probability of every subject, most probable first. They add up to 1."""
    tier: Tier


class SubjectReader(Protocol):
    """Reads subjects: the built-in ones and those that an operator added by examples."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """The names of all subjects that a reading can have."""
        ...

    def read(self, text: str) -> Reading:
        """What the static table says, within microseconds. Where it knows no word of the text, the certainty is low."""
        ...

    async def reread(self, text: str, patience: float, scope: str = "") -> Reading:
        """What the encoder says, within `patience` seconds, remembered within `scope` alone.

        Raises Unavailable or TimedOut where it cannot.
        """
        ...
