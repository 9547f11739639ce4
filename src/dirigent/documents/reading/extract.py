"""Finds out what a file is, by what it holds before what it is called, and has it read."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from zipfile import BadZipFile, ZipFile

from dirigent.core.documents import Extract, ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents.reading import mail, parquet, portable, texts, web, wordfile, workbooks

__all__ = ["extract"]

_READERS: dict[str, Callable[[bytes, ReadLimits], Extract]] = {
    "pdf": portable.read,
    "docx": wordfile.read,
    "xlsx": workbooks.read,
    "parquet": parquet.read,
    "csv": texts.read_table,
    "html": web.read,
    "mail": mail.read,
    "markdown": texts.read_markdown,
    "text": texts.read_text,
}
_BY_TYPE = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "message/rfc822": "mail",
    "text/markdown": "markdown",
    "text/plain": "text",
    "application/json": "text",
}
_BY_ENDING = {
    ".csv": "csv",
    ".tsv": "csv",
    ".html": "html",
    ".htm": "html",
    ".eml": "mail",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".json": "text",
    ".log": "text",
}


def extract(name: str, content_type: str, data: bytes, limits: ReadLimits) -> Extract:
    """What can be read out of the file. Raises Invalid where it is of no known kind, broken, or beyond its limits."""
    kind = _kind(name, content_type.partition(";")[0].strip().lower(), data, limits)
    try:
        return _READERS[kind](data, limits)
    except (Invalid, MemoryError):
        raise
    except Exception as fault:  # noqa: BLE001 -- a file that is made to break its reader is a fault of the file
        raise Invalid(f"{name or 'the file'} cannot be read as {kind}: {type(fault).__name__}") from None


def _kind(name: str, content_type: str, data: bytes, limits: ReadLimits) -> str:
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _packed(name, data, limits)
    if data.startswith(b"PAR1"):
        return "parquet"
    named = _BY_ENDING.get(PurePath(name).suffix.lower()) or _BY_TYPE.get(content_type)
    if named is None and content_type.startswith("text/"):
        named = "text"
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # text of two bytes a sign, of which one is often zero
    if named is None or (b"\x00" in data[:4096] and not wide):
        raise Invalid(
            f"{name or 'the file'} is none that can be read:"
            " PDF, DOCX, XLSX, CSV, Parquet, HTML, e-mail, Markdown, text"
        )
    return named


def _packed(name: str, data: bytes, limits: ReadLimits) -> str:
    """Which of the packed kinds it is, once it is known that it does not unfold without end."""
    try:
        with ZipFile(BytesIO(data)) as packed:
            entries = packed.infolist()
            names = {entry.filename for entry in entries}
            unpacked = 0
            for entry in entries:  # what the directory says may be a lie: it is unpacked once, and only counted
                with packed.open(entry) as inner:
                    while piece := inner.read(1_048_576):
                        unpacked += len(piece)
                        if unpacked > limits.unpacked:
                            raise Invalid(
                                f"{name or 'the file'} holds more than {limits.unpacked} bytes once it is unpacked"
                            )
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as fault:
        raise Invalid(f"{name or 'the file'} is packed in a way that cannot be read: {type(fault).__name__}") from None
    if "word/document.xml" in names:
        return "docx"
    if "xl/workbook.xml" in names:
        return "xlsx"
    raise Invalid(f"{name or 'the file'} is packed, and neither DOCX nor XLSX")
