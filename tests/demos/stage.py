"""A stage on which a use case is played: its own configuration and tables, real documents, and whoever is to write."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

import dirigent
from dirigent.configuration import read_sheet
from dirigent.core.approvals import Question, Verdict
from dirigent.core.grants import Grant, Scope
from dirigent.core.journal import Asked, Decided, Entry, StepEnded, Suspended, fold, joined, parted, read
from dirigent.core.logbook import Logbook
from dirigent.core.messages import Request
from dirigent.core.ports import Embedder, Knowledge, LocalModels
from dirigent.core.purposes import Purpose
from dirigent.documents.room import Room
from dirigent.local.kit import SMALL
from dirigent.memory.files import MemoryFiles
from dirigent.store.sources import Sources
from tests.models.reciting import Recited, asked_of
from tests.world import World

__all__ = ["FOLDER", "Stage", "staged"]

FOLDER = Path(dirigent.__file__).parent / "demos"


class Stage:
    """Plays runs of one use case, and decides what they ask people."""

    def __init__(self, name: str, world: World, files: MemoryFiles) -> None:
        self.name, self.world, self.files = name, world, files
        self.demo: Mapping[str, Any] = read_sheet(FOLDER / name / "demo.yaml").document
        self.entries: list[Entry] = []
        self.questions: list[Question] = []
        self.outcome = "approved"
        self.answer: Any = None
        self._runs = 0

    @property
    def purpose(self) -> Purpose:
        """The purpose that the use case registers, as the register keeps it."""
        order = self.demo["purposes"][0]
        regions = order.get("regions")
        return Purpose(
            order["name"],
            order["title"],
            order["basis"],
            tuple(order["data_classes"]),
            models=tuple(order["models"]),
            regions=None if regions is None else tuple(regions),
        )

    async def play(self, model: str, **given: Any) -> dict[str, Any]:
        """The result of a run for that purpose, everything that it asks people decided."""
        self._runs += 1
        self.entries = []
        while True:
            run = self.world.run(seconds=300)
            run.id = f"{self.name}-{self._runs}"
            run.grant = Grant(self.purpose, (Scope("this node"),))
            run.purpose = self.purpose.name
            run.logbook = Logbook(run.id, fold(self.entries), self._append)
            try:
                response = await self.world.collect(model, json.dumps(given), run)
            except Suspended:
                self._decide()
                continue
            result: dict[str, Any] = read(response.text.encode())
            return result

    async def document(self, made: Mapping[str, Any]) -> bytes:
        """What a document of the result holds."""
        _, data = await self.files.read("tenant", made["file"])
        return data

    def outputs(self, name: str) -> list[Any]:
        """What the steps of this name gave, in order."""
        return [e.output for e in self.entries if isinstance(e, StepEnded) and e.path.rpartition("/")[2] == name]

    @property
    def asked(self) -> list[Request]:
        """What the writer was asked."""
        return asked_of(self.world, "writer")

    async def _append(self, entries: Sequence[Entry]) -> None:
        self.entries += [joined(*parted(entry)) for entry in entries]

    def _decide(self) -> None:
        decided = {entry.approval for entry in self.entries if isinstance(entry, Decided)}
        for asked in [entry for entry in self.entries if isinstance(entry, Asked)]:
            if asked.approval in decided or asked.question is None:
                continue
            self.questions.append(asked.question)
            answer = self.answer if self.outcome == "edited" else asked.question.proposal
            verdict = Verdict(self.outcome, answer if self.outcome != "rejected" else None, ("anna",), "")  # type: ignore[arg-type]
            self.entries.append(Decided(path=asked.path, approval=asked.approval, verdict=verdict))


@asynccontextmanager
async def staged(
    name: str,
    data: Path,
    room: Room,
    *,
    writer: Mapping[str, Any] | None = None,
    local: LocalModels | None = None,
    tables: Mapping[str, str] | None = None,
    models: Mapping[str, Any] | None = None,
    providers: Mapping[str, Any] | None = None,
    sources: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    embedder: Embedder | None = None,
    knowledge: Knowledge | None = None,
) -> AsyncGenerator[Stage]:
    """The use case with this writer, or the small model of this machine; `tables` are laid over its own.

    Its documents are made in `room`, which stays open.
    """
    files = data / "sources"
    files.mkdir(parents=True, exist_ok=True)
    for file in (FOLDER / name).glob("*.csv"):
        shutil.copy(file, files)
    for file_name, text in (tables or {}).items():
        (files / file_name).write_text(text, encoding="utf-8")
    written = data / "dirigent.yaml"
    written.write_text((FOLDER / name / "dirigent.yaml").read_text("utf-8").replace("WEIGHTS", SMALL), "utf-8")
    sheet = read_sheet(written)
    assert not sheet.faults, sheet.faults
    document = {**sheet.document, "models": {**sheet.document["models"], **(models or {})}}
    if writer is not None:
        document["models"]["writer"] = dict(writer)
    document["providers"] = {**document["providers"], **(providers or {})}
    document["sources"] = {**document.get("sources", {}), **(sources or {})}
    world = World({"m": {"type": "echo"}}, local=local, kinds=(Recited,), secrets=secrets)
    kept = MemoryFiles()
    opened = Sources(data / "sources")
    world.ports = msgspec.structs.replace(
        world.ports,
        tables=opened,
        documents=room,
        files=kept,
        embedder=embedder or world.ports.embedder,
        knowledge=knowledge,
    )
    try:
        world.catalog = world.published(document)
        yield Stage(name, world, kept)
    finally:
        opened.close()
