"""The walls of the house stand, and they can fall: each wrong arrow that is drawn into a copy is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

FLOORS = "Floors: a room imports only from floors below its own"
DATA_PLANE = "The data plane knows the outside only through core.ports"
CONTROL_PLANE = "The control plane never touches a request in flight"
MODELS = "Models do not know one another"
PROVIDERS = "A provider never imports its sisters"
STRATEGIES = "A strategy never imports its sisters"
DIALECTS = "A dialect never imports its sisters"
CIRCLES = "No circles anywhere"
SQL = "SQL only in store"
HTTP_OUT = "HTTP out only in net"
HTTP_PARSER = "The HTTP parser only in net and gateway.wire"
FRAMEWORKS = "An HTTP framework in admin alone; a workflow engine only in its file"
EVENT_LOOP = "The event loop is chosen on the roof alone"
NATIVE = "The machine's own models only in local"
FORMATS = "Formats of documents only in documents"
SOURCES = "A source never imports its sisters"
SURFACES = "The terminal only in cli, YAML only in configuration"

WRONG_ARROWS = (
    ("core/usage.py", "import dirigent.models.router", FLOORS),
    ("core/events.py", "import dirigent.dialects.sse", FLOORS),
    ("dialects/sse.py", "import dirigent.models.router", FLOORS),
    ("models/router.py", "import dirigent.gateway", FLOORS),
    ("models/router.py", "import dirigent.net", DATA_PLANE),
    ("conductor.py", "import dirigent.local", DATA_PLANE),
    ("gateway/errors.py", "import dirigent.settings", DATA_PLANE),
    ("gateway/errors.py", "def hidden() -> None:\n    import dirigent.server", DATA_PLANE),
    ("gateway/errors.py", "import typing\nif typing.TYPE_CHECKING:\n    import dirigent.memory", DATA_PLANE),
    ("net/__init__.py", "import dirigent.memory", FLOORS),
    ("memory/vitals.py", "import dirigent.models.router", FLOORS),
    ("control/people.py", "import dirigent.conductor", CONTROL_PLANE),
    ("store/ledger.py", "import dirigent.models.router", CONTROL_PLANE),
    ("models/router.py", "import dirigent.models.deployment", MODELS),
    ("models/providers/openai.py", "import dirigent.models.providers.echo_sister", PROVIDERS),
    ("models/strategies/cheapest.py", "import dirigent.models.strategies.weighted", STRATEGIES),
    ("dialects/acme_chat.py", "import dirigent.dialects.openai_chat", DIALECTS),
    ("models/strategies/strategy.py", "import dirigent.models.strategies.cheapest", STRATEGIES),
    ("core/errors.py", "import dirigent.core.run", CIRCLES),
    ("models/sources/sql.py", "import dirigent.models.sources.files", SOURCES),
    ("annex/annex.py", "import dirigent.local.launch", FLOORS),
    ("utils.py", "import json", FLOORS),
)

OUTWARD_ARROWS = (
    ("conductor.py", "sqlite3", SQL),
    ("models/providers/openai.py", "httpx", HTTP_OUT),
    ("gateway/errors.py", "httptools", HTTP_PARSER),
    ("gateway/errors.py", "starlette", FRAMEWORKS),
    ("conductor.py", "uvloop", EVENT_LOOP),
    ("models/router.py", "numpy", NATIVE),
    ("conductor.py", "yaml", SURFACES),
    ("conductor.py", "duckdb", SQL),
    ("store/records.py", "numpy", NATIVE),
    ("store/records.py", "openpyxl", FORMATS),
)
"""Arrows at the packages of others, which cannot hide one another: so they are drawn all at once."""

RIGHT_ARROWS = (
    ("models/router.py", "import dirigent.core.usage"),
    ("gateway/errors.py", "import dirigent.dialects.sse"),
    ("server/node.py", "import dirigent.net"),
    ("store/ledger.py", "import sqlite3"),
)


def test_the_walls_hold() -> None:
    status, words = linted(ROOT)

    assert status == 0, words


@pytest.mark.parametrize(("file", "arrow", "wall"), WRONG_ARROWS)
def test_a_wrong_arrow_breaks_its_wall_and_says_how_to_mend_it(copy: Path, file: str, arrow: str, wall: str) -> None:
    draw(copy, file, arrow)

    status, words = linted(copy)

    assert status == 1, words
    assert f"{wall} BROKEN" in words
    assert guidance(wall) in words


def test_arrows_at_packages_of_others_break_their_walls_and_are_named(copy: Path) -> None:
    for file, package, _ in OUTWARD_ARROWS:
        draw(copy, file, f"import {package}")

    status, words = linted(copy)

    assert status == 1, words
    for file, package, wall in OUTWARD_ARROWS:
        assert f"{wall} BROKEN" in words
        assert f"dirigent.{file.removesuffix('.py').replace('/', '.')} -> {package} (l." in words
        assert guidance(wall) in words


def test_the_right_arrows_break_nothing(copy: Path) -> None:
    for file, arrow in RIGHT_ARROWS:
        draw(copy, file, arrow)

    status, words = linted(copy)

    assert status == 0, words


def test_every_room_outside_the_data_plane_is_shut_off_from_it() -> None:
    wall = contract(DATA_PLANE)
    inside = {name.removesuffix(".**") for name in wall["source_modules"]}
    shut_off = {name.removesuffix(".**") for name in wall["forbidden_modules"]}

    children = {f"dirigent.{path.stem}" for path in (ROOT / "src" / "dirigent").iterdir() if is_module(path)}

    assert children - inside - shut_off == {"dirigent.__main__"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its contracts, once for all arrows: what has been read stays in the linter's cache."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(
        ROOT / "src" / "dirigent", folder / "src" / "dirigent", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def copy(pristine: Path) -> Iterator[Path]:
    """A copy of the house that a test may draw into; it is as before afterwards."""
    before = {path: path.read_bytes() for path in (pristine / "src").rglob("*.py")}
    yield pristine
    for path in (pristine / "src").rglob("*.py"):
        if path not in before:
            path.unlink()
        elif path.read_bytes() != before[path]:
            path.write_bytes(before[path])


def draw(house: Path, file: str, arrow: str) -> None:
    """Adds an import to a file; a room that is not built yet gets its first file."""
    path = house / "src" / "dirigent" / file
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    for sister in ("echo_sister", "weighted"):  # an arrow needs an end, whichever kinds there are today
        if sister in arrow and not (path.parent / f"{sister}.py").exists():
            (path.parent / f"{sister}.py").touch()
    with path.open("a", encoding="utf-8") as text:
        text.write(f"\n{arrow}\n")


def linted(house: Path) -> tuple[int, str]:
    """What import-linter says of a house: its exit status and its words."""
    finished = subprocess.run(
        [LINT_IMPORTS],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def contract(wall: str) -> dict[str, Any]:
    """What pyproject.toml says of a wall."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    return next(contract for contract in contracts if contract["name"] == wall)


def guidance(wall: str) -> str:
    """The first line of the advice that stands with a wall."""
    advice: str = contract(wall)["broken_contract_guidance"]
    return advice.strip().splitlines()[0]


def is_module(path: Path) -> bool:
    """Whether Python would import this child of the package."""
    return (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
