"""Purposes: the registered reasons for processing, and what each of them permits."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec

__all__ = ["GENERAL", "LOCAL", "Basis", "DataClass", "Days", "Purpose", "Retention"]

Basis = Literal["consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"]
"""The legal bases of Article 6(1) GDPR, (a) to (f)."""
DataClass = Literal["public", "internal", "personal", "confidential", "special"]
"""What may be in the texts; `special` are the categories of Article 9 GDPR."""
GENERAL = "general"
"""The purpose that a key without any implies."""
LOCAL = "local"
"""The region of models on the operator's own machines, where every purpose may send its data."""

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long what is kept of a run may be kept."""

    bodies: Days = 0
    """Days for what was asked and answered; 0 keeps nothing of it."""
    records: Days = 395
    """Days for who, when, which model and at what cost."""


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A registered reason for processing. What it does not permit is forbidden; what it denies stays denied."""

    name: str
    title: str = ""
    basis: Basis = "legitimate_interests"
    data_classes: tuple[DataClass, ...] = ("public", "internal")
    subjects: tuple[str, ...] = ()
    """Whose data it is about, in words, such as `customers`."""
    models: tuple[str, ...] = ()
    """Names that may be asked, or patterns such as `openai-*`; none permits nothing."""
    denied: tuple[str, ...] = ()
    """Names or patterns that may not be reached, not even through a router that may be asked."""
    regions: tuple[str, ...] | None = None
    """Where the data may go besides the operator's own machines; None for anywhere."""
    retention: Retention = Retention()
    owner: str = ""
    """Who answers for it."""
    review: date | None = None
    """When it must be looked at again."""
    blocked: bool = False
    """Whether it is out of use for now."""
