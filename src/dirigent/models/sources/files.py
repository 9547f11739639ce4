"""A folder of tables as a source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.ports import Secrets
from dirigent.core.purposes import LOCAL
from dirigent.core.source import Offer, Source, leads_away
from dirigent.core.tables import TableSource

__all__ = ["Files"]


class Files(Source, frozen=True, kw_only=True):
    """A folder of CSV, Parquet and JSON files, each a table that a query names.

    The table of `Sales 2026.csv` is called `sales_2026`. A query sees the tables of this folder and nothing else of
    the machine.
    """

    offers: ClassVar[Offer] = "tables"

    path: Annotated[str, Meta(min_length=1, max_length=1000)]
    """The folder, or one file, below `sources` in the data folder."""
    tables: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] | None = None
    """The only tables that may be read; all where nothing is said."""

    @property
    def place(self) -> str | None:
        """The region: this machine's, unless another one is named."""
        return self.region or LOCAL

    def rows_at(self, name: str, secrets: Secrets) -> TableSource:
        """The tables."""
        return TableSource(name, "files", self.path, self.tables)

    def faults(self, secrets: Secrets) -> Iterable[Finding]:
        """A path that leads away."""
        return leads_away(self.path, "path")
