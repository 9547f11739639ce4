"""From a configuration file to the catalog that it describes, or to every fault in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dirigent.configuration import Misread, Sheet, read_sheet
from dirigent.core.catalog import Catalog, publishable
from dirigent.core.errors import Finding, InvalidConfiguration
from dirigent.core.ports import Listings, Secrets
from dirigent.core.registry import Reader
from dirigent.listings import Listings as Published
from dirigent.models.providers.provider import Provider
from dirigent.server.parts import reader
from dirigent.settings import EnvironmentSecrets, Settings

__all__ = ["Catalogs", "checked", "stamp"]


def checked(settings: Settings) -> tuple[Sheet, Catalog]:
    """The configuration file and its catalog. Raises InvalidConfiguration with every fault; nothing is started."""
    sheet = read_sheet(settings.config_file)
    return sheet, _published(sheet, reader(), Published(), EnvironmentSecrets())


class Catalogs:
    """Makes catalogs: of the node's file, and of what was published otherwise."""

    def __init__(self, file: Path, listings: Listings, secrets: Secrets) -> None:
        self._file = file
        self._kinds = reader()
        self._listings = listings
        self._secrets = secrets

    def of_file(self) -> tuple[Sheet, Catalog]:
        """The node's file and its catalog. Raises InvalidConfiguration with every fault and its line."""
        sheet = read_sheet(self._file)
        return sheet, _published(sheet, self._kinds, self._listings, self._secrets)

    def of(self, document: Mapping[str, Any]) -> Catalog:
        """The catalog of a document. Raises InvalidConfiguration with every fault."""
        return publishable(document, self._kinds, self._listings, self._secrets, Provider)

    def faults(self, document: Mapping[str, Any]) -> Sequence[Finding]:
        """Every fault of a document; none where it is publishable."""
        try:
            catalog = self.of(document)
        except InvalidConfiguration as error:
            return error.findings
        return () if catalog.models else (_NOBODY,)


_NOBODY = Finding(("models",), "there is not one model, so nobody could be asked")


def _published(sheet: Sheet, kinds: Reader, listings: Listings, secrets: Secrets) -> Catalog:
    odd = {fault.path for fault in sheet.faults}
    try:
        catalog = publishable(sheet.document, kinds, listings, secrets, Provider)
    except InvalidConfiguration as error:
        # one fault a place: what cannot be in the format is why the rest of it does not fit
        others = (fault for fault in error.findings if fault.path not in odd)
        raise Misread((*sheet.faults, *others), sheet) from None
    if sheet.faults:
        raise Misread(sheet.faults, sheet)
    if not catalog.models:
        raise Misread([_NOBODY], sheet)
    return catalog


def stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced. Looked at, not subscribed to: that works on each file system."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
