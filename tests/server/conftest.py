"""Both databases, for what stands on the roof."""

from __future__ import annotations

from tests.store.conftest import fresh_postgres, url

__all__ = ["fresh_postgres", "url"]
