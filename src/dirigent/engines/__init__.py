"""Who runs durable runs: the contract, and each engine in a file of its own."""

from __future__ import annotations

from dirigent.engines.embedded import EmbeddedEngine
from dirigent.engines.engine import Segment, Worker

__all__ = ["EmbeddedEngine", "Segment", "Worker"]
