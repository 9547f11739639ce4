"""The notes of what was served reach their file, whole and in bounds, and no answer waits for them."""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from dirigent.core.usage import Money
from dirigent.telemetry.logs import LogObserver


class Note(msgspec.Struct):
    number: int
    words: str = ""
    cost: Money | None = None


def noted(file: Path) -> list[int]:
    return [json.loads(line)["number"] for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_observation_is_a_line_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "served.jsonl"
    observer = LogObserver(file)

    for number in range(1000):
        observer.observe(Note(number))
    observer.close()

    assert noted(file) == list(range(1000))


def test_lines_appear_while_the_node_runs_and_not_only_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "served.jsonl"
    observer = LogObserver(file)
    observer.observe(Note(1))

    end = time.monotonic() + 60
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.02)

    assert noted(file) == [1]
    observer.close()


def test_a_later_node_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for number in (1, 2):
        observer = LogObserver(tmp_path / "served.jsonl")
        observer.observe(Note(number))
        observer.close()

    assert noted(tmp_path / "served.jsonl") == [1, 2]


def test_several_writers_of_one_file_tear_no_line_and_put_it_aside_once(tmp_path: Path) -> None:
    file = tmp_path / "served.jsonl"
    observers = [LogObserver(file, largest=200_000) for _ in range(4)]

    def write(observer: LogObserver) -> None:
        for number in range(2_000):
            observer.observe(Note(number, "x" * 50))
        observer.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, observers))

    both = noted(file) + noted(file.with_name("served.jsonl.1"))
    assert sorted(both) == sorted(list(range(2_000)) * 4)


def test_a_file_that_has_grown_large_is_put_aside_and_one_old_one_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "served.jsonl"

    for number in range(4):
        observer = LogObserver(file, largest=10)
        observer.observe(Note(number))
        observer.close()

    assert noted(file) == [3]
    assert noted(file.with_name("served.jsonl.1")) == [2]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_disk_that_takes_nothing_is_reported_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "served.jsonl"
    file.mkdir()
    observer = LogObserver(file)

    with caplog.at_level(logging.ERROR):
        observer.observe(Note(1))
        observer.close()

    assert "1 lines of" in caplog.text
    assert "could not be written" in caplog.text


def test_what_is_no_json_is_left_out_and_the_rest_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "served.jsonl"
    observer = LogObserver(file)

    for note in (Note(1), Note(2, words="\ud800"), Note(3)):
        observer.observe(note)
    observer.close()

    assert noted(file) == [1, 3]
    assert "left out" in caplog.text


def test_money_stands_in_the_notes_as_an_exact_number_with_its_currency(tmp_path: Path) -> None:
    file = tmp_path / "served.jsonl"
    observer = LogObserver(file)
    observer.observe(Note(1, cost=Money(42_500)))
    observer.close()

    assert json.loads(file.read_text())["cost"] == {"nano": 42_500, "currency": "USD"}
