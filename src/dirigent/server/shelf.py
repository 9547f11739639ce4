"""Other revisions than the present one: their catalogs, made on a thread when they are first asked for, and kept."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import Any

import msgspec

from dirigent.core.catalog import Catalog
from dirigent.core.editions import Edition
from dirigent.core.errors import DirigentError, Invalid, InvalidConfiguration, Misconfigured, UnknownModel
from dirigent.core.ports import Ports
from dirigent.memory import MemoryVitals

__all__ = ["Shelf"]

_log = logging.getLogger("dirigent.server")
_MOST = 16
"""Revisions that are kept beside those that aliases point at."""
_REMEMBERED = 1_000
"""Names of revisions that are known to stand for one, or for none."""
_SURE = 5.0
"""Seconds for which a no stands: whoever asks for what is not there costs no more than a look-up."""

Find = Callable[[str], tuple[str, Mapping[str, Any]]]
"""The revision whose name begins so, with its document; raises Invalid where there is none, or several."""
Make = Callable[[Mapping[str, Any]], Catalog]
"""The catalog of a document; raises InvalidConfiguration."""


class Shelf:
    """All that was ever published, as far as this node can serve it (core.editions.Editions)."""

    def __init__(self, find: Find, make: Make, ports: Ports, most: int = _MOST) -> None:
        self._find = find
        self._make = make
        self._ports = ports
        self._most = most
        self._editions: OrderedDict[str, Edition] = OrderedDict()
        self._names: dict[str, str] = {}
        self._refused: dict[str, tuple[float, type[DirigentError], str]] = {}
        self._held: Collection[str] = ()
        self._one_at_a_time = asyncio.Lock()

    def at_hand(self, letters: str) -> Edition | None:
        """The revision whose name begins so, where it is ready."""
        revision = self._names.get(letters, letters)
        found = self._editions.get(revision)
        if found is not None:
            self._editions.move_to_end(revision)
        return found

    async def edition(self, letters: str) -> Edition:
        """The revision whose name begins so, made ready if need be.

        Raises UnknownModel where there is none, or several; Misconfigured where this node cannot serve it, in words
        that name the places; the log has the rest. DatabaseGone.
        """
        async with self._one_at_a_time:  # whoever waits for the same one finds it made
            if (found := self.at_hand(letters)) is not None:
                return found
            self._refuse_again(letters)
            try:
                revision, document = await asyncio.to_thread(self._find, letters)
            except Invalid as error:
                raise self._no(letters, UnknownModel, error.message) from None
            self._names[letters] = revision
            if (found := self.at_hand(revision)) is not None:
                return found
            self._refuse_again(revision)
            try:
                catalog = await asyncio.to_thread(self._make, document)
            except InvalidConfiguration as error:
                faults = [f"{finding.dotted()}: {finding.message}" for finding in error.findings]
                _log.error("revision %s cannot be served here:\n  %s", revision, "\n  ".join(faults))
                places = ", ".join(sorted({finding.dotted() for finding in error.findings}))
                words = f"the revision {revision} cannot be served by this node, for the sake of {places}"
                raise self._no(revision, Misconfigured, words) from None
            # a deployment of the same name may be quite another one there: how it does says nothing of this one
            edition = Edition(catalog, msgspec.structs.replace(self._ports, vitals=MemoryVitals()))
            self._editions[revision] = edition
            self._tidy()
            return edition

    def hold(self, revisions: Collection[str]) -> None:
        """Keeps these in any case, once they are made."""
        self._held = revisions
        self._tidy()

    def news(self) -> None:
        """Something was published: a few letters may stand for another revision, or for several."""
        self._names.clear()
        self._refused.clear()

    def renew(self) -> None:
        """Credentials may have changed: whatever is asked for is made anew."""
        self.news()
        self._editions.clear()

    def _tidy(self) -> None:
        if len(self._names) > _REMEMBERED:
            self._names.clear()
        spare = [revision for revision in self._editions if revision not in self._held]
        for revision in spare[: max(0, len(spare) - self._most)]:
            del self._editions[revision]

    def _no(self, letters: str, kind: type[DirigentError], words: str) -> DirigentError:
        if len(self._refused) > _REMEMBERED:
            self._refused.clear()
        self._refused[letters] = (monotonic() + _SURE, kind, words)
        return kind(words, param="model")

    def _refuse_again(self, letters: str) -> None:
        until, kind, words = self._refused.get(letters, (0.0, DirigentError, ""))
        if until > monotonic():
            raise kind(words, param="model")
