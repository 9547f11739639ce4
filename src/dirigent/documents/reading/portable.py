"""PDF files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pypdf import PasswordType, PdfReader

from dirigent.core.documents import Extract, ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents.reading.bounded import Cuts

__all__ = ["read"]

_FACTS = {"/Title": "title", "/Author": "author", "/Subject": "subject", "/Keywords": "keywords", "/Creator": "creator"}
_BROKEN = re.compile(r"(\w)[-\u00ad]\n(?=[a-zäöüß])")
"""A word that was broken at the end of a line."""
_EMPTY = 8
"""Characters below which a page has no text of its own, most likely because it is a picture."""


def read(data: bytes, limits: ReadLimits) -> Extract:
    """The text of each page. A page that is a picture has none, and that is said. Raises Invalid where it is locked."""
    cuts = Cuts(limits)
    reader = PdfReader(BytesIO(data))
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise Invalid("the PDF is locked by a password")
    pages: list[str] = []
    size = 0
    for number, page in enumerate(reader.pages):
        if number == limits.pages:
            cuts.note(f"the document was cut after {limits.pages} pages")
            break
        text = _BROKEN.sub(r"\1", page.extract_text() or "").strip()
        size += len(text)
        pages.append(text)
        if size > limits.characters:
            break
    empty = sum(len(page) < _EMPTY for page in pages)
    if empty:
        cuts.note(f"{empty} of {len(pages)} pages have no text of their own; they may be pictures")
    told: Mapping[str, object] = reader.metadata or {}
    facts: dict[str, Any] = {name: str(told[key]) for key, name in _FACTS.items() if told.get(key)}
    facts["pages"] = len(reader.pages)
    return Extract("pdf", cuts.text("\n\n".join(pages)), tuple(pages), facts=facts, cut=tuple(cuts.words))
