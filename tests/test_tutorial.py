"""A newcomer goes through the tutorial from top to bottom, pastes every block, and sees what it says.

A block of `console` is run by a shell, one of `python` by Python, and one of `yaml` that begins with the name of the
file is saved there. A block of `text` is what the command before it prints, or, where it begins with `# the server`,
what the server prints meanwhile; `…` stands for anything. What differs from a newcomer's machine is the port and the
weights, which are the small model of the tests.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dirigent.configuration import read_sheet
from dirigent.core.registry import Reader
from dirigent.local.kit import DEFAULT, SMALL
from tests.journeys.node import Node, clean_environment, node
from tests.journeys.weights import give_weights
from tests.parsed import ROOT
from tools.docs.kinds import SECTIONS, registries

FOLDER = ROOT / "docs" / "tutorial"
PAGES = sorted(FOLDER.glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED = "# .dirigent/dirigent.yaml\n"
SERVER = "# the server\n"
START = "make run\n"


class Newcomer:
    """Somebody in a folder of their own, with an installed `.venv`, whose server keeps its data in `.dirigent`."""

    def __init__(self, folder: Path, server: Node) -> None:
        self.folder = folder
        self.server = server
        self.heard = 0
        """How much of what the server printed was read before."""

    def types(self, block: str) -> str:
        """What a shell prints, errors included."""
        return self._run(["bash", "-c", block])

    def runs(self, program: str) -> str:
        """What a Python program prints; it has to end well."""
        return self._run([sys.executable, "-c", program], well=True)

    def saves(self, text: str) -> None:
        """Puts a configuration in place, and waits until the server has taken it over or refused it."""
        before = self.server.log
        self.server.write(text.replace(DEFAULT, SMALL))
        self.server.until(lambda: re.search("takes over|is refused", self.server.log[len(before) :]))

    def hears(self, expected: str) -> None:
        """Waits for the server to print what is expected, after what it had printed the last time."""
        self.server.until(lambda: re.search(pattern(expected), spaceless(self.server.log[self.heard :])))
        self.heard = len(self.server.log)

    def _run(self, command: list[str], *, well: bool = False) -> str:
        command[-1] = command[-1].replace("8484", str(self.server.port))
        finished = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            env=clean_environment(PYTHONUNBUFFERED="1"),
        )
        assert finished.returncode == 0 or not well, finished.stdout
        return finished.stdout


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newcomer]:
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("bash or curl is missing: install the packages `bash` and `curl`")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    data = tmp_path / ".dirigent"
    give_weights(data)
    with node(data) as server:
        yield Newcomer(tmp_path, server)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_everything_on_a_page_does_what_the_page_says(page: Path, newcomer: Newcomer) -> None:
    for earlier in PAGES[: PAGES.index(page)]:
        for _, text in saved(earlier):
            newcomer.saves(text)
    newcomer.heard = len(newcomer.server.log)
    printed = ""

    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        match language:
            case "console" if text == START:
                assert "serve" in make_recipe("run")
            case "console":
                printed = newcomer.types(text)
            case "python":
                assert newcomer.runs(text).strip()
            case "yaml" if text.startswith(SAVED):
                newcomer.saves(text)
            case "yaml":
                assert faults(text, newcomer.folder / "shown.yaml") == []
            case "text" if text.startswith(SERVER):
                newcomer.hears(shown(newcomer, text.removeprefix(SERVER)))
            case "text":
                assert re.fullmatch(pattern(text), spaceless(printed)), printed
            case other:
                pytest.fail(f"a block of {other!r}: say in this file what becomes of it")


def test_the_pages_follow_one_another_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")

    assert all(f"(tutorial/{page.name})" in index for page in PAGES)
    for page, following in pairwise(PAGES):
        assert f"]({following.name})" in page.read_text(encoding="utf-8")


def saved(page: Path) -> list[tuple[str, str]]:
    """The blocks that a page asks to save, in order."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in blocks if language == "yaml" and text.startswith(SAVED)]


def faults(text: str, file: Path) -> list[object]:
    """What is wrong with a configuration that a page only shows."""
    file.write_text(text, encoding="utf-8")
    reader = Reader(registries())
    return [
        fault
        for section, entries in read_sheet(file).document.items()
        for name, raw in entries.items()
        for fault in reader.read(SECTIONS[section], raw, (section, name))[1]
    ]


def shown(newcomer: Newcomer, text: str) -> str:
    """What the page shows of the server, with the data folder as this server was given it."""
    return text.replace(".dirigent/", f"{newcomer.server.data}/")


def pattern(expected: str) -> str:
    """A regular expression for what a page shows: `…` is anything, a line of it alone any number of lines."""
    lines = (re.escape(line).replace("…", ".*") + r"\n" for line in spaceless(expected).splitlines())
    return "".join(r"(?:.*\n)*" if line == r".*\n" else line for line in lines)


def spaceless(text: str) -> str:
    """A text whose columns are one space apart and whose lines end without any."""
    return "\n".join(re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()) + "\n"


def make_recipe(target: str) -> str:
    """The commands of a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]
