"""The embedded models: each in one process for the whole node, started when it is wanted and again when it dies.

Several worker processes of a node share a model's process. The worker that holds `local/NAME.lock` starts and watches
it and writes where it listens to `local/NAME.json`; the others read that file. When the holder ends, so does its child,
and another worker takes over.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import time
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.ports import LocalEndpoint, LocalSetup, LocalState
from dirigent.local.child import Child, Refused
from dirigent.local.kit import KIT
from dirigent.local.latch import Latch
from dirigent.local.launch import Launch, Tuning
from dirigent.local.weights import check_gguf, locate, pulling

__all__ = ["LocalModels", "Post"]

_LOOK = 0.25
"""Seconds between two looks of a follower at the lock and the post."""
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.25, 30.0, 60.0
"""Seconds before the first restart, at most before a later one, and of good service after which all is forgiven."""
_HOPELESS = 3
"""Falls in a row after which callers are turned away at once instead of being kept waiting."""

Phase = Literal["absent", "pulling", "loading", "ready", "failed"]


class Post(msgspec.Struct, frozen=True):
    """What the holder tells the other workers about a model: one file, replaced whole."""

    holder: int
    phase: Phase
    words: str
    port: int = 0
    key: str = ""
    pid: int = 0
    started: float = 0.0
    """Unix time at which the process began to answer."""


class LocalModels:
    """The local models of one data folder; implements the port of that name.

    All of it belongs to one event loop, and never blocks it. The loop must run in the main thread of its process: on
    Linux a child ends with the thread that started it.
    """

    def __init__(self, data: Path, tuning: Tuning | None = None) -> None:
        self.models = data / "models"
        self.tuning = tuning or Tuning()
        self._data = data
        self._keepers: dict[str, _Keeper] = {}
        self._leaving: set[_Keeper] = set()
        self._closed = False

    @property
    def context_per_slot(self) -> int:
        """Tokens that one request and its answer may have together."""
        return self.tuning.context_per_slot

    def slots(self, setup: LocalSetup) -> int:
        """How many answers the model gives at once."""
        return setup.slots or self.tuning.slots

    def state(self, name: str) -> LocalState:
        """How the model of these weights stands now; within microseconds and without starting anything."""
        keeper = self._keepers.get(name)
        if keeper is None or keeper.stopped:
            return self._at_rest(name)
        post = keeper.look()
        return LocalState(post.phase, post.words)

    def start(self, name: str, setup: LocalSetup = LocalSetup()) -> None:  # noqa: B008 -- frozen
        """Begins to load the model and keeps it running from now on; returns at once. Absent weights are no error.

        A model that runs with another setup is started anew with this one.
        """
        keeper, tuning = self._keepers.get(name), self._tuned(setup)
        if keeper is not None and not keeper.stopped:
            if keeper.tuning == tuning:
                return
            self._let_go(keeper)
        if self._at_rest(name).phase != "loading":
            return
        path = locate(name, self.models)
        self._keepers[name] = _Keeper(name, path, self._data, tuning)

    def retain(self, names: Collection[str]) -> None:
        """Lets go of every model that is not among `names`; their processes end, their memory is free again."""
        for name in [name for name in self._keepers if name not in names]:
            self._let_go(self._keepers.pop(name))

    async def endpoint(self, name: str, setup: LocalSetup, patience: float) -> LocalEndpoint:
        """Where the model listens; starts it if need be and waits `patience` seconds at most.

        Raises Unavailable, in words that say how it stands: at once where waiting cannot help.
        """
        if self._closed:
            raise Unavailable(f"the local model {name} is not running: this node is closing")
        self.start(name, setup)
        keeper = self._keepers.get(name)
        if keeper is None or keeper.stopped:
            raise Unavailable(f"the local model {name} is not there: {self._at_rest(name).words}")
        post = keeper.look()
        if post.phase == "loading":
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await keeper.settled()
            post = keeper.look()
        if post.phase == "ready":
            return LocalEndpoint(post.port, post.key)
        raise Unavailable(
            f"the local model {name} is {'loading' if post.phase == 'loading' else 'not running'}: {post.words}",
            retry_after=1.0 if post.phase == "loading" else None,
        )

    async def close(self) -> None:
        """Ends every process that this worker holds, and forgets the others."""
        self._closed = True
        keepers = [*self._keepers.values(), *self._leaving]
        self._keepers = {}
        await asyncio.gather(*(keeper.close() for keeper in keepers))

    def _let_go(self, keeper: _Keeper) -> None:
        keeper.abandon()
        self._leaving = {leaving for leaving in self._leaving if not leaving.stopped} | {keeper}

    def _tuned(self, setup: LocalSetup) -> Tuning:
        return msgspec.structs.replace(
            self.tuning,
            threads=setup.threads or self.tuning.threads,
            slots=setup.slots or self.tuning.slots,
            context_per_slot=setup.context or self.tuning.context_per_slot,
        )

    def _at_rest(self, name: str) -> LocalState:
        """How a model stands that nobody keeps running here."""
        try:
            path = locate(name, self.models)
            if not path.exists():
                return _absent(name, path)
            check_gguf(path)
        except DirigentError as error:
            return LocalState("failed", error.message)
        if find_spec("xllamacpp") is None:
            return LocalState("failed", "its engine is not installed: install `dirigent[local]`")
        return LocalState("loading", "it starts with the first request")


def _absent(name: str, path: Path) -> LocalState:
    if name not in KIT:
        return LocalState("absent", f"{path} does not exist")
    if (done := pulling(path)) is not None:
        return LocalState("pulling", f"{done // 10**6} of {KIT[name].megabytes} MB are here")
    return LocalState("absent", f"{path} does not exist; fetch it with `dirigent pull {name}`")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:  # gone, or its number is another user's by now
        return False
    with suppress(OSError, IndexError):  # where the system can tell: one that is dead and not yet collected is gone
        return Path("/proc", str(pid), "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
    return True


class _Keeper:
    """Keeps one model running while this worker lives: as the holder of its lock, or as a follower of the holder."""

    def __init__(self, name: str, path: Path, data: Path, tuning: Tuning) -> None:
        self.post = Post(os.getpid(), "loading", "it is being started")
        self.tuning = tuning
        self._name, self._path = name, path
        stem = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")[-40:]
        slug = f"{stem}-{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
        for folder in (data / "local", data / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self._board = data / "local" / f"{slug}.json"
        self._latch = Latch(data / "local" / f"{slug}.lock")
        self._log = data / "logs" / f"local-{slug}.log"
        self._changed = asyncio.Event()
        # a task of its own, not of a caller's group: it outlives the request that wanted the model first
        self._task = asyncio.create_task(self._keep(), name=f"local model {name}")

    @property
    def stopped(self) -> bool:
        """Whether it has given up or was closed, so that only a new keeper can help."""
        return self._task.done()

    def look(self) -> Post:
        """The post as it stands. A process that has died since is not called ready, also where a worker follows."""
        if self.post.phase == "ready" and not _alive(self.post.pid):
            self._set(Post(self.post.holder, "loading", "it has just ended and is started again"))
        return self.post

    async def settled(self) -> None:
        """Returns when the model is ready, or when waiting for it has become useless."""
        while self.look().phase == "loading" and not self.stopped:
            self._changed.clear()
            await self._changed.wait()

    def abandon(self) -> None:
        """Begins to end what this worker holds."""
        self._task.cancel()

    async def close(self) -> None:
        """Ends what this worker holds."""
        self.abandon()
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        try:
            while True:
                if self._latch.seize():
                    return await self._hold()
                self._follow()
                await asyncio.sleep(_LOOK)
        finally:
            self._latch.release()
            self._set(Post(os.getpid(), "failed", "it is not watched any more"))

    async def _hold(self) -> None:
        """Starts the process again and again while its file exists, with pauses that grow when it does not hold out."""
        self._board.unlink(missing_ok=True)  # what the last holder wrote is not true any more
        falls, words = 0, "it is being loaded"
        try:
            while self._path.exists():
                self._announce("loading" if falls < _HOPELESS else "failed", words)
                began = time.monotonic()
                try:
                    words = await self._serve()
                    falls = 1 if time.monotonic() - began > _STEADY else falls + 1
                except Refused as refusal:
                    words = f"llama.cpp cannot load {self._path.name}: {refusal}"
                    falls = max(falls + 1, _HOPELESS)  # what it cannot load now, it can hardly load in a moment
                except OSError as error:
                    words, falls = f"its process cannot be started: {error}", falls + 1
                words = f"{words}; it is started again"
                self._announce("loading" if falls < _HOPELESS else "failed", words)
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (falls - 1))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # workers and nodes that fell together rise apart
        finally:
            self._board.unlink(missing_ok=True)

    async def _serve(self) -> str:
        key = secrets.token_hex(16)
        launch = Launch(os.getpid(), str(self._path), self._name, key, str(self._log), self.tuning)
        child = await Child.start(launch)
        try:
            heard = child.listening
            words = f"loaded in {heard.seconds:.1f} s, {heard.slots} slots of {heard.context_per_slot} tokens"
            self._announce("ready", words, heard.port, key, child.pid)
            return await child.wait()
        finally:
            await asyncio.shield(child.end())

    def _follow(self) -> None:
        """Takes over what the holder has posted; while it has posted nothing, the model is loading."""
        try:
            post = msgspec.json.decode(self._board.read_bytes(), type=Post)
        except (OSError, msgspec.MsgspecError):
            post = Post(0, "loading", "another worker is starting it")
        self._set(post)

    def _announce(self, phase: Phase, words: str, port: int = 0, key: str = "", pid: int = 0) -> None:
        post = Post(os.getpid(), phase, words, port, key, pid, time.time() if port else 0.0)
        self._set(post)
        with suppress(OSError):  # on a full disk this worker serves on; only the others do not hear of it
            draft = self._board.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it holds the key
            with os.fdopen(file, "wb") as stream:
                stream.write(msgspec.json.encode(post))
            draft.replace(self._board)

    def _set(self, post: Post) -> None:
        if post != self.post:
            self.post = post
            self._changed.set()
