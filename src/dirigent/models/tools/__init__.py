"""The table of tools: typed functions that steps call, and that agents may call."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.tools.calculator import Calculator
from dirigent.models.tools.lookup import Lookup
from dirigent.models.tools.now import Now
from dirigent.models.tools.tool import Tool

__all__ = ["TOOLS"]

TOOLS: Registry[Tool] = Registry(Tool, [Calculator, Lookup, Now])
