"""Somebody runs the programs of `examples/` against a fresh node with the real small model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.shelf import EXAMPLES
from tests.journeys.node import Node, clean_environment, node
from tests.journeys.weights import give_weights


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node on its starter configuration."""
    data = tmp_path_factory.mktemp("programs") / "data"
    give_weights(data)
    with node(data) as one:
        yield one


def ran(one: Node, *command: str) -> str:
    """What a program prints that is told by the two variables where the server is."""
    address = f"http://127.0.0.1:{one.port}/v1"
    finished = subprocess.run(
        command,
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=clean_environment(OPENAI_BASE_URL=address, OPENAI_API_KEY=one.key, PYTHONDONTWRITEBYTECODE="1"),
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_unchanged_client_gets_an_answer_and_sees_who_gave_it(fresh: Node) -> None:
    printed = ran(fresh, sys.executable, "openai_sdk.py", "Name a colour.")

    assert "answered by local" in printed
    assert "for 0 USD" in printed
    assert printed.partition("\n")[0].strip()


def test_several_streams_come_in_at_once(fresh: Node) -> None:
    lines = ran(fresh, sys.executable, "stream.py").splitlines()

    assert sorted(line[: line.index(".") + 1] for line in lines) == [
        "Name a city.",
        "Name a colour.",
        "Name an animal.",
    ]
    assert all("[0 tokens" not in line and "tokens, first after" in line for line in lines)


def test_a_structured_answer_keeps_its_schema(fresh: Node) -> None:
    ticket = json.loads(ran(fresh, sys.executable, "structured.py"))

    assert set(ticket) == {"team", "urgency", "summary"}
    assert ticket["team"] in ("hardware", "software", "network")
    assert 1 <= ticket["urgency"] <= 5
    assert 1 <= len(ticket["summary"]) <= 80


def test_curl_alone_is_enough(fresh: Node) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: install the package `curl`")
    printed = ran(fresh, "sh", "curl.sh")

    models, whole, streamed, explained, error = printed.split("\n== ")
    assert [each["id"] for each in json.loads(models.splitlines()[-1])["data"]][:2] == ["local", "auto"]
    assert "x-dirigent-model: local" in whole.lower()
    assert streamed.rstrip().endswith("data: [DONE]")
    assert json.loads(explained.splitlines()[-1])["deployment"] == "local"
    assert '"model_not_found"' in error


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.[ps][yh]")), ids=lambda path: path.name)
def test_a_program_stands_in_the_list_that_readers_begin_with(program: Path) -> None:
    assert f"]({program.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
