"""The compiled build keeps every promise of the plain one: the same tests and the same fuzzing, on machine code."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.parsed import ROOT
from tools.compile.sources import missing

pytestmark = pytest.mark.prove


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """The compiled build of the sources as they stand."""
    if (lack := missing() or (None if shutil.which("make") else "make is not here")) is not None:
        pytest.skip(lack)
    subprocess.run(["make", "compile"], cwd=ROOT, check=True)


def test_the_tests_of_the_rooms_with_compiled_modules_pass_on_them() -> None:
    finished = subprocess.run([sys.executable, "-m", "tools.compile", "test"], cwd=ROOT, check=False)

    assert finished.returncode == 0


def test_fuzzing_finds_no_difference_in_what_is_compiled() -> None:
    fuzzed = ("tests/proofs/test_fuzzing.py", "-m", "prove")

    finished = subprocess.run([sys.executable, "-m", "tools.compile", "test", *fuzzed], cwd=ROOT, check=False)

    assert finished.returncode == 0
