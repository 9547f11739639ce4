"""What the room's process is asked, and what it gives back: words in JSON, so that each number stays exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from dirigent.core.documents import Document, Extract, ReadLimits

__all__ = ["Ask", "Told", "read_document", "read_extract", "written"]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A piece of work: to render `document`, or to read `data`."""

    work: Literal["render", "read"]
    form: str = ""
    """The format to write, or the media type of what is to be read."""
    document: bytes = b""
    name: str = ""
    data: bytes = b""
    limits: ReadLimits = ReadLimits()


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What came of it."""

    data: bytes = b""
    content_type: str = ""
    extension: str = ""
    pages: int | None = None
    notes: tuple[str, ...] = ()
    extract: bytes = b""


def written(value: Document | Extract) -> bytes:
    """As JSON."""
    return _WRITER.encode(value)


def read_document(data: bytes) -> Document:
    """A document from JSON."""
    return _DOCUMENTS.decode(data)


def read_extract(data: bytes) -> Extract:
    """An extract from JSON."""
    return _EXTRACTS.decode(data)


_WRITER = msgspec.json.Encoder(decimal_format="number")
_DOCUMENTS: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document, float_hook=Decimal)
_EXTRACTS: msgspec.json.Decoder[Extract] = msgspec.json.Decoder(Extract, float_hook=Decimal)
