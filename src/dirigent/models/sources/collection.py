"""A folder of documents as a source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.ports import Library, Secrets
from dirigent.core.purposes import LOCAL
from dirigent.core.source import Offer, Source, leads_away

__all__ = ["Collection"]


class Collection(Source, frozen=True, kw_only=True):
    """Documents that are learned and searched: Markdown, text, HTML, PDF and Word files below a folder.

    They are learned when they are first searched, and again where they have changed. What was learned stays on the
    node, apart for each tenant.
    """

    offers: ClassVar[Offer] = "collection"

    path: Annotated[str, Meta(min_length=1, max_length=1000)]
    """The folder, below `sources` in the data folder."""
    chunk: Annotated[int, Meta(ge=200, le=4000)] = 900
    """Characters of one piece, about; it begins and ends where a paragraph does, wherever that is possible."""

    @property
    def place(self) -> str | None:
        """The region: this machine's, unless another one is named."""
        return self.region or LOCAL

    def library(self, name: str) -> Library:
        """The documents."""
        return Library(name, self.path, chunk=self.chunk)

    def faults(self, secrets: Secrets) -> Iterable[Finding]:
        """A path that leads away."""
        return leads_away(self.path, "path")
