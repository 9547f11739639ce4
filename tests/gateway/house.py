"""A gateway on a real socket, with whatever models a test wants behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.aliases import Alias
from dirigent.core.canonical import revision_of
from dirigent.core.catalog import publishable
from dirigent.core.errors import Unavailable
from dirigent.core.events import Answer, Finished, TextDelta
from dirigent.core.identity import Principal
from dirigent.core.messages import Request, Task
from dirigent.core.model import Model
from dirigent.core.ports import (
    Archive,
    Embedder,
    Http,
    HttpAnswer,
    HttpCall,
    HttpFlow,
    HttpTaker,
    Ledger,
    LocalSpeech,
    Origin,
    Replays,
    Rights,
    Timeouts,
)
from dirigent.core.registry import Reader, Registry
from dirigent.core.run import Run
from dirigent.dialects import DIALECTS
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_tasks import OPENAI_TASKS
from dirigent.durable import Durable
from dirigent.engines import EmbeddedEngine
from dirigent.gateway.app import Gateway, Recent, Served
from dirigent.gateway.auth import Keys
from dirigent.gateway.endpoints import QUIET, routes
from dirigent.gateway.wire import Server
from dirigent.memory import MemoryObserver
from dirigent.memory.journal import MemoryJournal
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.provider import Address, Provider, origin_and_path
from dirigent.models.strategies import STRATEGIES
from dirigent.net import HttpClient
from dirigent.policies import POLICIES
from dirigent.server.shelf import Shelf
from tests.world import World

__all__ = ["House", "Straight", "chat", "house", "until"]


class Stumbling(Model, frozen=True):
    """Falls over its own feet, after `says` words."""

    says: int = 0

    async def answer(self, request: Request, run: Run) -> Answer:
        for _ in range(self.says):
            yield TextDelta("word ")
        raise ZeroDivisionError("our own fault")


class Thinking(Model, frozen=True):
    """Says nothing for some seconds, then a word, then nothing again, then another; or fails in place of the second."""

    seconds: float = 0.5
    fails: bool = False

    async def answer(self, request: Request, run: Run) -> Answer:
        ASKED.append(request.model)
        try:
            await asyncio.sleep(self.seconds)
            yield TextDelta("first ")
            await asyncio.sleep(self.seconds)
            if self.fails:
                raise Unavailable("it broke off")
            yield TextDelta("second")
            yield Finished("stop")
        finally:
            LEFT.append(request.model)


class Flooding(Model, frozen=True):
    """Says `pieces` times 64 KiB as fast as it is heard."""

    pieces: int = 1024

    async def answer(self, request: Request, run: Run) -> Answer:
        for _ in range(self.pieces):
            SAID.append(request.model)
            yield TextDelta("x" * 65_536)
            await asyncio.sleep(0)
        yield Finished("stop")


SAID: list[str] = []
"""A mark for each piece that a flooding model has said."""
ASKED: list[str] = []
"""Who was asked, of the thinking models of all houses."""
LEFT: list[str] = []
"""Whose answer is over, whole or not."""


class Jobs(Provider, frozen=True):
    """Serves every task as OpenAI does, at an address of the test."""

    base_url: str

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        return OPENAI_TASKS.get(task, OpenAIChat())

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        origin, path = origin_and_path(self.base_url)
        return Address(origin, path, ())


class Straight:
    """The HTTP client, and how often it was told to send something on the straight way and did."""

    def __init__(self) -> None:
        self._client = HttpClient()
        self.sent = 0

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> HttpFlow | None:
        flow = self._client.push(call, timeouts, taker)
        self.sent += flow is not None
        return flow

    async def open(self, call: HttpCall, timeouts: Timeouts) -> HttpAnswer:
        return await self._client.open(call, timeouts)


class House:
    """The callers' side of the gateway."""

    def __init__(self, port: int, observer: MemoryObserver) -> None:
        self.port = port
        self.observer = observer
        self._origin = Origin("127.0.0.1", port, tls=False)
        self._http = HttpClient()

    async def open(
        self, method: str, path: str, body: Any = None, key: str | None = "anna", **headers: str
    ) -> HttpAnswer:
        """An answer whose head is here; underscores in the names of headers are hyphens."""
        fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        if key is not None:
            fields = (("authorization", f"Bearer {key}"), *fields)
        sent = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        return await self._http.open(HttpCall(self._origin, path, fields, sent, method), Timeouts())

    async def raw(self, *asked: Any, **headers: Any) -> tuple[int, Mapping[str, str], bytes]:
        """A whole answer as it came."""
        answer = await self.open(*asked, **headers)
        return answer.status, answer.headers, await answer.read()

    async def call(
        self, method: str, path: str, body: Any = None, key: str | None = "anna", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """A whole answer, read as what it says it is."""
        status, given, raw = await self.raw(method, path, body, key, **headers)
        streamed = given["content-type"].startswith("text/event-stream")
        return status, dict(given), raw.decode() if streamed else msgspec.json.decode(raw or b"null")

    @property
    def last(self) -> Served:
        observed = self.observer.observed[-1]
        assert isinstance(observed, Served)
        return observed

    @property
    def noted(self) -> list[Served]:
        return [each for each in self.observer.observed if isinstance(each, Served)]

    def close(self) -> None:
        self._http.close()


_ANNA = Principal("acme", "sales", "a")


@asynccontextmanager
async def house(
    models: dict[str, Any],
    providers: dict[str, Any] | None = None,
    *,
    quiet: float = QUIET,
    replays: Replays | None = None,
    embedder: Embedder | None = None,
    speech: LocalSpeech | None = None,
    defaults: dict[str, str] | None = None,
    before: Mapping[str, Any] | None = None,
    aliases: Callable[[str, str], Sequence[Alias]] = lambda *_: (),
    rights: Rights | None = None,
    archive: Archive | None = None,
    http: Http | None = None,
    anna: Principal = _ANNA,
    durable: bool = False,
    patience: float = 60.0,
    keys: Keys | None = None,
    ledger: Ledger | None = None,
    catch_up: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[House, None]:
    """A gateway; `aliases` is given the present revision and the one in which the models were as `before`."""
    world = World({}, {}, http=http)
    ports = world.ports
    if embedder is not None:
        ports = msgspec.structs.replace(ports, embedder=embedder)
    if speech is not None:
        ports = msgspec.structs.replace(ports, speech=speech)
    ports = msgspec.structs.replace(ports, archive=archive, ledger=ledger)
    engine = EmbeddedEngine(MemoryJournal(), "w") if durable else None
    ports = msgspec.structs.replace(ports, engine=engine)
    reader = Reader(
        (
            Registry(Model, [*MODELS.kinds.values(), Stumbling, Thinking, Flooding]),
            Registry(Provider, [*PROVIDERS.kinds.values(), Jobs]),
            STRATEGIES,
            POLICIES,
        )
    )
    document = {"models": models, "providers": providers or {}, "defaults": defaults}
    catalog = publishable(document, reader, ports.listings, ports.secrets, Provider)
    published: dict[str, Mapping[str, Any]] = {catalog.revision: document}
    earlier: Mapping[str, Any] = {**document, "models": before} if before is not None else document
    published[revision_of(earlier)] = earlier
    shelf = Shelf(
        lambda letters: next((name, each) for name, each in published.items() if name.startswith(letters)),
        lambda each: publishable(each, reader, ports.listings, ports.secrets, Provider),
        ports,
    )
    conductor, dialect, recent = Conductor(catalog, ports, rights, editions=shelf), OpenAIChat(), Recent()
    conductor.point({alias.name: alias for alias in aliases(catalog.revision, revision_of(earlier))})
    keys = keys or Keys.of({"anna": anna, "bert": Principal("other", "hr", "b")})
    paths = routes(conductor, dialect, recent, dict, quiet=quiet, replays=replays, patience=patience)
    gateway = Gateway(conductor, keys, paths, dialect, recent, catch_up=catch_up)
    server = Server(gateway.take, refusal=gateway.refusal)
    if engine is not None:
        await engine.start(Durable(conductor, (kind() for kind in DIALECTS.kinds.values())))
    assert isinstance(ports.observer, MemoryObserver)
    made = House(await server.start(), ports.observer)
    ASKED.clear()
    LEFT.clear()
    SAID.clear()
    try:
        yield made
    finally:
        made.close()
        await server.close()
        if engine is not None:
            await engine.close()


def chat(model: str = "echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello there"}], **more}


async def until(truth: Callable[[], object], seconds: float = 30.0) -> None:
    """Returns as soon as `truth()` holds; fails after so many seconds."""
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110  what it waits for happens elsewhere, and sets no event
            await asyncio.sleep(0.01)
