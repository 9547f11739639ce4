"""Runs lint, types, walls and tests, all of them whatever fails first, and closes with one line that counts.

The line reads `N passed, N failed, N skipped`. Each of the checks counts as one; a skipped test has named what it
misses in the summary above the line. The exit status is 1 if anything failed.

Most tests wait for other processes, so several of them run at once, and the types are checked beside all of it. The
tests of a file stay together and in order, so that they share what the file has set up.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lint", ("ruff", "check")),
    ("format", ("ruff", "format", "--check")),
    ("walls", ("lint-imports",)),
)
TYPES = ("types", ("mypy",))
"""The check that takes as long as many tests."""
AT_ONCE = min(8, (os.cpu_count() or 1) + 2)
"""Tests that run at once: two more than there are cores, since most of them wait for other processes."""
TOLD = 20
"""How many of the longest tests and files are told at the end."""


@dataclass
class Tally:
    """What has been counted so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Tally) -> None:
        """Counts in what `other` counted."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies the working tree; returns 0 when nothing failed, else 1."""
    parser = argparse.ArgumentParser(prog="verify", description=__doc__.partition("\n")[0])
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--without-tests", action="store_true", help="lint, types and walls only")
    scope.add_argument("--only-proofs", action="store_true", help="the slow proofs, and more examples of other tests")
    options = parser.parse_args(arguments)

    tally = Tally()
    if options.only_proofs:
        tally.add(tested("-m", "prove"))
        tally.add(tested("-m", "hypothesis and not prove"))
    else:
        with ThreadPoolExecutor(2) as beside:
            types = beside.submit(checked, *TYPES)
            compiling = None if options.without_tests else beside.submit(compiled)
            for check in CHECKS:
                tally.add(told(*checked(*check)))
            if compiling is not None:
                compiling.result()
                tally.add(tested("--numprocesses", str(AT_ONCE), "--dist", "loadfile", "--no-loadscope-reorder"))
            tally.add(told(*types.result()))
    print(tally, flush=True)
    return 1 if tally.failed else 0


def checked(name: str, command: Sequence[str]) -> tuple[str, int, str]:
    """Carries out one check: its name, its exit status and what it prints."""
    finished = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return name, finished.returncode, finished.stdout


def told(name: str, status: int, words: str) -> Tally:
    """Tells how a check has ended, and counts it; what it printed is shown only where it has failed."""
    print(f"{name:<7} {'ok' if status == 0 else 'FAILED'}", flush=True)
    if status == 0:
        return Tally(passed=1)
    print(words, flush=True)
    return Tally(failed=1)


def compiled() -> None:
    """The tests, and all that they import, compiled once in a fresh checkout.

    The workers begin at the same moment, so each of them would compile all of it for itself.
    """
    if not sys.dont_write_bytecode and not any((ROOT / "tests" / "__pycache__").glob("*-pytest-*.pyc")):
        collect = [sys.executable, "-m", "pytest", "--collect-only", "-qq"]
        subprocess.run(collect, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def tested(*arguments: str) -> Tally:
    """The tests, counted from pytest's own report; a run that leaves no report counts as one failure."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # any seed will do, as long as all processes that share the tests have the same: they compare the order of them
        seed = os.environ.get("PYTHONHASHSEED") or str(randrange(2**32))
        print(f"PYTHONHASHSEED={seed}", flush=True)
        finished = subprocess.run(
            [sys.executable, "-m", "pytest", "-rsfE", f"--durations={TOLD}", f"--junitxml={report}", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=False,
        )
        if not report.exists():
            return Tally(failed=1)
        print(f"the longest files: {', '.join(longest(report))}", flush=True)
        return counted(report, finished.returncode)


def counted(report: Path, status: int) -> Tally:
    """The numbers of a JUnit report; a bad exit status with no failed test in it counts as one failure."""
    tally = Tally()
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 -- pytest wrote it a moment ago
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        tally.add(Tally(max(int(suite.get("tests", 0)) - failed - skipped, 0), failed, skipped))
    if status and not tally.failed:
        tally.failed = 1
    return tally


def longest(report: Path) -> list[str]:
    """The files of a JUnit report that took longest, with their seconds: whoever wants a shorter run begins there."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 -- pytest wrote it a moment ago
        seconds[case.get("classname", "")] += float(case.get("time", 0))
    return [f"{file} {took:.0f} s" for file, took in sorted(seconds.items(), key=lambda row: -row[1])[:TOLD]]


if __name__ == "__main__":
    sys.exit(main())
