"""How a worker follows what is published: by its own file, and by what others publish or roll back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dirigent.conductor import Conductor
from dirigent.configuration import described
from dirigent.core.catalog import Catalog
from dirigent.core.errors import DirigentError, InvalidConfiguration, Misconfigured, UnknownModel
from dirigent.core.ports import Ports
from dirigent.local.supervisor import LocalModels
from dirigent.server.configured import Catalogs, stamp
from dirigent.server.governance import Governance
from dirigent.server.local import warm_up
from dirigent.server.shelf import Shelf
from dirigent.settings import EnvironmentSecrets
from dirigent.store.revisions import Publication

__all__ = ["Following"]

_log = logging.getLogger("dirigent.server")
_LOOK_EVERY = 0.5
"""Seconds between two looks at the configuration file."""
_RESTS = 0.25
"""Seconds after which a file that has changed is looked at again: once it is the same as before, it counts."""
_REPORT_EVERY = 2.0


class Following:
    """Takes over what is new, or says why not and keeps the catalog that stands."""

    def __init__(
        self, file: Path, catalogs: Catalogs, secrets: EnvironmentSecrets, governance: Governance, local: LocalModels
    ) -> None:
        self._file = file
        self._catalogs = catalogs
        self._secrets = secrets
        self._governance = governance
        self._local = local
        self._stamp = stamp(file)
        self._reloading = asyncio.Event()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._publication: Publication | None = None
        self._shelf: Shelf | None = None

    def begin(self) -> Catalog:
        """The catalog to begin with: what is published, once the file was taken into account.

        Raises InvalidConfiguration, Misread with the lines where the file is at fault; DatabaseGone.
        """
        sheet, catalog = self._catalogs.of_file()
        self._publication, document = self._governance.take_file(sheet.document)
        if self._publication.revision == catalog.revision:
            return catalog
        _log.warning(
            "revision %s was published after the file was last taken over, and counts; the file has %s",
            self._publication.revision,
            catalog.revision,
        )
        return self._catalogs.of(document)

    def shelf(self, ports: Ports) -> Shelf:
        """Where the other revisions stand, for runs with these ports."""
        self._shelf = Shelf(self._governance.revision, self._catalogs.of, ports)
        return self._shelf

    async def aim(self, conductor: Conductor) -> None:
        """Follows the aliases as they stand now, once the revisions that they point at are ready. Raises DatabaseGone.

        One that cannot be served here does not hold up the others; whoever asks for it is told.
        """
        aliases = await asyncio.to_thread(self._governance.aliases)
        revisions = {share.revision for alias in aliases.values() for share in alias.shares if share.revision}
        if self._shelf is not None:
            self._shelf.hold(revisions)
        for revision in sorted(revisions):
            try:
                await conductor.pinned(revision)
            except (Misconfigured, UnknownModel) as error:
                _log.error("an alias points at what cannot be served: %s", error.message)
        if aliases != conductor.aliases:
            conductor.point(aliases)

    def reload(self) -> None:
        """Reads the file again, whether it has changed or not."""
        self._reloading.set()

    def published(self) -> None:
        """Somebody has published something, says a thread of whatever kind."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self, conductor: Conductor) -> None:
        """Follows until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_file(conductor))
            tasks.create_task(self._follow_others(conductor))
            tasks.create_task(self._report())

    async def _follow_file(self, conductor: Conductor) -> None:
        seen = self._stamp
        while True:
            asked = await _set_within(self._reloading, _LOOK_EVERY if seen == self._stamp else _RESTS)
            before, seen = seen, stamp(self._file)
            # A file that has just changed may still be written, and half of one can be valid: it counts once it rests.
            if not asked and (seen == self._stamp or seen != before):
                continue
            self._stamp = seen
            try:
                await self._take_file(conductor)
            except Exception:  # noqa: BLE001  a fault of ours over the new file must not end what serves by the old
                _log.exception("the configuration could not be taken over; %s stays", conductor.catalog.revision)

    async def _take_file(self, conductor: Conductor) -> None:
        self._secrets.forget()
        if self._shelf is not None:
            self._shelf.renew()
        stays = conductor.catalog.revision
        try:
            sheet, catalog = await asyncio.to_thread(self._catalogs.of_file)
        except InvalidConfiguration as error:
            faults = described(error, self._file)
            _log.error("the new configuration is refused and revision %s stays:\n  %s", stays, "\n  ".join(faults))
            return
        publication, document = await asyncio.to_thread(self._governance.take_file, sheet.document)
        if publication.revision != catalog.revision:
            _log.warning("the file has not changed, so revision %s, published since, stays", publication.revision)
            catalog = await asyncio.to_thread(self._catalogs.of, document)
        elif catalog.revision == stays:
            _log.warning("revision %s stays: it was read again, with its credentials, and nothing is new", stays)
        await self._swap(conductor, publication, catalog)

    async def _follow_others(self, conductor: Conductor) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._shelf is not None:
                self._shelf.news()
            try:
                await self.aim(conductor)
                present = await asyncio.to_thread(self._governance.present)
                if present is not None and (self._publication is None or present[0].number > self._publication.number):
                    await self._take(conductor, *present)
            except DirigentError as error:
                _log.error("what was published cannot be taken over yet: %s", error.message)
                await asyncio.sleep(_RESTS)
                self._news.set()
            except Exception:  # noqa: BLE001  a fault of ours must not end what serves
                _log.exception("what was published could not be taken over; %s stays", conductor.catalog.revision)

    async def _take(self, conductor: Conductor, publication: Publication, document: Mapping[str, Any]) -> None:
        if publication.revision == conductor.catalog.revision:
            self._publication = publication
            await self._governance.report(publication)
            return
        try:
            catalog = await asyncio.to_thread(self._catalogs.of, document)
        except InvalidConfiguration as error:
            faults = "\n  ".join(f"{finding.dotted()}: {finding.message}" for finding in error.findings)
            _log.error(
                "revision %s cannot be served here, and %s stays:\n  %s",
                publication.revision,
                conductor.catalog.revision,
                faults,
            )
            self._publication = publication
            return
        await self._swap(conductor, publication, catalog)

    async def _swap(self, conductor: Conductor, publication: Publication, catalog: Catalog) -> None:
        """The one assignment; runs in flight end on the catalog with which they began."""
        if catalog.revision != conductor.catalog.revision:
            _log.warning("revision %s takes over from %s", catalog.revision, conductor.catalog.revision)
        conductor.swap(catalog)
        self._publication = publication
        self._governance.taken(publication)
        warm_up(catalog, self._local)
        with suppress(DirigentError):  # the regular report tells it as well
            await self._governance.report(publication)

    async def _report(self) -> None:
        """Tells the others what this worker serves, for as long as it does."""
        while True:
            if self._publication is not None:
                try:
                    await self._governance.report(self._publication)
                except DirigentError:
                    pass  # the database is away, and says so itself
                except Exception:  # noqa: BLE001  a fault of ours here must not end what serves
                    _log.exception("the others cannot be told what this node serves")
            await asyncio.sleep(_REPORT_EVERY)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set within the time; it is cleared."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    was = event.is_set()
    event.clear()
    return was
