"""Files of runs in memory (core.ports.Files)."""

from __future__ import annotations

from hashlib import sha256

from dirigent.core.errors import Invalid
from dirigent.core.ports import Filed

__all__ = ["MemoryFiles"]


class MemoryFiles:
    """Keeps files for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Filed, bytes]] = {}

    async def keep(
        self, tenant: str, run: str, name: str, content_type: str, data: bytes, *, subject: str = ""
    ) -> Filed:
        """Keeps it under an id that follows from run, name and content."""
        digest = sha256(data).hexdigest()
        file = sha256(f"{run}\n{name}\n{digest}".encode()).hexdigest()[:24]
        filed = Filed(file, name, content_type, len(data), digest)
        self._kept[tenant, file] = (filed, data)
        return filed

    async def read(self, tenant: str, file: str) -> tuple[Filed, bytes]:
        """The file of this id. Raises Invalid where this tenant has none."""
        found = self._kept.get((tenant, file))
        if found is None:
            raise Invalid(f"there is no file {file!r}")
        return found
