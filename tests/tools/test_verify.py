"""The closing line counts what happened, whatever else went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.ci.verify import Tally, checked, counted, longest, told

REPORT = """<?xml version="1.0"?>
<testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/>
"""


def test_the_closing_line_has_the_form_that_others_read() -> None:
    assert str(Tally(12, 0, 1)) == "12 passed, 0 failed, 1 skipped"


def test_errors_count_as_failures_and_skipped_tests_do_not_count_as_passed(tmp_path: Path) -> None:
    report = written(tmp_path, tests=10, failures=2, errors=1, skipped=3)

    assert counted(report, 1) == Tally(passed=4, failed=3, skipped=3)


def test_a_run_that_ends_badly_without_a_failed_test_counts_as_one_failure(tmp_path: Path) -> None:
    report = written(tmp_path, tests=5, failures=0, errors=0, skipped=0)

    assert counted(report, 2) == Tally(passed=5, failed=1, skipped=0)


def test_a_check_that_fails_shows_its_words_and_counts(capfd: pytest.CaptureFixture[str]) -> None:
    tally = told(*checked("lint", ("ruff", "check", "--no-cache", "no-such-file.py")))

    assert tally == Tally(failed=1)
    assert "no-such-file.py" in capfd.readouterr().out


def test_the_longest_files_are_told_with_the_seconds_of_all_their_tests(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    cases = [("tests.a", 1.5), ("tests.b", 2), ("tests.a", 1.5)]
    rows = "".join(f'<testcase classname="{file}" name="t" time="{took}"/>' for file, took in cases)
    report.write_text(f"<testsuite>{rows}</testsuite>", encoding="utf-8")

    assert longest(report) == ["tests.a 3 s", "tests.b 2 s"]


def written(folder: Path, **numbers: int) -> Path:
    path = folder / "report.xml"
    path.write_text(REPORT.format(**numbers), encoding="utf-8")
    return path
