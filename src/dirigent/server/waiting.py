"""What a node does while the database that it shares with others is away at its start: it waits, and says so."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import suppress
from time import monotonic

from dirigent.gateway.wire import Exchange, Server
from dirigent.settings import Settings
from dirigent.store import Database, DatabaseGone, upgrade

__all__ = ["database_of", "reached"]

_log = logging.getLogger("dirigent.server")
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_TOLD_EVERY = 60.0
_WORDS = "this node waits for its database, which does not answer; it begins to serve by itself once it does"


def database_of(settings: Settings) -> Database:
    """The node's database, as it is found. Raises ValueError, and DatabaseGone where its driver is missing."""
    shared = settings.database
    return Database.at(shared) if shared is not None else Database.within(settings.data)


async def reached(
    database: Database, settings: Settings, listener: socket.socket | None, stopping: asyncio.Event
) -> int | None:
    """Returns once the database is reached and has the present schema: the port on which to listen.

    Without its rules a node knows nobody who may ask, so meanwhile each request is refused and told why. None where the
    node was told to stop. Raises DirigentError where the schema cannot be made, OSError where nothing can listen, and
    DatabaseGone where it is the embedded database, for which nobody else can do anything.
    """
    server: Server | None = None
    port, pause, told, last = settings.port, _FIRST_PAUSE, -_TOLD_EVERY, ""
    try:
        while not stopping.is_set():
            try:
                await asyncio.to_thread(upgrade, database)
            except DatabaseGone as gone:
                if database.lite:
                    raise
                if gone.message != last or monotonic() - told >= _TOLD_EVERY:
                    _log.warning("waiting for the database, and trying on: %s", gone.message)
                    last, told = gone.message, monotonic()
            else:
                return port
            if server is None:
                server = Server(_told)
                # a copy, for who stops listening closes what it has listened on
                port = await server.start(settings.host, port, sock=listener.dup() if listener is not None else None)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopping.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None
    finally:
        if server is not None:
            await server.close()


async def _told(exchange: Exchange) -> None:
    """Answers whoever asks meanwhile: this node is alive, and not ready."""
    alive = exchange.path == "/health/live"
    body: dict[str, object] = {"status": "alive"}
    if not alive:
        error = {"message": _WORDS, "type": "api_error", "param": None, "code": "database_unavailable"}
        body = {"status": "waiting", "why": _WORDS, "error": error}
    headers = [("content-type", "application/json")] + ([] if alive else [("retry-after", "5")])
    exchange.respond(200 if alive else 503, headers, json.dumps(body).encode())
