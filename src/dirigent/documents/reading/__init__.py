"""Reading what others have written: text, tables and facts of a file, within limits, whatever it may be made to do."""

from __future__ import annotations

from dirigent.documents.reading.extract import extract

__all__ = ["extract"]
