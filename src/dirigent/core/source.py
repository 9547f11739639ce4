"""The contract of a source: what runs may reach outside of models, by a name that the operator gave it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Finding, Forbidden
from dirigent.core.ports import Library, Origin, Secrets
from dirigent.core.registry import Kind
from dirigent.core.run import Run
from dirigent.core.tables import TableSource

__all__ = ["Offer", "Region", "Service", "ServiceRefused", "Source", "leads_away"]

Region = Annotated[str, Meta(min_length=1, max_length=64)]
Offer = Literal["tables", "service", "collection"]


class ServiceRefused(DirigentError):
    """A service has refused what was asked of it, or answers more than may be read."""

    code = "service_refused"


class Service(msgspec.Struct, frozen=True):
    """An HTTP service: where it is, what lets us in, and what of it may be asked."""

    origin: Origin
    path: str
    """What stands before each path; without a slash at its end."""
    headers: tuple[tuple[str, str], ...]
    paths: tuple[str, ...]
    """Patterns of the paths that may be asked, as `fnmatch` reads them."""
    methods: tuple[str, ...]
    protocol: Literal["rest", "odata"] = "rest"
    version: int = 4
    """Of OData."""


class Source(Kind, frozen=True, kw_only=True):
    """What runs may reach outside of models: tables, a service, or a collection of documents."""

    contract: ClassVar[str] = "source"
    offers: ClassVar[Offer]
    """What it is, in a word."""

    region: Region | None = None
    """Where it processes data, such as `eu`. A purpose that binds its data to regions reaches only what lies there."""

    @property
    def place(self) -> str | None:
        """The region that counts."""
        return self.region

    def rows_at(self, name: str, secrets: Secrets) -> TableSource:
        """The tables that a query may ask, where it offers tables. Raises Misconfigured."""
        raise NotImplementedError

    def service(self, name: str, secrets: Secrets) -> Service:
        """The service that may be called, where it offers one. Raises Misconfigured."""
        raise NotImplementedError

    def library(self, name: str) -> Library:
        """The documents that may be searched, where it offers a collection."""
        raise NotImplementedError

    def faults(self, secrets: Secrets) -> Iterable[Finding]:
        """What is wrong with these settings beyond their fields; paths are relative to the source."""
        return ()

    def permit(self, name: str, run: Run) -> None:
        """Makes sure that the run may reach it for its purpose. Raises Forbidden with the rule."""
        ruling = run.grant.may_reach(name, self.place)
        if not ruling.permitted:
            raise Forbidden(f"{ruling.rule}: the source {name!r} was not asked")


def leads_away(path: str, setting: str) -> Iterable[Finding]:
    """A fault where a path does not stay below the node's folder of sources."""
    written = PurePosixPath(path)
    if written.is_absolute() or ".." in written.parts:
        yield Finding(
            (setting,), "it lies below `sources` in the data folder: without a slash at its start, without `..`"
        )
