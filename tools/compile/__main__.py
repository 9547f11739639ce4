"""The compiled build: `check` what it needs, `build` its wheel, `seal` it once installed; `program` names it if fresh.

`test` runs tests on it: those named behind, else all of the rooms with compiled modules and of the contracts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.compile.sources import BUILD, ROOT, STAMP, WHEELS, compilable, digest, fresh, missing

_PENDING = WHEELS / "digest"
_TESTS = (
    *("tests/net", "tests/gateway", "tests/models", "tests/memory", "tests/core", "tests/contracts", "tests/telemetry"),
    *("tests/store/test_ledger.py", "tests/store/test_records.py"),  # others there break the ledger on purpose
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, else 1 where something lacks, or where no fresh build is here."""
    parser = argparse.ArgumentParser(prog="compile", description=__doc__)
    parser.add_argument("step", choices=("check", "build", "seal", "program", "test"))
    options, rest = parser.parse_known_args(arguments)
    if options.step == "test":
        return test(*(rest or _TESTS))
    return {"check": check, "build": build, "seal": seal, "program": program}[options.step]()


def check() -> int:
    """Says what is missing."""
    lack = missing()
    if lack is not None:
        print(f"compile: {lack}; Dirigent runs without it as well, uncompiled", file=sys.stderr)
    return int(lack is not None)


def build() -> int:
    """Builds the wheel; whoever installs it seals it then."""
    of = digest()
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    STAMP.unlink(missing_ok=True)
    print(f"compiling {len(compilable())} modules, which takes about a minute …", flush=True)
    finished = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(WHEELS)],
        cwd=ROOT,
        env={**os.environ, "HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode:
        print(finished.stdout, file=sys.stderr)
        return 1
    _PENDING.write_text(of, encoding="utf-8")  # as the sources were before: who changed one meanwhile builds again
    return 0


def seal() -> int:
    """Says that the installation is whole."""
    _PENDING.rename(STAMP)
    print(f"compiled: {BUILD.relative_to(ROOT)}/bin/dirigent, which `make run` takes as long as no source changes")
    return 0


def program() -> int:
    """Prints the program of the compiled build, if it is of these sources."""
    found = fresh()
    if found is not None:
        print(found)
    return int(found is None)


def test(*arguments: str) -> int:
    """Runs pytest with these arguments, the compiled package in the place of the sources."""
    if fresh() is None:
        print("compile: no build of these sources is here; `make compile` makes one", file=sys.stderr)
        return 1
    packages = next((BUILD / "lib").glob("python*/site-packages"))
    with tempfile.TemporaryDirectory() as folder:
        for found in (packages / "dirigent", *packages.glob("dirigent__mypyc*")):
            (Path(folder) / found.name).symlink_to(found)
        command = [sys.executable, "-m", "pytest", "-p", "tools.compile.witness", *arguments]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": folder}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
