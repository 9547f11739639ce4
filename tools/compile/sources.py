"""What a compiled build is made of, and whether a build is of the sources as they stand."""

from __future__ import annotations

import hashlib
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BUILD", "ROOT", "SRC", "STAMP", "WHEELS", "compilable", "digest", "file_of", "fresh", "missing"]

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
BUILD = ROOT / ".venv-compiled"
WHEELS = BUILD / "wheels"
STAMP = BUILD / ".compiled"
"""The digest of what is installed there; written last, so that a build that broke off is none."""
_LIST = Path(__file__).with_name("modules.txt")
_LOCKS = ("office.txt", "all.txt", "build.txt", "compile.txt")


def compilable() -> list[str]:
    """The modules that are compiled, as modules.txt lists them."""
    lines = (line.partition("#")[0].strip() for line in _LIST.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def file_of(module: str) -> Path:
    """Where a module's source stands, seen from `src`."""
    return Path(*module.split(".")).with_suffix(".py")


def digest() -> str:
    """Of everything that a compiled build depends on, byte for byte: the times of files tell too little."""
    total = hashlib.sha256(sys.version.encode())
    for file in _sources():
        total.update(b"%b\0%d\0" % (file.relative_to(ROOT).as_posix().encode(), file.stat().st_size))
        total.update(file.read_bytes())
    return total.hexdigest()


def fresh() -> Path | None:
    """The program of the compiled build; None where there is none, or where it is of other sources than these."""
    program = BUILD / "bin" / "dirigent"
    if not program.exists() or not STAMP.exists() or STAMP.read_text(encoding="utf-8") != digest():
        return None
    return program


def missing() -> str | None:
    """What this machine lacks for compiling, and how it is had; None where nothing lacks."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and shutil.which("cc") is None:
        return f"no C compiler ({compiler}) is here (Debian and Ubuntu: apt install gcc libc6-dev)"
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"the headers of Python {version} are not here (Debian and Ubuntu: apt install python{version}-dev)"
    return None


def _sources() -> Iterator[Path]:
    yield ROOT / "pyproject.toml"
    yield from (ROOT / "requirements" / lock for lock in _LOCKS)
    for folder in (_LIST.parent, SRC / "dirigent"):
        yield from sorted(file for file in folder.rglob("*") if file.is_file() and file.parent.name != "__pycache__")
