"""The table of policies: the rules that stand around models."""

from __future__ import annotations

from dirigent.core.policy import Policy
from dirigent.core.registry import Registry

__all__ = ["POLICIES"]

POLICIES: Registry[Policy] = Registry(Policy, [])
