"""Who asks: the customer, the part of it, the key, and the principal on whose behalf a run acts."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ROLES", "Principal", "Priority", "Role"]

Priority = Literal["critical", "normal", "bulk"]
Role = Literal["owner", "admin", "operator", "reviewer", "privacy_officer", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "admin", "operator", "reviewer", "privacy_officer", "viewer")


class Principal(msgspec.Struct, frozen=True):
    """On whose behalf a run acts. Nothing crosses the tenant."""

    tenant: str
    project: str
    key: str
    """The id of the virtual key, never the key itself."""
    member: str | None = None
    purposes: tuple[str, ...] = ()
    """The purposes that the key may name; the only one, or else the first, is implied where a request names none."""
    expires: float | None = None
    """When the key ends, in seconds since 1970."""
