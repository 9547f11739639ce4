"""What queries ask and what comes of them: tables wherever they lie, bounds, and rows of plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError

__all__ = ["Bounds", "QueryFailed", "Rows", "TableSource"]


class QueryFailed(DirigentError):
    """The database has refused a query, in its own words; or it found more than the query may bring."""

    code = "query_failed"


class TableSource(msgspec.Struct, frozen=True):
    """Where tables lie. It may hold a credential, and so is never shown."""

    name: str
    """As the configuration calls it."""
    kind: Literal["sqlite", "postgresql", "files"]
    address: str
    """Of a PostgreSQL its URL; else a path below the node's folder of sources."""
    tables: tuple[str, ...] | None = None
    """The only tables that may be read, with their schema where they have one; all where nothing is said."""

    def __repr__(self) -> str:
        return f"TableSource({self.name!r}, {self.kind!r})"


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a query may bring and take at most."""

    rows: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Rows; what lies beyond is left out, and said so."""
    bytes: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 5_000_000
    """Bytes of all values together, as text; a query that finds more fails."""
    seconds: Annotated[float, Meta(gt=0, le=300)] = 15.0
    """Seconds until it is broken off."""


class Rows(msgspec.Struct, frozen=True):
    """What a query has found, as plain data: exact decimals, ISO dates."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    more: bool
    """Whether there were more rows than it may bring."""
