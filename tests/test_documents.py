"""What is written about Dirigent is true: links lead somewhere, reference pages are fresh, examples are read."""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dirigent.cli.orders import FILE
from dirigent.configuration import read_sheet
from dirigent.core.registry import Reader, Registry
from dirigent.models.strategies.strategy import Strategy
from tests.parsed import ROOT, tracked
from tools.docs.kinds import EXAMPLES, SECTIONS, registries
from tools.docs.orders import written
from tools.docs.reference import FOLDER, rendered

GLOSSARY = ROOT / "docs" / "glossary.md"
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
# Joined here, so that this file does not hold what it forbids.
HOSTS = tuple(
    ".".join(parts)
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"), ("huggingface", "co"))
)
MACHINE_PATH = re.compile(r"(?<![\w.:}/-])/(?:work|root|opt/wheels|opt/pypi)(?:/|\b)")


def test_the_reference_pages_are_what_the_code_says_today() -> None:
    pages = rendered()

    stands = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}

    assert set(stands) == set(pages), "run `make docs`"
    assert [name for name in pages if stands[name] != pages[name]] == [], "run `make docs`"


def test_the_command_line_knows_the_operations_as_they_are_today() -> None:
    assert FILE.read_text(encoding="utf-8") == written(), "run `make docs`"


def test_rendering_the_reference_twice_gives_the_same_pages() -> None:
    assert rendered() == rendered()


def test_every_kind_in_the_reference_has_help_for_itself_and_for_each_setting() -> None:
    mute = [
        f"{registry.name}.{name}"
        for registry in registries()
        for name, kind in registry.kinds.items()
        if not kind.help() or kind.help() == registry.contract.help()
    ]

    assert mute == []


def without_rules(raw: dict[str, Any]) -> dict[str, Any]:
    """A model's settings without the policies around it, which the catalog reads for itself."""
    return {key: value for key, value in raw.items() if key != "policies"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_in_the_reference_is_read_without_a_fault(example: Path) -> None:
    reader = Reader(registries())
    contract, _, name = example.stem.partition(".")

    document = read_sheet(example).document
    faults = [
        fault
        for section, entries in document.items()
        for entry, raw in entries.items()
        for fault in reader.read(SECTIONS[section], without_rules(raw), (section, entry))[1]
    ]

    assert faults == []
    assert name in {kind for registry in registries() if registry.name == contract for kind in registry.kinds}


def test_the_example_of_every_model_mentions_only_models_that_stand_in_it() -> None:
    reader = Reader(registries())

    for example in EXAMPLES.glob("*.yaml"):
        models = read_sheet(example).document.get("models", {})
        for name, raw in models.items():
            model, _ = reader.read(SECTIONS["models"], raw, ("models", name))
            mentioned = {other for _, other in model.mentions()} if model is not None else set()  # type: ignore[attr-defined]  # every kind of the section is a model
            assert mentioned <= set(models), example.name


def test_the_strategy_that_contributing_adds_works_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"^   ```python\n(.*?)^   ```", text, re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "longest.py").write_text(textwrap.dedent(block[1]), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    kind = importlib.import_module("longest").Longest
    reader = Reader([Registry(Strategy, [kind])])
    strategy, faults = reader.read(Strategy, {"type": "longest", "at_least": 32_000}, ())

    assert faults == []
    assert strategy == kind(at_least=32_000)


def test_every_link_in_the_documents_leads_somewhere() -> None:
    broken = {
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages_of_markdown()
        for target in LINK.findall(without_code(page.read_text(encoding="utf-8")))
        if not leads_somewhere(page, target)
    }

    assert broken == set()


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            targets = LINK.findall(page.read_text(encoding="utf-8"))
            waiting += [(page.parent / target.partition("#")[0]).resolve() for target in targets if ":" not in target]

    assert set((ROOT / "docs").rglob("*.md")) - reached == set()


def test_every_contract_and_every_term_of_the_house_is_in_the_glossary() -> None:
    terms = glossary()

    assert {registry.name for registry in registries()} <= terms
    assert {"model", "deployment", "router", "candidate", "run", "catalog", "kind", "port"} <= terms


def test_every_term_of_the_glossary_is_used_in_the_house() -> None:
    words = "\n".join(
        path.read_text(encoding="utf-8").lower()
        for path in tracked()
        if path.suffix in {".py", ".md", ".yaml"} and path != GLOSSARY and {"src", "docs"} & set(path.parts)
    )

    unused = {term for term in glossary() if not re.search(rf"\b{re.escape(term)}", words)}

    assert unused == set()


def test_no_file_names_a_registry_or_a_path_of_somebodys_machine() -> None:
    named = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path != Path(__file__)
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if MACHINE_PATH.search(line) or any(host in line for host in HOSTS)
    }

    assert named == set()


def test_the_change_log_has_a_section_for_what_is_not_released_yet() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert "## [Unreleased]" in text


def pages_of_markdown() -> Iterator[Path]:
    """Every page of ours; a data folder that somebody made here is none."""
    return (path for path in tracked() if path.suffix == ".md")


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link of a page ends at a file that exists and, with a `#`, at a heading in it."""
    if re.match(r"[a-z]+:", target):
        return True
    file, _, anchor = target.partition("#")
    path = (page.parent / file).resolve() if file else page
    if not path.exists():
        return False
    return not anchor or anchor in {slug(heading) for heading in HEADING.findall(path.read_text(encoding="utf-8"))}


def slug(heading: str) -> str:
    """The anchor that renderers of Markdown make of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")


def without_code(text: str) -> str:
    """A page without its blocks and pieces of code, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def glossary() -> set[str]:
    """The terms of the glossary: what stands in bold in the first cell of each row. Italics are kept for later."""
    rows = re.findall(r"^\| (.*?) \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return {term for row in rows for term in re.findall(r"\*\*(.+?)\*\*", row)}


def text_of(path: Path) -> str:
    """The text of a file; nothing where it is none."""
    data = path.read_bytes()
    return "" if b"\0" in data[:8000] else data.decode("utf-8", errors="replace")
