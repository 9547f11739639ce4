"""The step that reads documents."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from dirigent.core.documents import ReadLimits
from dirigent.core.errors import Finding, Invalid, Unavailable
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.core.ports import Files
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Read"]


class Read(Step, frozen=True, kw_only=True):
    """Read a file of the run: text, tables and what it tells of itself, out of PDF, Word, Excel, CSV, HTML or e-mail.

    The result has `kind`, `text`, `pages`, `tables` (each with `name`, `columns` and `rows`), `facts`, `attachments`,
    and `cut`: what was left out for its limits, in words.
    """

    effect: ClassVar[Effect] = "pure"

    file: str
    """A template that gives the id of the file; or the file itself, as an object of `name`, `content_type` and
    `base64`, for callers who send it along."""
    limits: ReadLimits = ReadLimits()
    """How much of it is read."""

    async def work(self, place: Place) -> Any:
        """What was read. Raises Invalid where it is no file that can be read, Unavailable."""
        run = place.run
        if run.ports.documents is None or run.ports.files is None:
            raise Unavailable("this node reads no documents: that takes the extra `dirigent[office]`")
        name, content_type, data = await self._bytes(place, run.ports.files)
        found = await run.ports.documents.read(name, content_type, data, self.limits)
        place.tell(kind=found.kind, characters=len(found.text), tables=len(found.tables), cut=len(found.cut))
        told = {name: getattr(found, name) for name in found.__struct_fields__ if name != "tables"}
        tables = [{"name": sheet.name, "columns": sheet.columns, "rows": sheet.rows} for sheet in found.tables]
        return {**told, "tables": tables}

    async def _bytes(self, place: Place, files: Files) -> tuple[str, str, bytes]:
        """Name, type and content of the file. Raises Invalid where it is none."""
        given = place.value(self.file)
        if not isinstance(given, Mapping):
            filed, data = await files.read(place.run.principal.tenant, str(given).strip())
            return filed.name, filed.content_type, data
        try:
            data = b64decode(str(given["base64"]), validate=True)
        except KeyError:
            raise Invalid("file: it has no `base64`, in which its content would stand") from None
        except ValueError:
            raise Invalid("file: its `base64` is none") from None
        return str(given.get("name") or "file"), str(given.get("content_type") or "application/octet-stream"), data

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its template."""
        return template_faults(self.file, names, ("file",))
