"""A thousand rows survive two kills of the node and one of the command: each is done once, and none is missing."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import ran
from tests.journeys.node import clean_environment, node
from tests.parsed import ROOT

CONFIG = """\
    models:
      writer: {type: echo}
      quote:
        type: pipeline
        durable: true
        steps:
          - {type: prompt, name: draft, model: writer, prompt: "An offer for {{ input.text }}"}
    """
ROWS = 1_000


def test_a_node_that_never_had_a_run_takes_rows(tmp_path: Path) -> None:
    table, data = tmp_path / "rows.csv", tmp_path / "data"
    table.write_text("who\nAnna\nBob\n", encoding="utf-8")

    with node(data, CONFIG):
        told = ran("runs", "bulk", "quote", "--in", str(table), "--column", "who", "--data", str(data), "--json")

    assert told.status == 0, told.err
    assert json.loads(told.out)["done"] == 2


@pytest.mark.prove
def test_a_thousand_rows_survive_two_kills_of_the_node_and_one_of_the_command(tmp_path: Path) -> None:
    table, data = tmp_path / "rows.csv", tmp_path / "data"
    table.write_text("who\n" + "".join(f"customer {number}\n" for number in range(1, ROWS + 1)), encoding="utf-8")
    words = ["runs", "bulk", "quote", "--in", str(table), "--column", "who", "--parallel", "50", "--data", str(data)]

    for share in (0.2, 0.6):
        with node(data, CONFIG) as one:
            command = subprocess.Popen(
                [sys.executable, "-m", "dirigent", *words],
                cwd=ROOT,
                env=clean_environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until_done(data, int(ROWS * share))
            command.kill()
            command.wait()
            one.process.kill()
            one.process.wait()
    killed_at = ended(data)
    with node(data, CONFIG):
        told = ran(*words, "--json")
    with (tmp_path / "rows.results.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))

    outcome = json.loads(told.out)
    print(f"{killed_at} rows were done at the second kill")
    assert 0 < killed_at < ROWS
    assert (told.status, outcome["done"], outcome["failed"], outcome["total"]) == (0, ROWS, 0, ROWS)
    assert [row["output"] for row in found] == [f"An offer for customer {number}" for number in range(1, ROWS + 1)]
    with closing(sqlite3.connect(data / "dirigent.db")) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT place) FROM runs WHERE bulk IS NOT NULL").fetchone()
        steps = connection.execute("SELECT count(*), count(DISTINCT run) FROM run_entries WHERE kind = 'step_ended'")
        assert rows == (ROWS, ROWS)
        assert steps.fetchone() == (ROWS, ROWS)
        assert connection.execute("SELECT count(*) FROM bulk_rows").fetchone() == (0,)


def ended(data: Path) -> int:
    with closing(sqlite3.connect(f"file:{data / 'dirigent.db'}?mode=ro", uri=True)) as connection:
        found: tuple[int] = connection.execute(
            "SELECT count(*) FROM runs WHERE bulk IS NOT NULL AND status = 'done'"
        ).fetchone()
        return found[0]


def until_done(data: Path, many: int) -> None:
    """Waits until so many rows are done."""
    patience = time.monotonic() + 300
    while ended(data) < many:
        assert time.monotonic() < patience
        time.sleep(0.05)
