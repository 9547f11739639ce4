"""A third party packs a strategy of its own, and an operator installs it beside Dirigent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.shelf import EXAMPLES
from tests.journeys.node import Node, clean_environment, node

PLUGIN = EXAMPLES / "plugin"
CONFIG = PLUGIN / "dirigent.yaml"
GERMAN = "Könnten Sie mir bitte sagen, wann der nächste Zug nach Hamburg fährt und auf welchem Gleis?"
ENGLISH = "Could you please tell me when the next train to London leaves, and from which platform?"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package, as it would into an environment."""
    if find_spec("hatchling") is None:
        pytest.skip("the build backend is missing: `make test` installs `hatchling`")
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(folder), str(PLUGIN)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert list(folder.glob("dirigent_by_language-*.dist-info/entry_points.txt"))
    return folder


@pytest.fixture(scope="module")
def with_plugin(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that finds the package and serves by the example's configuration."""
    config = CONFIG.read_text(encoding="utf-8")
    with node(tmp_path_factory.mktemp("plugin"), config, environment={"PYTHONPATH": str(installed)}) as one:
        yield one


def checked(config: Path, *, path: str = "") -> subprocess.CompletedProcess[str]:
    """What `dirigent check` says with these folders on the path."""
    command = [sys.executable, "-m", "dirigent", "check", "-c", str(config)]
    environment = clean_environment(PYTHONPATH=path)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_strategy_of_the_package_decides(with_plugin: Node) -> None:
    said = [with_plugin.chat(text=text) for text in (GERMAN, ENGLISH)]

    assert [answer.json["choices"][0]["message"]["content"] for answer in said] == ["Guten Tag!", "Good afternoon!"]
    assert said[0].headers["x-dirigent-route"] == "the prompt is in de, which goes to german"


def test_its_decision_is_explained_like_any_other(with_plugin: Node) -> None:
    explained = with_plugin.explain(GERMAN)

    assert explained["deployment"] == "german"
    assert explained["decisions"][0]["strategy"] == "by_language"
    assert [(each["name"], each["verdict"]) for each in explained["candidates"]] == [
        ("german", "chosen"),
        ("english", "fallback 1"),
    ]


def test_check_names_what_is_wrong_with_its_settings(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "dirigent.yaml"
    text = CONFIG.read_text(encoding="utf-8")
    config.write_text(text.replace("de: german", "de: germann").replace("otherwise: english", "otherwise: danish"))

    finished = checked(config, path=str(installed))

    assert finished.returncode == 1
    assert "models.auto.strategy.languages.de: 'germann' is no candidate of this router; did you mean 'german'?" in (
        finished.stderr
    )
    assert "models.auto.strategy.otherwise: 'danish' is no candidate of this router" in finished.stderr


def test_without_the_package_its_type_is_unknown(tmp_path: Path) -> None:
    finished = checked(CONFIG)

    assert finished.returncode == 1
    assert "there is no strategy of type 'by_language'" in finished.stderr
