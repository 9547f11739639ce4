"""The rules on who may do what at whose expense, as they travel from where they are kept to where they count.

Each names its tenant, and nothing in one tenant refers to anything in another. What no longer counts still travels, so
that whoever knows it learns to forget it.
"""

from __future__ import annotations

import msgspec

from dirigent.core.allowances import Allowance
from dirigent.core.purposes import Purpose

__all__ = [
    "AllowanceRule",
    "KeyRule",
    "MemberRule",
    "ProjectRule",
    "PurposeRule",
    "RateRule",
    "Rules",
    "TenantRule",
]


class TenantRule(msgspec.Struct, frozen=True):
    """A tenant, and the models that it permits and denies all its projects."""

    name: str
    zone: str = "UTC"
    currency: str = "USD"
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    blocked: bool = False


class ProjectRule(msgspec.Struct, frozen=True):
    """A project, and the models that it permits and denies all its keys."""

    tenant: str
    name: str
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    blocked: bool = False


class MemberRule(msgspec.Struct, frozen=True):
    """A member, as far as keys stand for one."""

    tenant: str
    id: str
    blocked: bool = False


class KeyRule(msgspec.Struct, frozen=True):
    """A virtual key by its digest, and what it is bound to."""

    id: str
    digest: bytes
    tenant: str
    project: str
    member: str | None = None
    purposes: tuple[str, ...] = ()
    """The purposes that it may name; none stands for the purpose `general` alone."""
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    origin: str = ""
    """The id of the key that it has replaced, through all rotations: what is counted per key is counted there."""
    expires: float | None = None
    """When it ends, in seconds since 1970."""
    blocked: bool = False
    revoked: bool = False


class PurposeRule(msgspec.Struct, frozen=True):
    """A purpose as it stands in the register of a tenant, at its present revision."""

    tenant: str
    purpose: Purpose
    revision: int = 1
    retired: bool = False


class AllowanceRule(msgspec.Struct, frozen=True):
    """A budget or limit of a tenant."""

    tenant: str
    allowance: Allowance
    removed: bool = False


class RateRule(msgspec.Struct, frozen=True):
    """What one unit of a currency is worth in another, from a moment on."""

    tenant: str
    source: str
    target: str
    rate: str
    """An exact decimal."""
    since: float
    """In seconds since 1970."""


class Rules(msgspec.Struct, frozen=True):
    """The rules, or those that have changed."""

    sequence: int = 0
    """The number of the last change among them."""
    whole: bool = True
    """Whether these are all rules, and what is not among them does not count."""
    tenants: tuple[TenantRule, ...] = ()
    projects: tuple[ProjectRule, ...] = ()
    members: tuple[MemberRule, ...] = ()
    keys: tuple[KeyRule, ...] = ()
    purposes: tuple[PurposeRule, ...] = ()
    allowances: tuple[AllowanceRule, ...] = ()
    rates: tuple[RateRule, ...] = ()
