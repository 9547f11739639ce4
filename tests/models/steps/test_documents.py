"""The steps that write and read documents: files of a run, from data to page and back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path

import pytest

from dirigent.core.errors import Invalid, Unavailable
from dirigent.documents.room import Room
from dirigent.memory import MemoryFiles
from tests.models.steps.world import faults_of, work, worked

ROWS = [{"what": "Wartung", "sum": Decimal("19.90")}, {"what": "Schulung", "sum": Decimal(100)}]
QUOTE = {
    "type": "render",
    "format": "docx",
    "file_name": "Angebot {{ input.number }}/2026",
    "title": "Angebot {{ input.number }}",
    "to": ["{{ input.customer }}", "{{ input.nothing }}"],
    "markdown": "Für {{ input.customer }}:\n\n![](table:positions)",
    "tables": {
        "positions": {
            "rows": "{{ orders.rows }}",
            "columns": [{"field": "what"}, {"field": "sum", "form": "money", "total": True}],
        }
    },
}
SCOPE = {"input": {"number": 7, "customer": "Müller", "nothing": ""}, "orders": {"rows": ROWS}, "run": {"id": "run-1"}}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncGenerator[Room, None]:
    opened = Room(tmp_path / "documents")
    yield opened
    await opened.close()


async def test_a_document_is_a_file_of_the_run_and_can_be_read_again(room: Room) -> None:
    files = MemoryFiles()

    made, place = await worked(QUOTE, SCOPE, documents=room, files=files)
    read = await work({"type": "read", "file": "{{ quote.file }}"}, {"quote": made}, documents=room, files=files)

    assert made["name"] == "Angebot 7 2026.docx"
    assert made["size"] == place.told["size"] > 0
    assert read["kind"] == "docx"
    assert "Für Müller:" in read["text"]
    assert read["tables"][0]["rows"][-1] == {"what": "Summe", "sum": "119,90\u00a0€"}


async def test_rows_that_are_none_are_named(room: Room) -> None:
    with pytest.raises(Invalid, match=r"tables\.positions"):
        await work(QUOTE, {**SCOPE, "orders": {"rows": 5}}, documents=room, files=MemoryFiles())


async def test_a_node_without_a_room_says_so() -> None:
    with pytest.raises(Unavailable, match="office"):
        await work(QUOTE, SCOPE)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"format": "xlsx", "tables": {}}, ("tables",)),
        ({"markdown": "![](chart:none)"}, ("markdown",)),
        ({"markdown": "{{ nobody }}"}, ("markdown",)),
        ({"tables": {"positions": {"rows": "{{ nobody }}"}}}, ("tables", "positions", "rows")),
    ],
)
def test_publishing_refuses_a_document_that_could_never_be_written(
    changed: dict[str, object], path: tuple[str, ...]
) -> None:
    assert path in [fault.path for fault in faults_of(QUOTE | changed)]
