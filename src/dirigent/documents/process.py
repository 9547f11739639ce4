"""The room's process: documents are written and read here, with bounded memory and no key within reach."""

from __future__ import annotations

import resource
import sys

from dirigent.annex.process import Breathe, inhabit
from dirigent.core.documents import Made
from dirigent.core.errors import Invalid
from dirigent.documents import page, parquet, pdf, plain, word, workbook
from dirigent.documents.message import Ask, Told, read_document, written
from dirigent.documents.reading import extract

_MEMORY = 3 * 1024**3
"""Bytes of address space: what unfolds without end ends there."""
_WRITERS = {
    "md": plain.made,
    "html": page.made,
    "docx": word.made,
    "pdf": pdf.made,
    "xlsx": workbook.made,
    "parquet": parquet.made,
}


def work(ask: Ask, _: Breathe) -> Told:
    """Does one piece of work. Raises Invalid where the ask is at fault."""
    if ask.work == "read":
        return Told(extract=written(extract(ask.name, ask.form, ask.data, ask.limits)))
    writer = _WRITERS.get(ask.form)
    if writer is None:
        raise Invalid(f"there is no format {ask.form!r}; known are {', '.join(_WRITERS)}")
    done: Made = writer(read_document(ask.document))
    return Told(done.data, done.content_type, done.extension, done.pages, done.notes)


if __name__ == "__main__":
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    inhabit(Ask, work)
