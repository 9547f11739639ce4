"""Who asks: the customer, the part of it, the key, and the principal on whose behalf a run acts."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Principal", "Priority"]

Priority = Literal["critical", "normal", "bulk"]


class Principal(msgspec.Struct, frozen=True):
    """On whose behalf a run acts. Nothing crosses the tenant."""

    tenant: str
    project: str
    key: str
    """The id of the virtual key, never the key itself."""
    member: str | None = None
