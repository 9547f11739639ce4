"""The composition root: settings become ports, ports and a configuration become a node that answers.

The only room that knows everyone.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import msgspec
import uvloop

from dirigent.conductor import Conductor
from dirigent.configuration import Misread, Sheet, described, read_sheet
from dirigent.core.catalog import Catalog, publishable
from dirigent.core.errors import InvalidConfiguration
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
from dirigent.local.supervisor import LocalModels
from dirigent.local.weights import locate
from dirigent.memory import MemoryVitals
from dirigent.models import MODELS
from dirigent.models.deployment import Deployment
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.llama_cpp import LlamaCpp
from dirigent.models.providers.provider import Provider
from dirigent.models.strategies import STRATEGIES
from dirigent.net import HttpClient, Proxies
from dirigent.settings import EnvironmentSecrets, Settings, proxies
from dirigent.telemetry.logs import LogObserver

__all__ = ["Running", "checked", "client", "first_key", "prepared", "reader", "run_worker"]

_log = logging.getLogger("dirigent.server")
_LOOK_EVERY = 0.5
_DRAIN = 30.0


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


def reader() -> Reader:
    """The reader of all kinds, those of installed plug-ins included."""
    return Reader(registry.with_plugins() for registry in (MODELS, PROVIDERS, STRATEGIES))


def checked(settings: Settings) -> tuple[Sheet, Catalog]:
    """The configuration file and its catalog. Raises InvalidConfiguration with every fault; nothing is started."""
    sheet = read_sheet(settings.config_file)
    return sheet, _published(sheet, reader(), Listings(), EnvironmentSecrets())


def first_key(data: Path) -> str:
    """The key that a new data folder begins with; made once, readable by its owner only."""
    file = data / "first-key"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        key = f"dk-{token_urlsafe(32)}"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(key + "\n")
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


def run_worker(
    settings: Settings, *, reuse_port: bool = False, announce: Callable[[Running], None] | None = None
) -> None:
    """Serves until it is told to stop; raises InvalidConfiguration before anything listens where the file is at fault."""
    uvloop.run(_Node(settings).serve(reuse_port=reuse_port, announce=announce))


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

    async def serve(self, *, reuse_port: bool, announce: Callable[[Running], None] | None) -> None:
        settings = self._settings
        catalog = self._read()
        http = client(settings)
        local = LocalModels(settings.data.resolve())
        embedder = LocalEmbedder()
        observer = LogObserver(settings.data / "logs" / "served.jsonl")
        ports = Ports(
            http=http,
            local=local,
            embedder=embedder,
            listings=self._listings,
            vitals=MemoryVitals(),
            secrets=self._secrets,
            observer=observer,
        )
        conductor = Conductor(catalog, ports)
        dialect = OpenAIChat()
        keys = Keys.of({first_key(settings.data): Principal("default", "default", "first")})
        standing = lambda: {"local": _local_states(conductor.catalog, local)}  # noqa: E731
        recent = Recent()
        gateway = Gateway(conductor, keys, routes(conductor, dialect, recent, standing), dialect, recent)
        server = Server(gateway.handle, refusal=gateway.refusal)
        port = await server.start(settings.host, settings.port, reuse_port=reuse_port)
        running = Running(settings.host, port, os.getpid())
        # every answer is closed by whoever reads it, so the loop need not keep a list of them for its end
        sys.set_asyncgen_hooks(firstiter=None)
        loop = asyncio.get_running_loop()
        for number, event in (
            (signal.SIGTERM, self._stopping),
            (signal.SIGINT, self._stopping),
            (signal.SIGHUP, self._reloading),
        ):
            loop.add_signal_handler(number, event.set)
        _warm_up(catalog, local)
        gc.collect()
        gc.freeze()  # what stands now stands for good: later collections need not walk it
        if announce is not None:
            announce(running)
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(conductor, local))
                await self._stopping.wait()
                watching.cancel()
        finally:
            await server.drain(_DRAIN)
            await local.close()
            await embedder.close()
            http.close()
            observer.close()

    def _read(self) -> Catalog:
        return _published(read_sheet(self._file), self._reader, self._listings, self._secrets)

    async def _watch(self, conductor: Conductor, local: LocalModels) -> None:
        """Takes a changed file over, or says why not and keeps the catalog that stands."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._reloading.wait()
            except TimeoutError:
                if _stamp(self._file) == self._stamp:
                    continue
            self._reloading.clear()
            self._stamp = _stamp(self._file)
            self._secrets.forget()
            try:
                catalog = await asyncio.to_thread(self._read)
            except InvalidConfiguration as error:
                faults = "\n  ".join(described(error, self._file))
                _log.error("the new configuration is refused and %s stays:\n  %s", conductor.catalog.revision, faults)
                continue
            if catalog.revision != conductor.catalog.revision:
                _log.warning("revision %s takes over from %s", catalog.revision, conductor.catalog.revision)
            conductor.swap(catalog)
            _warm_up(catalog, local)


def _published(sheet: Sheet, kinds: Reader, listings: Listings, secrets: EnvironmentSecrets) -> Catalog:
    try:
        return publishable(sheet.document, kinds, listings, secrets, Provider)
    except InvalidConfiguration as error:
        raise Misread(error.findings, sheet) from None


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced. Looked at, not subscribed to: that works on every file system."""
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
