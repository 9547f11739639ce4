"""The step that reads documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from dirigent.core.documents import ReadLimits
from dirigent.core.errors import Finding, Unavailable
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
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
    """A template that gives the id of the file."""
    limits: ReadLimits = ReadLimits()
    """How much of it is read."""

    async def work(self, place: Place) -> Any:
        """What was read. Raises Invalid where it is no file that can be read, Unavailable."""
        run = place.run
        if run.ports.documents is None or run.ports.files is None:
            raise Unavailable("this node reads no documents: that takes the extra `dirigent[office]`")
        filed, data = await run.ports.files.read(run.principal.tenant, place.text(self.file).strip())
        found = await run.ports.documents.read(filed.name, filed.content_type, data, self.limits)
        place.tell(kind=found.kind, characters=len(found.text), tables=len(found.tables), cut=len(found.cut))
        told = {name: getattr(found, name) for name in found.__struct_fields__ if name != "tables"}
        return {**told, "tables": [msgspec.structs.asdict(sheet) for sheet in found.tables]}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its template."""
        return template_faults(self.file, names, ("file",))
