"""Who runs the durable runs of a node, as its settings say."""

from __future__ import annotations

from importlib import import_module

from dirigent.core.errors import DirigentError
from dirigent.engines import EmbeddedEngine, Worker
from dirigent.settings import Settings
from dirigent.store.journal import StoredJournal

__all__ = ["engine_of"]


def engine_of(settings: Settings, journal: StoredJournal, worker: str) -> Worker:
    """The engine of this worker. Raises DirigentError where the one that was chosen cannot work here."""
    if settings.engine == "embedded":
        return EmbeddedEngine(journal, worker)
    if settings.database is None:
        raise DirigentError("the engine `dbos` takes the PostgreSQL that nodes share: set DIRIGENT_DATABASE")
    try:
        module = import_module("dirigent.engines.dbos")  # large, and in the extra `scale` alone
    except ModuleNotFoundError:
        raise DirigentError("the engine `dbos` takes the extra `dirigent[scale]`, which is not installed") from None
    engine: Worker = module.DbosEngine(journal, worker, settings.database)
    return engine
