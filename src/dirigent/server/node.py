"""One worker of a node: settings become ports, ports and a configuration become something that answers."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

import uvloop

from dirigent.conductor import Conductor
from dirigent.core.ports import Ports
from dirigent.dialects import DIALECTS
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.durable import Durable
from dirigent.engines import Worker
from dirigent.gateway.app import Gateway, Recent
from dirigent.gateway.auth import Keys
from dirigent.gateway.endpoints import routes
from dirigent.gateway.wire import Server
from dirigent.listings import Listings
from dirigent.local.speech import VoiceAndEars
from dirigent.local.supervisor import LocalModels
from dirigent.memory import MemoryAffinity, MemoryCache, MemorySlots
from dirigent.models.language import language_of
from dirigent.server.configured import Catalogs
from dirigent.server.engine import engine_of
from dirigent.server.following import Following
from dirigent.server.governance import Governance
from dirigent.server.local import local_states, warm_up
from dirigent.server.outside import client, fetcher
from dirigent.server.reach import Reach
from dirigent.server.running import Running
from dirigent.server.waiting import database_of, reached
from dirigent.settings import EnvironmentSecrets, Settings
from dirigent.telemetry.logs import LogObserver

__all__ = ["run_worker"]

_log = logging.getLogger("dirigent.server")
_DRAIN = 30.0
"""Seconds that running answers are given when the node stops."""
_STDIN = 0


def run_worker(settings: Settings, announce: Callable[[Running], None], listener: socket.socket | None = None) -> None:
    """Serves until it is told to stop; calls `announce` when it answers.

    One of several workers takes the `listener` that they share, and leaves as well when its standard input ends. Raises
    InvalidConfiguration before anything listens where the file is at fault, OSError where nothing can listen.
    """
    uvloop.run(_Node(settings).serve(announce, listener))


class _Node:
    """One worker: its ports, its conductor, its server, and what it follows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    async def serve(  # noqa: PLR0915  each statement puts one part in its place
        self, announce: Callable[[Running], None], listener: socket.socket | None
    ) -> None:
        settings = self._settings
        listings, secrets = Listings(), EnvironmentSecrets()
        catalogs = Catalogs(settings.config_file, listings, secrets)
        catalogs.of_file()  # a file at fault is refused before anything is touched
        self._listen_for_ends(tied=listener is not None)
        database = database_of(settings)
        found = await reached(database, settings, listener, self._stopping)
        if found is None:
            database.close()
            return
        log = LogObserver(settings.data / "logs" / "served.jsonl")
        local = LocalModels(settings.data.resolve())
        http = client(settings)
        governance = Governance(settings, database, log, catalogs, http, secrets=secrets)
        following = Following(settings.config_file, catalogs, secrets, governance, local)
        catalog = following.begin()
        fetch = fetcher(settings)
        speech = VoiceAndEars(language_of)
        reach = Reach(settings, database)
        engine = engine_of(settings, governance.journal, f"{governance.node}-{os.getpid()}-{token_hex(4)}")
        ports = Ports(
            http=http,
            local=local,
            embedder=reach.embedder,
            speech=speech,
            listings=listings,
            vitals=governance.vitals,
            slots=MemorySlots(),
            affinity=MemoryAffinity(),
            secrets=secrets,
            observer=governance.observer,
            cache=MemoryCache(),
            fetch=fetch,
            ledger=governance.ledger,
            archive=governance.archive,
            rates=governance.rights.rate,
            tables=reach.tables,
            documents=reach.documents,
            knowledge=reach.knowledge,
            engine=engine,
            files=governance.files,
        )
        conductor = Conductor(catalog, ports, governance.rights, editions=following.shelf(ports))
        await following.aim(conductor)
        durable = Durable(conductor, (kind() for kind in DIALECTS.kinds.values()))
        dialect = OpenAIChat()
        standing = lambda: {"local": local_states(conductor.catalog, local)}  # noqa: E731
        recent = Recent()
        paths = routes(conductor, dialect, recent, standing, quiet=settings.keep_alive, patience=settings.patience)
        gateway = Gateway(
            conductor,
            Keys(governance.rights),
            paths,
            dialect,
            recent,
            beyond=governance,
            tracer=governance.tracer,
            catch_up=governance.rights.catch_up,
        )
        await governance.start(conductor, gateway, following.published)
        await engine.start(durable)
        governance.runs_moved = governance.journal.news = engine.told
        server = Server(gateway.take, refusal=gateway.refusal)
        port = await server.start(settings.host, found, sock=listener)
        running = Running(settings.host, port, os.getpid())
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, following.reload)
        governance.address = running.address
        warm_up(catalog, local)
        _unburden()
        announce(running)
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(governance.watch(following.run(conductor)))
                attending = tasks.create_task(governance.attending.run())
                await self._stopping.wait()
                watching.cancel()
                attending.cancel()
        finally:
            await self._leave(server, engine)
            await local.close()
            await speech.close()
            await reach.close()
            http.close()
            if fetch is not None:
                fetch.close()
            await governance.close()
            log.close()

    def _listen_for_ends(self, *, tied: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if tied:  # the parent holds the other end, so it ends with the parent, however that one ends
            loop.add_reader(_STDIN, self._look_at_parent)

    def _stop(self) -> None:
        """The first signal asks to leave in order, the second to leave now."""
        (self._hurrying if self._stopping.is_set() else self._stopping).set()

    def _look_at_parent(self) -> None:
        with suppress(ConnectionError):  # a parent that was killed leaves no proper end behind
            if os.read(_STDIN, 4096):
                return
        asyncio.get_running_loop().remove_reader(_STDIN)
        self._stopping.set()

    async def _leave(self, server: Server, engine: Worker) -> None:
        """Lets running answers finish, for thirty seconds at most or until somebody is in a hurry.

        Durable runs are let go: callers who still wait for one meet it again at another worker.
        """
        draining = asyncio.create_task(server.drain(_DRAIN))
        resting = asyncio.create_task(engine.close(_DRAIN))
        hurried = asyncio.create_task(self._hurrying.wait())
        for leaving in (draining, resting):
            await asyncio.wait({leaving, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            await asyncio.gather(server.close(), engine.close())
        elif not draining.result():
            _log.warning("answers that had not ended after %.0f s were cut", _DRAIN)
        hurried.cancel()
        await asyncio.gather(draining, resting)


def _give_back() -> None:
    """Gives the memory that starting has left empty back to the system, where the C library can do that."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _unburden() -> None:
    """Takes off the interpreter what would cost each request a little and serves none."""
    # every answer is closed by whoever reads it, so the loop need not keep a list of them for its end
    sys.set_asyncgen_hooks(firstiter=None)
    gc.collect()
    _give_back()
    gc.freeze()  # what stands now stands for good: later collections need not walk it
    gc.set_threshold(25_000, 20, 20)  # requests leave no circles behind: looking for them all the time is waste
