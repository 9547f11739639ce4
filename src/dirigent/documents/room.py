"""The port `Documents`: hands work to the room's process and waits for it, never longer than it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dirigent.annex.annex import Annex, annex_command
from dirigent.core.documents import Document, DocumentFormat, Extract, Made, ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents.message import Ask, Told, read_extract, written

__all__ = ["Room"]

_IDLE, _HANGS, _WAITING = 600.0, 90.0, 32


class Room:
    """Where documents are written and read, one after the other."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the node's own for documents; the charts' library keeps its list of fonts there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._annex = Annex(
            "the document room",
            annex_command("dirigent.documents.process"),
            Told,
            idle=_IDLE,
            hangs=_HANGS,
            waiting=_WAITING,
            environment={"MPLCONFIGDIR": str(folder / ".fonts"), "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        )

    async def render(self, document: Document, form: DocumentFormat | Literal["parquet"]) -> Made:
        """The document in that format; its one table as Parquet. Raises Invalid, Unavailable."""
        told = await self._annex.do(Ask("render", form, written(document)))
        return Made(told.data, told.content_type, told.extension, told.pages, told.notes)

    async def read(self, name: str, content_type: str, data: bytes, limits: ReadLimits) -> Extract:
        """What can be read out of a file. Raises Invalid, Unavailable."""
        if len(data) > limits.bytes:
            raise Invalid(f"{name or 'the file'} has {len(data)} bytes; {limits.bytes} are read at most")
        told = await self._annex.do(Ask("read", content_type, b"", name, data, limits))
        return read_extract(told.extract)

    async def close(self) -> None:
        """Ends the process."""
        await self._annex.close()
