"""The reader of everything that can be configured."""

from __future__ import annotations

from functools import cache

from dirigent.core.registry import Reader
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.sources import SOURCES
from dirigent.models.steps import STEPS
from dirigent.models.strategies import STRATEGIES
from dirigent.models.tools import TOOLS
from dirigent.models.verifiers import VERIFIERS
from dirigent.policies import POLICIES

__all__ = ["reader"]

_TABLES = (MODELS, PROVIDERS, SOURCES, STEPS, STRATEGIES, TOOLS, VERIFIERS, POLICIES)


@cache
def reader() -> Reader:
    """The reader of all kinds, those of installed plug-ins included."""
    return Reader(registry.with_plugins() for registry in _TABLES)
