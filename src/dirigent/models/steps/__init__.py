"""The table of steps: what a pipeline is made of."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.steps.ask import Ask
from dirigent.models.steps.branch import Branch
from dirigent.models.steps.calculate import Calculate
from dirigent.models.steps.parallel import Parallel
from dirigent.models.steps.prompt import Prompt
from dirigent.models.steps.set import Set
from dirigent.models.steps.step import Step

__all__ = ["STEPS"]

STEPS: Registry[Step] = Registry(Step, [Ask, Prompt, Branch, Parallel, Set, Calculate])
