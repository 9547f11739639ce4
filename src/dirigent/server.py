"""The composition root: settings become ports, ports and a configuration become a node that answers.

The only room that knows everyone.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import msgspec
import uvloop

from dirigent.conductor import Conductor
from dirigent.configuration import Misread, Sheet, described, read_sheet
from dirigent.core.catalog import Catalog, publishable
from dirigent.core.errors import DirigentError, Finding, InvalidConfiguration
from dirigent.core.identity import Principal
from dirigent.core.ports import Ports
from dirigent.core.registry import Reader
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.gateway.app import Gateway, Recent
from dirigent.gateway.auth import Keys
from dirigent.gateway.endpoints import routes
from dirigent.gateway.wire import Server
from dirigent.listings import Listings
from dirigent.local.embedder import LocalEmbedder
from dirigent.local.kit import BETTER, DEFAULT, SMALL
from dirigent.local.speech import VoiceAndEars
from dirigent.local.supervisor import LocalModels
from dirigent.local.weights import locate
from dirigent.memory import MemoryAffinity, MemoryCache, MemorySlots, MemoryVitals
from dirigent.models import MODELS
from dirigent.models.deployment import Deployment
from dirigent.models.language import language_of
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.llama_cpp import LlamaCpp
from dirigent.models.providers.provider import Provider
from dirigent.models.strategies import STRATEGIES
from dirigent.models.verifiers import VERIFIERS
from dirigent.net import Fetcher, HttpClient, Proxies
from dirigent.net.address import harmless, public
from dirigent.policies import POLICIES
from dirigent.settings import EnvironmentSecrets, Settings, proxies
from dirigent.telemetry.logs import LogObserver

__all__ = ["Running", "checked", "client", "fetcher", "first_key", "prepared", "reader", "run_worker"]

_log = logging.getLogger("dirigent.server")
_LOOK_EVERY = 0.25
"""Seconds between two looks at the configuration file."""
_DRAIN = 30.0
"""Seconds that running answers are given when the node stops."""
_STDIN = 0


class Running(msgspec.Struct, frozen=True):
    """Where a node listens, as written into its data folder for the command line to find."""

    host: str
    port: int
    pid: int

    @property
    def address(self) -> str:
        """The address to call, without a slash at its end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def client(settings: Settings) -> HttpClient:
    """The HTTP client with the operator's proxies and certificate authorities."""
    given = proxies()
    return HttpClient(authorities=settings.ca_file, proxies=Proxies(given.http, given.https, given.exempt))


def fetcher(settings: Settings) -> Fetcher | None:
    """Who fetches what callers name; None where the operator has switched that off."""
    if settings.fetch == "off":
        return None
    given = proxies()
    permits = harmless if settings.fetch == "any" else public
    around = Proxies(given.http, given.https, given.exempt)
    return Fetcher(permits=permits, authorities=settings.ca_file, proxies=around)


def reader() -> Reader:
    """The reader of all kinds, those of installed plug-ins included."""
    return Reader(registry.with_plugins() for registry in (MODELS, PROVIDERS, STRATEGIES, VERIFIERS, POLICIES))


def checked(settings: Settings) -> tuple[Sheet, Catalog]:
    """The configuration file and its catalog. Raises InvalidConfiguration with every fault; nothing is started."""
    sheet = read_sheet(settings.config_file)
    return sheet, _published(sheet, reader(), Listings(), EnvironmentSecrets())


def first_key(data: Path) -> str:
    """The key that a new data folder begins with; made once, readable by its owner only.

    Raises DirigentError where the file holds no key any more.
    """
    file = data / "first-key"
    try:
        key = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        key = f"dk-{token_urlsafe(32)}"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(key + "\n")
        return key
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise DirigentError(f"{file} holds no key; remove it, and a new one is made")
    return key


def prepared(settings: Settings) -> bool:
    """Makes the data folder with its first key and, unless a file was named, the commented starter configuration.

    True where the configuration is new.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    first_key(settings.data)
    file = settings.config_file
    if settings.config is not None or file.exists():
        return False
    present = [name for name in (DEFAULT, BETTER, SMALL) if locate(name, settings.data / "models").exists()]
    text = (Path(__file__).parent / "starter.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("WEIGHTS", present[0] if present else DEFAULT), encoding="utf-8")
    return True


def run_worker(settings: Settings, announce: Callable[[Running], None], listener: socket.socket | None = None) -> None:
    """Serves until it is told to stop; calls `announce` when it answers.

    One of several workers takes the `listener` that they share, and leaves as well when its standard input ends. Raises
    InvalidConfiguration before anything listens where the file is at fault, OSError where nothing can listen.
    """
    uvloop.run(_Node(settings).serve(announce, listener))


class _Node:
    """One worker: its ports, its conductor, its server, and the file that it watches."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.config_file
        self._reader = reader()
        self._listings = Listings()
        self._secrets = EnvironmentSecrets()
        self._stamp = _stamp(self._file)
        self._reloading = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    async def serve(self, announce: Callable[[Running], None], listener: socket.socket | None) -> None:
        settings = self._settings
        catalog = self._read()
        http = client(settings)
        fetch = fetcher(settings)
        local = LocalModels(settings.data.resolve())
        embedder = LocalEmbedder()
        speech = VoiceAndEars(language_of)
        observer = LogObserver(settings.data / "logs" / "served.jsonl")
        ports = Ports(
            http=http,
            local=local,
            embedder=embedder,
            speech=speech,
            listings=self._listings,
            vitals=MemoryVitals(),
            slots=MemorySlots(),
            affinity=MemoryAffinity(),
            secrets=self._secrets,
            observer=observer,
            cache=MemoryCache(),
            fetch=fetch,
        )
        conductor = Conductor(catalog, ports)
        dialect = OpenAIChat()
        keys = Keys.of({first_key(settings.data): Principal("default", "default", "first")})
        standing = lambda: {"local": _local_states(conductor.catalog, local)}  # noqa: E731
        recent = Recent()
        paths = routes(conductor, dialect, recent, standing, quiet=settings.keep_alive)
        gateway = Gateway(conductor, keys, paths, dialect, recent)
        server = Server(gateway.take, refusal=gateway.refusal)
        port = await server.start(settings.host, settings.port, sock=listener)
        running = Running(settings.host, port, os.getpid())
        # every answer is closed by whoever reads it, so the loop need not keep a list of them for its end
        sys.set_asyncgen_hooks(firstiter=None)
        self._listen_for_signals(tied=listener is not None)
        _warm_up(catalog, local)
        gc.collect()
        gc.freeze()  # what stands now stands for good: later collections need not walk it
        gc.set_threshold(25_000, 20, 20)  # requests leave no circles behind: looking for them all the time is waste
        announce(running)
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(conductor, local))
                await self._stopping.wait()
                watching.cancel()
        finally:
            await self._leave(server)
            await local.close()
            await embedder.close()
            await speech.close()
            http.close()
            if fetch is not None:
                fetch.close()
            observer.close()

    def _listen_for_signals(self, *, tied: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reloading.set)
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

    async def _leave(self, server: Server) -> None:
        """Lets running answers finish, for thirty seconds at most or until somebody is in a hurry."""
        draining = asyncio.create_task(server.drain(_DRAIN))
        hurried = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await server.close()
        elif not draining.result():
            _log.warning("answers that had not ended after %.0f s were cut", _DRAIN)
        hurried.cancel()
        await draining

    def _read(self) -> Catalog:
        return _published(read_sheet(self._file), self._reader, self._listings, self._secrets)

    async def _watch(self, conductor: Conductor, local: LocalModels) -> None:
        """Takes a changed file over, or says why not and keeps the catalog that stands."""
        seen = self._stamp
        while True:
            asked = await self._told_to_reload()
            before, seen = seen, _stamp(self._file)
            # A file that has just changed may still be written, and half of one can be valid: it counts once it rests.
            if not asked and (seen == self._stamp or seen != before):
                continue
            self._stamp = seen
            try:
                await self._take_over(conductor, local)
            except Exception:  # noqa: BLE001  a fault of ours over the new file must not end what serves by the old
                _log.exception("the configuration could not be taken over; %s stays", conductor.catalog.revision)

    async def _told_to_reload(self) -> bool:
        """True at once where somebody asked for it; False after the time between two looks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await self._reloading.wait()
        asked = self._reloading.is_set()
        self._reloading.clear()
        return asked

    async def _take_over(self, conductor: Conductor, local: LocalModels) -> None:
        self._secrets.forget()
        stays = conductor.catalog.revision
        try:
            catalog = await asyncio.to_thread(self._read)
        except InvalidConfiguration as error:
            faults = described(error, self._file)
            _log.error("the new configuration is refused and revision %s stays:\n  %s", stays, "\n  ".join(faults))
            return
        if catalog.revision == stays:
            _log.warning("revision %s stays: it was read again, with its credentials, and nothing is new", stays)
        else:
            _log.warning("revision %s takes over from %s", catalog.revision, stays)
        conductor.swap(catalog)
        _warm_up(catalog, local)


def _published(sheet: Sheet, kinds: Reader, listings: Listings, secrets: EnvironmentSecrets) -> Catalog:
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
        raise Misread([Finding(("models",), "there is not one model, so nobody could be asked")], sheet)
    return catalog


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced. Looked at, not subscribed to: that works on each file system."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _embedded(catalog: Catalog) -> dict[str, LlamaCpp]:
    """The weights that the catalog's deployments use on this machine, and by which provider."""
    found: dict[str, LlamaCpp] = {}
    for model in catalog.models.values():
        if isinstance(model, Deployment) and isinstance(provider := catalog.providers[model.provider], LlamaCpp):
            found[model.name] = provider
    return found


def _warm_up(catalog: Catalog, local: LocalModels) -> None:
    embedded = _embedded(catalog)
    local.retain(embedded)
    for name, provider in embedded.items():
        local.start(name, provider.setup)


def _local_states(catalog: Catalog, local: LocalModels) -> dict[str, Any]:
    return {name: local.state(name) for name in _embedded(catalog)}
