"""The table of steps: what a pipeline is made of."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.steps.step import Step

__all__ = ["STEPS"]

STEPS: Registry[Step] = Registry(Step, [])
