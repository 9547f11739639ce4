"""What the pages about pipelines and templates show is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dirigent.configuration import read_sheet
from dirigent.core import template
from dirigent.core.expression.functions import FUNCTIONS
from dirigent.core.journal import read
from tests.parsed import ROOT
from tests.world import World

BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """The language of each block, what is said beside it, and what stands in it."""
    return BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def spaced(text: str) -> str:
    """A text in which every blank is one that anybody can type."""
    return text.replace("\N{NO-BREAK SPACE}", " ").rstrip("\n")


async def test_each_pipeline_of_the_page_answers_as_it_is_shown(tmp_path: Path) -> None:
    world, answer, shown = World({}), "", 0

    for language, model, text in blocks("pipelines.md"):
        if language == "yaml":
            (tmp_path / "shown.yaml").write_text(text, encoding="utf-8")
            world = World(read_sheet(tmp_path / "shown.yaml").document["models"])
        elif language == "input":
            answer = (await world.collect(model, text.rstrip("\n"))).text
        elif language == "output":
            shown += 1
            assert spaced(answer) == spaced(text)

    assert shown >= 4


def test_the_program_of_the_page_runs() -> None:
    (program,) = [text for language, _, text in blocks("pipelines.md") if language == "python"]

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert '"type": "pipeline"' in done.stdout


def test_each_template_of_the_page_is_filled_in_as_it_is_shown() -> None:
    data, filled, shown = {}, "", 0

    for language, _, text in blocks("templates.md"):
        if language == "data":
            data = read(text.encode())
        elif language == "template":
            filled = template.compile(text).text(data)
        elif language == "output":
            shown += 1
            assert spaced(filled) == spaced(text)

    assert shown >= 2


def test_every_filter_stands_in_the_table() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")

    assert [name for name in template.FILTERS if not re.search(rf"^\|.*`{name}[`(]", page, re.MULTILINE)] == []


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_stand_in_the_table_of_the_language(name: str) -> None:
    assert f"`{name}(" in (ROOT / "docs" / "expression.md").read_text(encoding="utf-8")
