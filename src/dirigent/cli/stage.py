"""The stage of a demo: a node of its own, with the demo's configuration and data, that ends with it."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from dirigent.cli.client import Client, NotRunning, connected, governing, is_running
from dirigent.configuration import read_sheet
from dirigent.demos import folder_of
from dirigent.local.kit import BETTER, DEFAULT, SMALL
from dirigent.local.weights import locate
from dirigent.store.samples import made_of

__all__ = ["Case", "Stage", "Story"]

_PATIENCE = 60.0
"""Seconds that the node is given to begin."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request of a demo, and what people say to it."""

    name: str
    model: str
    purpose: str
    input: dict[str, Any]
    transaction: str = ""
    subject: str = ""
    decide: Literal["approve", "edit", "reject"] = "approve"
    answer: Any = None
    """With `edit`: what is taken instead."""
    documents: bool = True
    usual: bool = True
    """Whether it is played where nobody asks for all cases, or for this one."""

    def given(self, story: Story) -> dict[str, Any]:
        """The input, with the files that it names: `{file: NAME}` as its content, `{text: NAME}` as its text."""
        return {name: _read(value, story.folder) for name, value in self.input.items()}


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A demo as its `demo.yaml` tells it."""

    title: dict[str, str]
    about: dict[str, str]
    cases: tuple[Case, ...]
    purposes: tuple[dict[str, Any], ...] = ()
    files: tuple[str, ...] = ()
    """Files that its sources read."""
    folders: dict[str, str] = {}
    """Folders that its sources read, and what they are called there."""
    databases: dict[str, tuple[str, ...]] = {}
    """SQLite files, and the statements that they are made of."""
    name: str = ""

    @classmethod
    def of(cls, name: str) -> Story:
        """The demo of this name."""
        sheet = read_sheet(folder_of(name) / "demo.yaml")
        return msgspec.convert({**sheet.document, "name": name}, cls)

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return folder_of(self.name)


class Stage:
    """A node for one demo, for as long as the context lasts. Raises NotRunning where it does not begin."""

    def __init__(self, story: Story, data: Path) -> None:
        self.story = story
        self._home = data
        self._data = data / "demos" / story.name
        self._node: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()
        self.weights = ""
        """The local weights that it answers with."""
        self.caller: Client
        """Who asks, with a key for the demo's purposes."""
        self.operator: Client
        """Who decides and registers."""

    @property
    def address(self) -> str:
        """Where the node listens."""
        return self.operator.running.address

    async def __aenter__(self) -> Self:
        self._set()
        self._node = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dirigent", "serve", "--data", str(self._data), "--port", "0", "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await self._begun()
            self.operator = await self._stack.enter_async_context(governing(self._data))
            key = await self._admitted()
            self.caller = await self._stack.enter_async_context(connected(self._data, key))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        if self._node is not None and self._node.returncode is None:
            self._node.terminate()
            try:
                await asyncio.wait_for(self._node.wait(), 20)
            except TimeoutError:
                self._node.kill()
                await self._node.wait()

    async def cost(self, run: str) -> str | None:
        """What a run has cost, as `0.00125 EUR`; None where a price is not known."""
        told = await self.operator.fetch("GET", f"/api/v1/runs/trace?run={run}")
        if told["unpriced"]:
            return None
        return f"{told['cost']} {told['currency']}" if told["cost"] is not None else "0"

    async def questions(self, run: str) -> Sequence[Mapping[str, Any]]:
        """What people are asked by a run now."""
        listed = await self.operator.fetch("GET", f"/api/v1/approvals/list?run={run}")
        return [
            await self.operator.fetch("GET", f"/api/v1/approvals/show?id={row['id']}") for row in listed["approvals"]
        ]

    def _set(self) -> None:
        """Lays configuration, data and weights where the node finds them; what an earlier demo left is gone."""
        shutil.rmtree(self._data, ignore_errors=True)
        sources = self._data / "sources"
        sources.mkdir(parents=True)
        models = self._home / "models"
        present = [name for name in (DEFAULT, BETTER, SMALL) if locate(name, models).exists()]
        if not present:
            raise NotRunning(f"there are no weights in {models}: fetch some with `dirigent pull --data {self._home}`")
        self.weights = present[0]
        (self._data / "models").symlink_to(models.resolve(), target_is_directory=True)
        text = (self.story.folder / "dirigent.yaml").read_text(encoding="utf-8")
        (self._data / "dirigent.yaml").write_text(text.replace("WEIGHTS", self.weights), encoding="utf-8")
        for name in self.story.files:
            shutil.copyfile(self.story.folder / name, sources / Path(name).name)
        for name, folder in self.story.folders.items():
            shutil.copytree(self.story.folder / folder, sources / name)
        for name, statements in self.story.databases.items():
            made_of(sources / name, [(self.story.folder / each).read_text(encoding="utf-8") for each in statements])

    async def _begun(self) -> None:
        node = self._node
        if node is None or node.stdout is None or node.stderr is None:
            raise NotRunning("the demo's node did not begin")
        try:
            line = await asyncio.wait_for(node.stdout.readline(), _PATIENCE)
        except TimeoutError:
            line = b""
        if not line or not is_running(self._data):
            words = (await node.stderr.read()).decode(errors="replace").strip() if node.returncode is not None else ""
            raise NotRunning(f"the demo's node did not begin: {words or 'it said nothing'}")

    async def _admitted(self) -> str:
        """Registers the purposes, and issues a key that may name them."""
        for purpose in self.story.purposes:
            await self.operator.fetch("POST", "/api/v1/purposes/register", purpose)
        names = [purpose["name"] for purpose in self.story.purposes]
        order = {"project": "default", "purposes": names, "title": f"demo {self.story.name}"}
        issued = await self.operator.fetch("POST", "/api/v1/keys/issue", order)
        return str(issued["key"])


def _read(value: object, folder: Path) -> object:
    match value:
        case {"file": str(name), **rest} if not rest:
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            data = base64.b64encode((folder / name).read_bytes()).decode()
            return {"name": Path(name).name, "content_type": kind, "base64": data}
        case {"text": str(name), **rest} if not rest:
            return (folder / name).read_text(encoding="utf-8")
        case _:
            return value
