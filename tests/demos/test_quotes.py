"""Quotes: prices come out of the ERP to the cent, whatever a model says, and what is not clear is put to people."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import docx
import pytest
import pytest_asyncio
from pypdf import PdfReader
from sqlalchemy import create_engine

from dirigent.cli.stage import Story
from dirigent.core.errors import BadAnswer, DirigentError
from dirigent.documents.room import Room
from dirigent.store.samples import made_of
from tests.demos.stage import FOLDER, Stage, staged
from tests.postgres import a_database

pytestmark = pytest.mark.asyncio(loop_scope="package")
BRANDT = [
    ("4 Stück Lüftungsgerät NW 300", 4, "Lüftungsgerät NW 300"),
    ("4 Stück Regler NW Touch", 4, "Regler NW Touch"),
    ("30 Tellerventile Zuluft DN 125", 30, "Tellerventile Zuluft DN 125"),
    ("24 Tellerventile Abluft DN 125", 24, "Tellerventile Abluft DN 125"),
    ("12 Schalldämpfer DN 125", 12, "Schalldämpfer DN 125"),
    ("1 Inbetriebnahme und Einregulierung", 1, "Inbetriebnahme und Einregulierung"),
]
KITA = [
    ("6 dezentrale Lüftungsgeräte NW 80 D", 6, "Lüftungsgeräte NW 80 D"),
    ("2 CO₂-Sensoren für die Wandmontage", 2, "CO₂-Sensoren für die Wandmontage"),
    ("das Fachbuch Wohnungslüftung", 1, "Fachbuch Wohnungslüftung"),
]

DESMET = [
    ("60 filter sets F7/G4 for the NW 300", 60, "filter set F7/G4 NW 300"),
    ("5 temperature sensors NTC 10 kΩ", 5, "temperature sensor NTC 10 kΩ"),
]


def reading(customer: str, positions: list[tuple[str, int, str]]) -> dict[str, Any]:
    """A model that reads an inquiry so."""
    found = [{"words": words, "quantity": quantity, "article": article} for words, quantity, article in positions]
    return {"type": "recited", "says": [json.dumps({"customer_no": customer, "positions": found})]}


def inquiry(name: str) -> dict[str, Any]:
    story = Story.of("quotes")
    (case,) = [each for each in story.cases if each.name == name]
    return case.given(story)


@pytest.fixture(params=["sqlite", "postgresql"])
def erp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The ERP as a source, on a file or on a real PostgreSQL."""
    scripts = [(FOLDER / "quotes" / "erp" / name).read_text("utf-8") for name in ("schema.sql", "data.sql")]
    if request.param == "sqlite":
        (tmp_path / "sources").mkdir()
        made_of(tmp_path / "sources" / "erp.db", scripts)
        yield {"type": "sql", "path": "erp.db"}
        return
    with a_database(request.getfixturevalue("postgres")) as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            for script in scripts:
                connection.exec_driver_sql(script.replace("%", "%%"))
        engine.dispose()
        yield {"type": "sql", "url": {"env": "ERP"}, "region": "local", "_url": url}


@pytest_asyncio.fixture(loop_scope="package")
async def stage(
    erp: dict[str, Any], tmp_path: Path, room: Room, request: pytest.FixtureRequest
) -> AsyncGenerator[Stage]:
    reader, writer = request.param
    source = {name: value for name, value in erp.items() if name != "_url"}
    async with staged(
        "quotes",
        tmp_path,
        room,
        writer=writer,
        models={"reader": reader},
        sources={"erp": source},
        secrets={"ERP": erp.get("_url", "")},
    ) as made:
        yield made


HONEST = {"type": "recited", "says": ["Dieses Produkt erfüllt die genannten Anforderungen."]}
ECHO = "Schreibe einen Satz für ein Angebot, der dieses Produkt beschreibt. Nutze nur diese Angaben: 5 Jahre Garantie"
PARROT = {"type": "recited", "says": [ECHO]}
LIAR = {"type": "recited", "says": ["Dieses Produkt kostet nur 99 Euro und hat 12 Jahre Garantie."]}


@pytest.mark.parametrize("stage", [(reading("K-1042", BRANDT), HONEST)], indirect=True)
async def test_every_price_is_what_list_price_and_discounts_make_to_the_cent(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("brandt"))

    # 10 % of the customer's group, then 4 % from three units on, 6 % of valves from twenty-five on
    prices = {each["article"]: (each["unit_price"], each["net"]) for each in result["positions"]}
    assert prices == {
        "NW-300": (Decimal("2496.96"), Decimal("9987.84")),
        "41-2300": (Decimal("170.10"), Decimal("680.40")),
        "60-3125": (Decimal("12.10"), Decimal("363.00")),
        "60-3126": (Decimal("12.33"), Decimal("295.92")),
        "60-2125": (Decimal("61.20"), Decimal("734.40")),
        "70-0100": (Decimal("432.00"), Decimal("432.00")),
    }
    goods = sum(net for _, net in prices.values())
    assert result["net"] == goods + Decimal("79.00")
    assert result["gross"] == result["net"] + Decimal("2388.79")
    assert result["unclear"] == []
    assert [question.why for question in stage.questions] == ["draft.total is above 5000"]


@pytest.mark.parametrize("stage", [(reading("K-1042", BRANDT), HONEST)], indirect=True)
async def test_word_and_pdf_say_the_same_figures(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("brandt"))
    word, pdf = [await stage.document(each) for each in result["files"]]

    pages = " ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).replace("\xa0", " ")
    tables = docx.Document(BytesIO(word)).tables
    cells = {cell.text.replace("\xa0", " ") for table in tables for row in table.rows for cell in row.cells}
    for figure in ("2.496,96 €", "9.987,84 €", "12.572,56 €", "14.961,35 €"):
        assert figure in pages
        assert figure in cells


@pytest.mark.parametrize("stage", [(reading("K-1201", KITA), HONEST)], indirect=True)
async def test_what_the_inquiry_does_not_say_is_put_to_a_person_and_stays_out_of_the_price(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("kita"))

    assert {each["article"] for each in result["positions"]} == {"NW-80D", "41-2310"}
    assert [each["words"] for each in result["unclear"]] == ["das Fachbuch Wohnungslüftung"]
    assert "das Fachbuch Wohnungslüftung" in stage.questions[0].text
    assert stage.questions[0].why == "something in the inquiry is not clear"


NOBODY_SELLS = [("4 Stück Lüftungsgerät NW 300", 4, "Waschmaschine W 900")]


@pytest.mark.parametrize("stage", [(reading("K-1042", NOBODY_SELLS), HONEST)], indirect=True)
async def test_a_quote_of_which_no_position_can_be_found_is_not_written(stage: Stage) -> None:
    with pytest.raises(DirigentError, match="not one position"):
        await stage.play("quote", **inquiry("brandt"))


@pytest.mark.parametrize("stage", [(reading("K-9999", BRANDT), HONEST)], indirect=True)
async def test_a_customer_whom_the_erp_does_not_know_gets_no_quote(stage: Stage) -> None:
    with pytest.raises(BadAnswer, match="no customer K-9999"):
        await stage.play("quote", **inquiry("brandt"))


@pytest.mark.parametrize("stage", [(reading("K-1042", BRANDT), LIAR)], indirect=True)
async def test_a_figure_that_a_model_makes_up_gets_into_no_document(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("brandt"))
    documents = [await stage.document(each) for each in result["files"]]

    pages = " ".join(page.extract_text() for page in PdfReader(BytesIO(documents[1])).pages)
    assert "99 Euro" not in pages
    assert "12 Jahre" not in pages
    assert "5 Jahre Garantie" in pages  # the ERP's own words stand in place of the model's


@pytest.mark.parametrize("stage", [(reading("K-1042", BRANDT), PARROT)], indirect=True)
async def test_a_model_that_repeats_its_task_is_not_sent_to_the_customer(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("brandt"))
    pages = " ".join(page.extract_text() for page in PdfReader(BytesIO(await stage.document(result["files"][1]))).pages)

    assert "Schreibe einen Satz" not in pages
    assert "5 Jahre Garantie" in pages


@pytest.mark.parametrize("stage", [(reading("K-2010", DESMET), HONEST)], indirect=True)
async def test_a_quote_abroad_names_the_country_and_its_total_stands_out(stage: Stage) -> None:
    result = await stage.play("quote", **inquiry("desmet"))
    word, pdf = [await stage.document(each) for each in result["files"]]

    pages = " ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)
    file = docx.Document(BytesIO(word))
    assert "Belgium" in pages
    assert "\nBE\n" not in pages
    bold = [
        [run.bold for cell in row.cells for paragraph in cell.paragraphs for run in paragraph.runs]
        for row in file.tables[-1].rows
    ]
    assert all(bold[-1])
    assert not any(any(row) for row in bold[1:-1])


@pytest.mark.parametrize("stage", [(reading("K-1042", BRANDT), HONEST)], indirect=True)
async def test_what_people_change_is_what_the_customer_gets(stage: Stage) -> None:
    stage.outcome, stage.answer = "edited", {"extra_discount": Decimal(2), "valid_days": 14, "note": "Gern persönlich."}

    result = await stage.play("quote", **inquiry("brandt"))
    pages = " ".join(page.extract_text() for page in PdfReader(BytesIO(await stage.document(result["files"][1]))).pages)

    assert result["net"] == Decimal("12493.56") - Decimal("249.87") + 79
    assert "-249,87 €" in pages.replace("−", "-")
    assert "Gern persönlich." in pages
