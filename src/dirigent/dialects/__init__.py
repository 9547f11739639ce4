"""The table of dialects: the wire formats in which callers ask and providers answer."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat

__all__ = ["DIALECTS"]

DIALECTS: Registry[Dialect] = Registry(Dialect, [OpenAIChat])
