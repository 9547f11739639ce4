"""What runs of a node reach beyond models: embeddings, tables of others, and the room where documents are made."""

from __future__ import annotations

from dirigent.documents.room import Room
from dirigent.local.embedder import LocalEmbedder
from dirigent.settings import Settings
from dirigent.store import Database
from dirigent.store.knowledge import Learned
from dirigent.store.sources import Sources

__all__ = ["Reach"]


class Reach:
    """Opens each door when it is first used."""

    def __init__(self, settings: Settings, database: Database) -> None:
        data = settings.data.resolve()
        self.embedder = LocalEmbedder()
        self.tables = Sources(data / "sources")
        self.documents = Room(data / "documents")
        self.knowledge = Learned(database, data / "sources", self.documents, self.embedder)

    async def close(self) -> None:
        """Ends what has been started."""
        self.tables.close()
        await self.knowledge.close()
        await self.embedder.close()
        await self.documents.close()
