"""The programs of `native/`, compiled where they are needed: figures of microseconds need more than an interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Missing", "Row", "body", "call", "calling", "folder", "pinned", "told", "upstream"]

_SOURCES = Path(__file__).with_name("native")
_PATIENCE = 10.0

Row = dict[str, Any]
"""What one program, or one round, found."""


class Missing(Exception):
    """What a figure needs is not here; the message says what, and what to do."""


def folder() -> Path:
    """Where programs, bodies and the data of the measured are kept between runs; PERF names another one."""
    perf = Path(os.environ.setdefault("PERF", str(Path(tempfile.gettempdir()) / "dirigent-bench")))
    for name in ("run", "log", "bodies", "bin"):
        (perf / name).mkdir(parents=True, exist_ok=True)
    return perf


def built(name: str) -> Path:
    """A program of `native/`, compiled unless it is newer than its sources. Raises Missing."""
    program = folder() / "bin" / f"dirigent-{name}"
    newest = max(source.stat().st_mtime for source in _SOURCES.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        draft = program.with_name(f"{program.name}.{os.getpid()}")  # several that compile at once disturb nobody
        command = ["gcc", "-O2", "-o", str(draft), str(_SOURCES / f"{name}.c")]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            draft.replace(program)
        except FileNotFoundError:
            raise Missing("there is no C compiler; install the package `gcc`") from None
        except subprocess.CalledProcessError as fault:
            raise Missing(f"{name}.c could not be compiled: {fault.stderr.strip()}") from None
    return program


def body(name: str, **fields: object) -> str:
    """A file with a request of about 1 KB."""
    question = "Which limits and time-outs should a gateway have, and how do we see under load that they work? " * 8
    messages = [{"role": "system", "content": "Answer in three sentences."}, {"role": "user", "content": question}]
    file = folder() / "bodies" / f"dirigent-{name}.json"
    file.write_text(json.dumps({"messages": messages, **fields}), encoding="utf-8")
    return str(file)


def pinned(cores: str, command: Sequence[str]) -> list[str]:
    """The command on these cores only."""
    return ["taskset", "-c", cores, *command]


@contextmanager
def upstream(port: int, cores: str, *options: str) -> Iterator[int]:
    """A provider whose events say when they were sent; its process id. Raises Missing."""
    command = pinned(cores, [str(built("upstream")), "-p", str(port), *options])
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            time.sleep(0.2)
            if process.poll() is not None and process.stderr is not None:
                raise Missing(f"the upstream did not start: {process.stderr.read().strip()}")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE)


@contextmanager
def calling(port: int, cores: str, key: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The callers at work; they are gone at the end of the block. Raises Missing."""
    command = [str(built("callers")), "-p", str(port), "-H", f"authorization: Bearer {key}", *options]
    process = subprocess.Popen(pinned(cores, command), stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def call(port: int, cores: str, key: str, *options: str, patience: float = 120.0) -> Row:
    """What the callers found, once all have been answered. Raises Missing."""
    with calling(port, cores, key, *options) as process:
        return told(process, patience)


def told(process: subprocess.Popen[str], patience: float) -> Row:
    """What the callers print at their end. Raises Missing."""
    try:
        text = process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        raise Missing(f"the callers had no answers after {patience:g} s") from None
    if process.returncode:
        raise Missing(f"the callers ended with {process.returncode}")
    found: Row = json.loads(text)
    return found
