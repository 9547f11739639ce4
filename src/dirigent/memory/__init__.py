"""Ports in memory: what a node needs before it has a database, and what tests need always."""

from __future__ import annotations

from dirigent.memory.affinity import MemoryAffinity
from dirigent.memory.cache import MemoryCache
from dirigent.memory.files import MemoryFiles
from dirigent.memory.ledger import MemoryLedger
from dirigent.memory.rest import (
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    NoEmbedder,
    NoLocalModels,
    NoSpeech,
    NoSubjects,
)
from dirigent.memory.rights import FollowedRights, MemoryRights
from dirigent.memory.slots import MemorySlots
from dirigent.memory.vitals import MemoryVitals

__all__ = [
    "FollowedRights",
    "MemoryAffinity",
    "MemoryCache",
    "MemoryFiles",
    "MemoryLedger",
    "MemoryListings",
    "MemoryObserver",
    "MemoryRights",
    "MemorySecrets",
    "MemorySlots",
    "MemoryVitals",
    "NoEmbedder",
    "NoLocalModels",
    "NoSpeech",
    "NoSubjects",
]
