"""Notes become minutes: each figure of the document stands in the notes, whatever a model adds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from dirigent.documents.room import Room
from tests.demos.stage import FOLDER, staged

pytestmark = pytest.mark.asyncio(loop_scope="package")
NOTES = (FOLDER / "documents" / "protokoll.txt").read_text("utf-8")
GOOD = "- Linie 2 wird ab dem 12. Januar 2027 umgestellt; das kostet 48.500 €.\n- Ausschuss im Oktober: 4,2 %."
LIE = "- Linie 2 wird ab dem 14. Januar 2027 umgestellt; das kostet 84.500 €.\n- Ausschuss im Oktober: 4,2 %."


async def test_minutes_whose_figures_stand_in_the_notes_are_taken(tmp_path: Path, room: Room) -> None:
    writer, editor = {"type": "recited", "says": [GOOD]}, {"type": "recited", "says": [GOOD]}
    async with staged("documents", tmp_path, room, writer=writer, models={"editor": editor}) as stage:
        result = await stage.play("minutes", notes=NOTES)
        pdf = await stage.document(result["files"][1])

    assert (result["by"], result["findings"]) == ("refined", [])
    assert "48.500 €" in " ".join(PdfReader(BytesIO(pdf)).pages[0].extract_text().split())


async def test_what_the_editor_makes_up_is_found_and_the_draft_is_taken(tmp_path: Path, room: Room) -> None:
    writer, editor = {"type": "recited", "says": [GOOD]}, {"type": "recited", "says": [LIE]}
    async with staged("documents", tmp_path, room, writer=writer, models={"editor": editor}) as stage:
        result = await stage.play("minutes", notes=NOTES)

    assert result["by"] == "draft"
    assert result["text"].startswith(GOOD)
    assert any("84.500" in finding["where"] for finding in result["findings"])


async def test_a_line_with_a_figure_that_the_text_leaves_out_is_put_below_it_as_it_was_noted(
    tmp_path: Path, room: Room
) -> None:
    writer, editor = {"type": "recited", "says": [GOOD]}, {"type": "recited", "says": [GOOD]}
    async with staged("documents", tmp_path, room, writer=writer, models={"editor": editor}) as stage:
        result = await stage.play("minutes", notes=NOTES)
        pdf = await stage.document(result["files"][1])

    words = " ".join(PdfReader(BytesIO(pdf)).pages[0].extract_text().split())
    assert "Aus den Notizen, im Wortlaut" in words
    assert "verbrauch linie 1 minus 11 Prozent" in words
    assert any("naechstes treffen 2.12." in line for line in result["left_out"])
    assert not any(line.startswith("-") for line in result["left_out"])
    assert "Gesendet von meinem Telefon" not in words


async def test_where_no_model_can_be_trusted_the_notes_themselves_stand(tmp_path: Path, room: Room) -> None:
    liar = {"type": "recited", "says": [LIE]}
    async with staged("documents", tmp_path, room, writer=liar, models={"editor": liar}) as stage:
        result = await stage.play("minutes", notes=NOTES)

    assert (result["by"], result["left_out"]) == ("notes", [])
    assert "84.500" not in result["text"]
    assert "48.500 €" in result["text"]
