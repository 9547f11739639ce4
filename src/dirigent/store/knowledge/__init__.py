"""What was learned of documents, and how it is searched (core.ports.Knowledge)."""

from __future__ import annotations

from dirigent.store.knowledge.learned import Learned

__all__ = ["Learned"]
