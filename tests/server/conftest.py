"""Both databases, for what stands on the roof."""

from __future__ import annotations

from tests.store.conftest import url

__all__ = ["url"]
