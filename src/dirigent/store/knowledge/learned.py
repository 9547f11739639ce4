"""The port `Knowledge`: learns the documents of a collection when they change, and finds what answers a question.

Words can be searched as soon as a document is read; its vectors follow, for they take the encoder a tenth of a second
each. A search waits for both only as long as it may, and then takes what is there.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec

from dirigent.core.documents import ReadLimits
from dirigent.core.errors import DirigentError, Invalid, Unavailable
from dirigent.core.ports import Cited, Documents, Embedder, Library
from dirigent.store.database import Database
from dirigent.store.knowledge.pieces import Piece, cut
from dirigent.store.knowledge.rows import documents, forget, keep_document, keep_vectors, pieces, unencoded
from dirigent.store.sources.sources import below

__all__ = ["Learned"]

_ENDINGS = frozenset((".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx"))
_LOOKED = 5.0
"""Seconds for which a folder that was looked at counts as unchanged."""
_PATIENCE = 20.0
"""Seconds that a search waits for what is being learned."""
_BATCH = 16
_MOST_FILES, _MOST_PIECES = 20_000, 100_000
_KEPT = 16
"""Collections that are held in memory."""
_VERSION = 1
"""Rises when pieces are cut otherwise."""
_log = logging.getLogger("dirigent.store")


class _Held(msgspec.Struct, frozen=True):
    """A collection in memory."""

    ranking: Any
    found: Sequence[Any]


class _Collection:
    """A collection of one tenant, as far as this worker knows it."""

    def __init__(self) -> None:
        self.looked = 0.0
        self.held: _Held | None = None
        self.learning: asyncio.Task[None] | None = None
        self.fault: DirigentError | None = None


class Learned:
    """What was learned, in the node's database."""

    def __init__(self, database: Database, folder: Path, reader: Documents, embedder: Embedder) -> None:
        self._database, self._folder = database, folder
        self._documents, self._embedder = reader, embedder
        self._collections: dict[tuple[str, Library], _Collection] = {}

    async def search(self, tenant: str, library: Library, question: str, most: int) -> Sequence[Cited]:
        """The pieces that answer best. Raises Unavailable, Invalid."""
        collection = self._collection(tenant, library)
        if collection.learning is None and monotonic() - collection.looked > _LOOKED:
            collection.learning = asyncio.create_task(self._learn(tenant, library, collection))
        if collection.learning is not None:
            await asyncio.wait({collection.learning}, timeout=_PATIENCE)
        if collection.held is None:
            collection.held = await self._load(tenant, library)
        if not collection.held.found:
            if collection.fault is not None:
                raise collection.fault
            return ()
        held = collection.held
        vector = await self._vector(tenant, question)
        best = await asyncio.to_thread(held.ranking.best, question, vector, most)
        return [_cited(held.found[index], score) for index, score in best]

    async def forget(self, tenant: str, library: str, document: str | None = None) -> int:
        """Forgets it in the database and in memory. A file that is still in its folder is learned again when asked."""
        gone = await self._database.writing(partial(forget, tenant=tenant, collection=library, document=document))
        for (owner, known), collection in self._collections.items():
            if owner == tenant and known.name == library:
                collection.held, collection.looked = None, 0.0
        return gone

    async def close(self) -> None:
        """Breaks off what is being learned; what was learned stays."""
        waiting = [each.learning for each in self._collections.values() if each.learning is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _collection(self, tenant: str, library: Library) -> _Collection:
        found = self._collections.pop((tenant, library), None) or _Collection()
        self._collections[tenant, library] = found  # the latest asked stands last
        held = [each for each in self._collections.values() if each.held is not None]
        for each in held[:-_KEPT]:
            each.held = None
        return found

    async def _learn(self, tenant: str, library: Library, collection: _Collection) -> None:
        try:
            collection.fault = None
            if await self._read(tenant, library):
                collection.held = None
            if collection.held is not None and await self._has_lost(tenant, library, collection.held):
                collection.held = None
            if await self._encode(tenant, library):
                collection.held = None
        except DirigentError as fault:
            collection.fault = fault
            _log.warning("the collection %s was not learned to its end: %s", library.name, fault.message)
        finally:
            collection.looked = monotonic()
            collection.learning = None

    async def _read(self, tenant: str, library: Library) -> bool:
        """Reads what is new or has changed, and forgets what is gone; whether there was any."""
        folder = below(self._folder, library.folder)
        there = await asyncio.to_thread(_files, folder, library)
        known = await self._database.reading(partial(documents, tenant=tenant, collection=library.name))
        for document in known.keys() - there.keys():
            await self._database.writing(partial(forget, tenant=tenant, collection=library.name, document=document))
        changed = [document for document, stamp in there.items() if known.get(document) != stamp]
        for document in changed:
            found, fault = await self._pieces(folder / document, library)
            await self._database.writing(
                partial(
                    keep_document, tenant=tenant, collection=library.name, document=document, stamp=there[document],
                    found=found, fault=fault, now=int(time() * 1000),
                )
            )  # fmt: skip
        return bool(changed) or known.keys() != there.keys()

    async def _has_lost(self, tenant: str, library: Library, held: _Held) -> bool:
        """Whether something of what is held in memory was forgotten in the database, by whomever."""
        known = await self._database.reading(partial(documents, tenant=tenant, collection=library.name))
        return not known.keys() >= {row.document for row in held.found}

    async def _pieces(self, file: Path, library: Library) -> tuple[Sequence[Piece], str]:
        """The pieces of a file, or why there are none; a file at fault stops no other."""
        try:
            data = await asyncio.to_thread(file.read_bytes)
            read = await self._documents.read(file.name, "", data, ReadLimits())
        except (Invalid, OSError) as fault:
            _log.warning("nothing was learned of %s: %s", file.name, fault)
            return (), str(fault)
        return await asyncio.to_thread(cut, read.text, read.pages, library.chunk), ""

    async def _encode(self, tenant: str, library: Library) -> bool:
        """Gives every piece its vector; whether there was any."""
        done = False
        while True:
            rows = await self._database.reading(partial(unencoded, tenant=tenant, collection=library.name, most=_BATCH))
            if not rows:
                return done
            texts = [f"{row.heading}\n{row.text}" if row.heading else row.text for row in rows]
            vectors = await self._embedder.encode(texts, "passage", tenant)
            named = [
                (row.document, row.position, row.text, array("f", vector).tobytes())
                for row, vector in zip(rows, vectors, strict=True)
            ]
            await self._database.writing(partial(keep_vectors, tenant=tenant, collection=library.name, vectors=named))
            done = True

    async def _load(self, tenant: str, library: Library) -> _Held:
        found = await self._database.reading(partial(pieces, tenant=tenant, collection=library.name))
        if len(found) > _MOST_PIECES:
            raise Unavailable(f"the collection {library.name} has more than {_MOST_PIECES} pieces: part it")
        return await asyncio.to_thread(_held, found)

    async def _vector(self, tenant: str, question: str) -> Sequence[float] | None:
        """The question's vector; None where the encoder is not here, and words alone decide."""
        try:
            (vector,) = await self._embedder.encode([question], "query", tenant)
        except Unavailable:
            return None
        return vector


def _held(found: Sequence[Any]) -> _Held:
    try:
        ranking = import_module("dirigent.store.knowledge.ranking")
    except ModuleNotFoundError as missing:
        raise Unavailable(f"searching takes the extra `dirigent[local]`, which lacks {missing.name} here") from None
    texts = [f"{row.heading}\n{row.text}" for row in found]
    return _Held(ranking.Ranking(texts, [row.vector for row in found]), found)


def _files(folder: Path, library: Library) -> dict[str, str]:
    """The documents below a folder, each with what changes when it does."""
    if not folder.is_dir():
        raise Unavailable(f"the folder {library.folder!r} of the collection {library.name} is not there")
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() not in _ENDINGS or not file.is_file():
            continue
        if len(found) == _MOST_FILES:
            raise Unavailable(f"the collection {library.name} has more than {_MOST_FILES} files: part it")
        status = file.stat()
        stamp = f"{_VERSION}:{library.chunk}:{status.st_mtime_ns}:{status.st_size}"
        found[file.relative_to(folder).as_posix()] = stamp
    return found


def _cited(row: Any, score: float) -> Cited:
    return Cited(row.document, row.heading, row.text, row.position, row.page, round(score, 6))
