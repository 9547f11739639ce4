"""The table of policies: the rules that stand around models."""

from __future__ import annotations

from dirigent.core.policy import Policy
from dirigent.core.registry import Registry
from dirigent.policies.reuse import Reuse

__all__ = ["POLICIES"]

POLICIES: Registry[Policy] = Registry(Policy, [Reuse])
