"""Development plans: needs and costs are computed, nobody learns of anybody's health, and a person decides."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import docx
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dirigent.core.errors import BadAnswer, Forbidden
from dirigent.documents.room import Room
from dirigent.local.supervisor import LocalModels
from tests.demos.stage import Stage, staged
from tests.journeys.weights import give_weights

pytestmark = pytest.mark.asyncio(loop_scope="package")
SILENT = {"type": "recited", "says": ["?"]}
"""A writer that says nothing of use, and keeps what it was asked."""
HEALTH = ("Krankheit", "Teilzeit", "Bandscheibe", "15 kg", "körperlich")
"""Words of two absence notes and of a goal."""
CLOUD = {"type": "deployment", "provider": "cloud", "name": "gpt-4o"}
CLOUDS = {
    "cloud": {"type": "compatible", "base_url": "http://127.0.0.1:9/v1", "region": "eu", "api_key": {"env": "KEY"}}
}


async def texts_of(stage: Stage, result: dict[str, Any]) -> dict[str, str]:
    """The words of each document, by its name."""
    return {made["name"]: words(made["name"], await stage.document(made)) for made in result["documents"]}


def words(name: str, data: bytes) -> str:
    file = BytesIO(data)
    match Path(name).suffix:
        case ".pdf":
            found = [page.extract_text() for page in PdfReader(file).pages]
        case ".docx":
            document = docx.Document(file)
            cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
            found = [*(paragraph.text for paragraph in document.paragraphs), *cells]
        case _:
            rows = [row for sheet in load_workbook(file) for row in sheet.iter_rows(values_only=True)]
            found = [str(value) for row in rows for value in row if value is not None]
    return " ".join(" ".join(found).split())


async def test_what_is_lacking_and_which_courses_lead_there_is_computed_to_the_cent(tmp_path: Path, room: Room) -> None:
    async with staged("development_plans", tmp_path, room, writer=SILENT) as stage:
        result = await stage.play("development_plans", employees=["E-101", "E-107"], budget=3000)
        (needs,), (courses,) = stage.outputs("needs"), stage.outputs("courses")

    def of(rows: list[dict[str, Any]], who: str, *fields: str) -> list[tuple[Any, ...]]:
        return [tuple(row[field] for field in fields) for row in rows if row["employee"] == who]

    assert of(needs["rows"], "E-101", "skill", "present", "needed", "gap") == [
        ("Arbeitssicherheit", 0, 3, 3),
        ("Führung", 1, 3, 2),
        ("Kundengespräch", 4, 4, 0),
        ("Lüftungstechnik", 4, 4, 0),
    ]
    assert of(courses["rows"], "E-101", "course", "priority", "price", "now") == [("C-02", 1, Decimal(1290), True)]
    assert of(courses["rows"], "E-107", "course", "priority", "now") == [
        ("C-30", 1, True),
        ("C-32", 2, True),
        ("C-31", 3, False),  # 1,980 + 320 + 740 is more than 3,000
    ]
    plans = {plan["employee"]: plan for plan in result["plans"]}
    assert (plans["E-101"]["days"], plans["E-101"]["cost"], plans["E-101"]["uncovered"]) == (
        3,
        1290,
        "Arbeitssicherheit",
    )
    assert (plans["E-107"]["days"], plans["E-107"]["cost"], plans["E-107"]["later"]) == (6, 2300, 1)
    assert (result["days"], result["cost"]) == (9, 3590)


async def test_all_twelve_get_two_documents_in_their_language_and_nobody_learns_of_their_health(
    tmp_path: Path, room: Room
) -> None:
    async with staged("development_plans", tmp_path, room, writer=SILENT) as stage:
        result = await stage.play("development_plans", budget=3000)
        texts = await texts_of(stage, result)
        asked = [message.text for request in stage.asked for message in request.messages]
        written = repr(stage.entries)
        questions = repr(stage.questions)

    assert len(stage.questions) == 12
    assert sorted(name.rpartition(".")[2] for name in texts) == ["docx"] * 12 + ["pdf"] * 12 + ["xlsx"]
    assert "Your goal is the role Senior software engineer." in texts["Development plan E-107.docx"]
    assert "Ihr Ziel ist die Rolle Controlling." in texts["Entwicklungsplan E-111.pdf"]
    assert len(asked) == 24
    for word in HEALTH:
        assert [text for text in (*asked, *texts.values(), written, questions) if word.lower() in text.lower()] == []
    assert any("Möchte in zwei Jahren ein Team leiten." in text for text in asked)  # what is no matter of health stays


async def test_a_model_elsewhere_is_refused_for_this_purpose(tmp_path: Path, room: Room) -> None:
    router = {"type": "router", "candidates": ["cloud"], "strategy": {"type": "fixed"}}
    models = {"cloud": CLOUD}
    async with staged("development_plans", tmp_path, room, writer=router, models=models, providers=CLOUDS) as stage:
        with pytest.raises(Forbidden, match="hr-development lets data go to local alone"):
            await stage.play("development_plans", employees=["E-104"])

        assert stage.outputs("pdf") == stage.outputs("docx") == []


@pytest.mark.parametrize(
    ("said", "by"),
    [
        (
            "Die Rolle Teamleitung Service: „Teams leiten: delegieren und Rückmeldung geben“ dauert 5 Tage.",
            "figures",
        ),
        (
            "Die Rolle Teamleitung Service: „Teams leiten: delegieren und Rückmeldung geben“ ab 12.01.2027.",
            "figures",
        ),
        (
            "Teamleitung Service: Teams leiten: delegieren und Rückmeldung geben, „Verhandeln im Ausland mit Gästen“.",
            "quotations",
        ),
        (
            "Teamleitung Service: „Teams leiten: delegieren und Rückmeldung geben“, danach Verhandeln mit Großkunden.",
            "rules",
        ),
        ("Your goal is the role Teamleitung Service, and you will attend a course on leading teams with us.", "rules"),
    ],
)
async def test_a_message_that_says_what_no_table_has_is_replaced(
    tmp_path: Path, said: str, by: str, room: Room
) -> None:
    async with staged("development_plans", tmp_path, room, writer={"type": "recited", "says": [said]}) as stage:
        result = await stage.play("development_plans", employees=["E-101"])

    plan = result["plans"][0]
    assert plan["worded_by"] == "fixed text"
    assert by in [finding["by"] for finding in plan["wrong"]]
    assert plan["message"].startswith("Ihr Ziel ist die Rolle Teamleitung Service. Schon heute")


async def test_the_plan_says_of_no_model_that_it_worded_what_is_the_fixed_text(tmp_path: Path, room: Room) -> None:
    async with staged("development_plans", tmp_path, room, writer={"type": "echo"}) as stage:
        result = await stage.play("development_plans", employees=["E-101"])
        (held,) = stage.outputs("held")
        texts = await texts_of(stage, result)

    assert held["passed"]
    assert result["plans"][0]["worded_by"] == "fixed text"
    assert not any("Sprachmodell" in text for text in texts.values())


async def test_a_message_that_holds_is_taken_and_a_manager_may_change_it(tmp_path: Path, room: Room) -> None:
    said = (
        "Ihr Ziel ist die Rolle Teamleitung Service, und vieles bringen Sie mit. Wir planen mit Ihnen „Teams leiten: "
        "delegieren und Rückmeldung geben“."
    )
    async with staged("development_plans", tmp_path, room, writer={"type": "recited", "says": [said]}) as stage:
        taken = await stage.play("development_plans", employees=["E-101"])
        stage.outcome, stage.answer = "edited", {"message": "Wir freuen uns auf Sie als Teamleitung im Service Nord."}
        changed = await stage.play("development_plans", employees=["E-101"])
        texts = await texts_of(stage, changed)

    assert (taken["plans"][0]["worded_by"], taken["plans"][0]["message"]) == ("model", said)
    assert all("Wir freuen uns auf Sie" in text for text in texts.values())


async def test_what_a_manager_rejects_is_never_written(tmp_path: Path, room: Room) -> None:
    async with staged("development_plans", tmp_path, room, writer=SILENT) as stage:
        stage.outcome = "rejected"
        result = await stage.play("development_plans", employees=["E-101"])

    assert (result["documents"], result["plans"][0]["outcome"]) == ([], "rejected")


async def test_somebody_who_is_not_there_ends_the_run(tmp_path: Path, room: Room) -> None:
    async with staged("development_plans", tmp_path, room, writer=SILENT) as stage:
        with pytest.raises(BadAnswer, match="not everybody of E-101,E-999 is in the table of staff"):
            await stage.play("development_plans", employees=["E-101", "E-999"])


async def test_the_small_model_of_this_machine_brings_it_to_a_good_end(tmp_path: Path, room: Room) -> None:
    give_weights(tmp_path)
    local = LocalModels(tmp_path)
    try:
        async with staged("development_plans", tmp_path, room, local=local) as stage:
            result = await stage.play("development_plans", employees=["E-107"])
    finally:
        await local.close()

    assert result["plans"][0]["outcome"] == "approved"
    assert [made["name"] for made in result["documents"]] == [
        "Development plan E-107.pdf",
        "Development plan E-107.docx",
    ]
    assert "Embedded C for application programmers" in result["plans"][0]["message"]
