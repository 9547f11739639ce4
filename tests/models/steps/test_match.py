"""A few words mean a row of a table, or none: endings do not matter, numbers do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world import World

NAMES = [
    "Lüftungsgerät NW 300 mit Wärmerückgewinnung",
    "Lüftungsgerät NW 450 mit Wärmerückgewinnung",
    "Dezentrales Lüftungsgerät NW 80 D",
    "Filterset F7/G4 für NW 300",
    "Schalldämpfer DN 125, 1 m",
    "Schalldämpfer DN 160, 1 m",
    "Tellerventil Zuluft DN 125",
    "Tellerventil Abluft DN 125",
    "CO₂-Sensor für Wandmontage",
]
ROWS = [{"article": str(number), "name": name} for number, name in enumerate(NAMES)]


async def meant(text: str, **settings: Any) -> dict[str, Any]:
    rows = {"type": "set", "name": "products", "values": {"rows": ROWS}}
    step = {"type": "match", "name": "found", "text": "{{ input.text }}", "rows": "products.rows", "by": ["name"]}
    pipeline = {"type": "pipeline", "steps": [rows, step | settings], "result": {"found": "{{ found }}"}}
    world = World({"p": pipeline})
    said: dict[str, Any] = msgspec.json.decode((await world.collect("p", text)).text)
    return said["found"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Lüftungsgerät NW 300", NAMES[0]),
        ("lüftungsgeräte nw 450", NAMES[1]),
        ("Lüftungsgeräte NW 80 D", NAMES[2]),
        ("filter sets F7/G4", NAMES[3]),
        ("Schalldämpfer DN 160", NAMES[5]),
        ("Tellerventile Zuluft DN 125", NAMES[6]),
        ("CO2-Sensoren für die Wandmontage", NAMES[8]),
    ],
)
async def test_endings_case_and_signs_do_not_matter(words: str, name: str) -> None:
    found = await meant(words)

    assert found["row"]["name"] == name
    assert all(other["row"]["name"] != name for other in found["alternatives"])


@pytest.mark.parametrize(
    "words", ["Schalldämpfer DN 200", "Lüftungsgerät NW 500", "Waschmaschine", "", "NW 300", "125"]
)
async def test_what_nobody_sells_means_no_row(words: str) -> None:
    found = await meant(words)

    assert found["row"] is None
    assert len(found["alternatives"]) == 3


async def test_two_rows_that_are_meant_as_likely_are_no_match() -> None:
    found = await meant("Tellerventil DN 125")

    assert found["row"] is None
    assert {other["row"]["name"] for other in found["alternatives"]} >= set(NAMES[6:8])


@given(st.text(max_size=60))
async def test_any_words_at_all_have_a_score_between_nothing_and_everything(words: str) -> None:
    found = await meant(words)

    assert 0 <= found["score"] <= 1
    assert found["row"] is None or found["score"] >= 0.5
