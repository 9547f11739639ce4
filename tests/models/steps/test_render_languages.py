"""One step writes a document in whichever language its reader has."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from dirigent.core.errors import Invalid
from dirigent.documents.room import Room
from dirigent.memory.files import MemoryFiles
from tests.models.steps.world import faults_of, work

STEP: dict[str, Any] = {
    "type": "render",
    "format": "md",
    "language": "{{ input.language }}",
    "markdown": "![](table:sales)",
    "tables": {
        "sales": {
            "rows": "{{ input.rows }}",
            "columns": [{"field": "sum", "title": "{{ input.head }}", "form": "money"}, {"field": "what"}],
        }
    },
}
GIVEN: dict[str, Any] = {"language": "de", "head": "Umsatz", "rows": [{"sum": 1234, "what": "x"}]}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncGenerator[Room]:
    opened = Room(tmp_path)
    yield opened
    await opened.close()


async def test_language_and_heads_are_filled_in(room: Room) -> None:
    files = MemoryFiles()

    german = await work(STEP, {"input": GIVEN}, documents=room, files=files)
    english = await work(STEP, {"input": {**GIVEN, "language": "en", "head": "Revenue"}}, documents=room, files=files)

    texts = [(await files.read("tenant", made["file"]))[1].decode() for made in (german, english)]
    assert ["Umsatz" in texts[0], "1.234,00" in texts[0]] == [True, True]
    assert ["Revenue" in texts[1], "1,234.00" in texts[1]] == [True, True]


async def test_a_language_that_is_not_known_is_refused_before_or_when_it_is_written(room: Room) -> None:
    with pytest.raises(Invalid, match="written in de or en, not in 'fr'"):
        await work(STEP, {"input": {**GIVEN, "language": "fr"}}, documents=room, files=MemoryFiles())

    assert [fault.path for fault in faults_of(STEP | {"language": "fr"})] == [("language",)]


def test_heads_and_names_that_read_what_is_not_there_are_refused_when_they_are_published() -> None:
    charts = {
        "c": {"kind": "bar", "rows": "{{ input.rows }}", "x": "what", "y": ["sum"], "names": {"sum": "{{ nope }}"}}
    }
    step = STEP | {
        "charts": charts,
        "tables": {"sales": {"rows": "{{ input.rows }}", "columns": [{"field": "a", "title": "{{ gone }}"}]}},
    }

    assert [fault.path[:2] for fault in faults_of(step)] == [("tables", "sales"), ("charts", "c")]
