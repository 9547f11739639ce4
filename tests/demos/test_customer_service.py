"""Customer service: what a message is about decides who answers, and nothing unfounded leaves without a person."""

from __future__ import annotations

import csv
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dirigent.documents.room import Room
from dirigent.local.embedder import LocalEmbedder
from dirigent.store import Database, upgrade
from dirigent.store.knowledge import Learned
from tests.demos.stage import FOLDER, Stage, staged
from tests.models.reciting import asked_of

pytestmark = pytest.mark.asyncio(loop_scope="package")
SENSOR = "Am Regler steht E1. Welchen Widerstand muss der Sensor haben und wo ist er angesteckt?"
INVOICE = "Hallo, ich brauche eine Kopie der Rechnung vom März. Wo finde ich die?"
ANGRY = "Das ist eine Unverschämtheit. Ihr Monteur hat unsere Wand beschädigt und keiner fühlt sich zuständig!"
HONEST = "Bitte prüfen Sie den Stecker X7; bei 20 °C hat ein intakter Sensor 10 kΩ."
LIE = "Bitte prüfen Sie den Stecker X9; bei 20 °C hat ein intakter Sensor 47 kΩ."


def saying(text: str) -> dict[str, Any]:
    return {"type": "recited", "says": [text]}


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def embedder() -> AsyncGenerator[LocalEmbedder]:
    """The real encoder of this machine, which takes seconds to start."""
    one = LocalEmbedder()
    yield one
    await one.close()


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def learned(
    tmp_path_factory: pytest.TempPathFactory, room: Room, embedder: LocalEmbedder
) -> AsyncGenerator[Learned]:
    """The knowledge of the use case, which the first question learns in a real database."""
    folder = tmp_path_factory.mktemp("learned")
    for name in ("knowledge", "manual"):
        shutil.copytree(FOLDER / "customer_service" / name, folder / "sources" / name)
    database = Database.within(folder / "node")
    upgrade(database)
    one = Learned(database, folder / "sources", room, embedder)
    yield one
    await one.close()
    database.close()


@pytest_asyncio.fixture(loop_scope="package")
async def stage(
    tmp_path: Path, room: Room, embedder: LocalEmbedder, learned: Learned, request: pytest.FixtureRequest
) -> AsyncGenerator[Stage]:
    """The use case with these two writers."""
    clerk, specialist = getattr(request, "param", ("Das steht im Kundenkonto unter „Belege“.", HONEST))
    models = {"clerk": saying(clerk), "specialist": saying(specialist)}
    async with staged("customer_service", tmp_path, room, models=models, embedder=embedder, knowledge=learned) as made:
        yield made


async def test_every_message_of_the_sample_is_told_apart(stage: Stage) -> None:
    stage.outcome = "approved"
    with (FOLDER / "customer_service" / "messages.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    kinds = [(row["expected"], (await stage.play("service", message=row["message"]))["kind"]) for row in rows]

    assert [kind for kind in kinds if kind[0] != kind[1] and kind[1] != "unsure"] == []
    assert sum(expected == found for expected, found in kinds) >= 14


async def test_a_standard_question_is_answered_by_the_cheap_model_with_its_sources(stage: Stage) -> None:
    result = await stage.play("service", message=INVOICE)

    assert result["by"] == "clerk"
    assert result["sources"][0]["document"] == "rechnung.md"
    assert asked_of(stage.world, "specialist") == []


async def test_a_technical_question_goes_to_the_specialist_with_the_manual(stage: Stage) -> None:
    result = await stage.play("service", message=SENSOR)

    assert result["by"] == "specialist"
    assert any("E1" in each["heading"] + each["text"] for each in result["sources"])
    assert result["answer"] == HONEST
    assert stage.questions == []


@pytest.mark.parametrize("stage", [("", LIE)], indirect=True)
async def test_a_figure_that_the_manual_does_not_state_waits_for_a_person(stage: Stage) -> None:
    stage.outcome, stage.answer = "edited", HONEST

    result = await stage.play("service", message=SENSOR)

    assert "47" in stage.questions[0].text
    assert result["answer"] == HONEST
    assert result["by"] == "person"


async def test_a_complaint_is_never_answered_by_a_model(stage: Stage) -> None:
    result = await stage.play("service", message=ANGRY)

    assert result["kind"] == "complaint"
    assert result["by"] == "person"
    assert len(stage.questions) == 1
    assert asked_of(stage.world, "clerk") == asked_of(stage.world, "specialist") == []
