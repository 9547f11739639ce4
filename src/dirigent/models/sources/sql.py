"""A database as a source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from msgspec import Meta

from dirigent.core.errors import Finding, Misconfigured
from dirigent.core.ports import Secret, Secrets
from dirigent.core.purposes import LOCAL
from dirigent.core.source import Offer, Source, leads_away
from dirigent.core.tables import TableSource

__all__ = ["Sql"]


class Sql(Source, frozen=True, kw_only=True):
    """A database, for reading only: a PostgreSQL by its address, or a SQLite file below the folder of sources.

    Whatever a query says, it runs where nothing can be written. Give the PostgreSQL a role of its own all the same,
    that may read what it has to and nothing else. A file is in the region `local`.
    """

    offers: ClassVar[Offer] = "tables"

    url: Secret | None = None
    """Where the address of a PostgreSQL stands, `postgresql://USER:PASSWORD@HOST/NAME`; it is itself a credential."""
    path: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    """A SQLite file, below `sources` in the data folder."""
    tables: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] | None = None
    """The only tables that may be read, `TABLE` or `SCHEMA.TABLE`; all where nothing is said. In a PostgreSQL the
    tables that a view reads count, not the view."""

    def __post_init__(self) -> None:
        if (self.url is None) is (self.path is None):
            raise ValueError("a database has either a `url` or a `path`")

    @property
    def place(self) -> str | None:
        """The region; a file's is this machine."""
        return self.region or (LOCAL if self.path else None)

    def rows_at(self, name: str, secrets: Secrets) -> TableSource:
        """The tables. Raises Misconfigured where the address is missing or none of a PostgreSQL."""
        if self.url is None:
            return TableSource(name, "sqlite", str(self.path), self.tables)
        url = secrets.reveal(self.url)
        if not url:
            raise Misconfigured(f"{self.url} is missing or empty")
        if urlsplit(url).scheme not in ("postgresql", "postgres"):
            raise Misconfigured(f"{self.url} does not hold the address of a PostgreSQL")
        return TableSource(name, "postgresql", url, self.tables)

    def faults(self, secrets: Secrets) -> Iterable[Finding]:
        """A path that leads away, or an address that cannot be read now."""
        if self.url is None:
            yield from leads_away(str(self.path), "path")
        elif bool(self.url.env) == bool(self.url.file):
            yield Finding(("url",), "a credential stands either in a variable, `env`, or in a file, `file`")
        else:
            try:
                self.rows_at("", secrets)
            except Misconfigured as fault:
                yield Finding(("url",), fault.message)
