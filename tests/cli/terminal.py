"""The command line as a program runs it, and as a person sees it on a terminal of eighty columns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from dirigent.cli import main
from tests.journeys.node import clean_environment
from tests.parsed import ROOT

__all__ = ["Ran", "on_a_terminal", "performed", "ran"]


@dataclass
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str = ""


def ran(
    *arguments: object, given: str | None = None, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Ran:
    """Runs `dirigent` without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "dirigent", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=clean_environment(**(environment or {})),
        cwd=cwd,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def performed(*arguments: object) -> Ran:
    """Runs `dirigent` within this process, which is quicker: for what a test needs and does not look at."""
    done = CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)
    return Ran(done.exit_code, done.stdout, done.stderr)


def on_a_terminal(*arguments: object, columns: int = 80) -> Ran:
    """Runs `dirigent` on a terminal; what it prints to either stream is in `out`, with colours and all."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = clean_environment(TERM="xterm-256color")
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "dirigent", *map(str, arguments)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT) as process:
        os.close(slave)
        seen = b""
        while True:
            piece = b""
            with contextlib.suppress(OSError):  # so Linux ends a terminal that nobody holds any more
                piece = os.read(master, 65_536)
            if not piece:
                break
            seen += piece
        status = process.wait(90)
    os.close(master)
    text = seen.decode("utf-8", "replace")
    assert "Traceback" not in text, text
    return Ran(status, text)
