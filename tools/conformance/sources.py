"""The SDKs whose tests are run: pinned, fetched as their authors published them, verified, never part of this tree."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["ANTHROPIC", "OPENAI", "REQUIREMENTS", "SDKS", "Sdk", "Unavailable", "Workshop", "prepared"]

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""What the tests' own environment holds, by hash; `requirements.in` beside it says why."""


class Sdk(NamedTuple):
    """One archive by version and sha256, and which of its tests are about what a gateway does."""

    package: str
    version: str
    sha256: str
    base: str
    """What its users write behind host and port."""
    resources: Mapping[str, tuple[str, ...]]
    """Files and folders below `tests/api_resources`, by the name of what they test."""
    plugins: tuple[str, ...] = ()
    """Its own pytest plugins that its configuration loads early."""

    @property
    def stem(self) -> str:
        """The archive's name without its ending, and the name of the folder in it."""
        return f"{self.package}-{self.version}"


OPENAI = Sdk(
    package="openai",
    version="3.54.0",
    sha256="2e393e63f8a38be6452806f9ef0b6534fecd6d41ab3b2165180dfce3599249cd",
    base="/v1",
    resources={
        "chat completions": ("chat",),
        "responses": ("test_responses.py", "responses"),
        "completions": ("test_completions.py",),
        "embeddings": ("test_embeddings.py",),
        "images": ("test_images.py",),
        "audio: speech": ("audio/test_speech.py",),
        "audio: transcriptions": ("audio/test_transcriptions.py",),
        "audio: translations": ("audio/test_translations.py",),
        "moderations": ("test_moderations.py",),
        "models": ("test_models.py",),
    },
)
ANTHROPIC = Sdk(
    package="anthropic",
    version="2.10.0",
    sha256="6f3ffbdc6eb0a09a197be2eabdc62b8395a13d692710b8cdfa0393a80b355585",
    base="",
    resources={
        "messages": ("test_messages.py",),
        "messages (beta)": ("beta/test_messages.py",),
        "models": ("test_models.py",),
        "models (beta)": ("beta/test_models.py",),
    },
    plugins=("tests._alias_httpx",),
)
SDKS = (OPENAI, ANTHROPIC)


class Unavailable(Exception):
    """Something that the tests need cannot be had as pinned."""


class Workshop(NamedTuple):
    """Where the tests run: an interpreter with the SDKs installed, and their unpacked archives."""

    python: Path
    folder: Path

    def tests(self, sdk: Sdk) -> Path:
        """The folder in which `sdk` expects pytest to be started."""
        return self.folder / sdk.stem


def prepared(cache: Path) -> Workshop:
    """The workshop in `cache`, complete: what is missing is fetched, what differs from its pin is refused.

    Raises Unavailable.
    """
    cache.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(cache / "venv" / "bin" / "python", cache)
    _furnish(workshop)
    for sdk in SDKS:
        if not workshop.tests(sdk).exists():
            _unpack(_fetched(sdk, workshop), workshop.tests(sdk))
    return workshop


def _furnish(workshop: Workshop) -> None:
    done, wanted = workshop.folder / "installed.txt", REQUIREMENTS.read_text(encoding="utf-8")
    if workshop.python.exists() and done.exists() and done.read_text(encoding="utf-8") == wanted:
        return
    uv = shutil.which("uv") or str(Path(sys.prefix) / ".bootstrap" / "bin" / "uv")
    if not Path(uv).exists():
        raise Unavailable("uv is not here; `make install` brings it")
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(workshop.python.parent.parent))
    _run(uv, "pip", "sync", "--quiet", "--python", str(workshop.python), "--require-hashes", str(REQUIREMENTS))
    done.write_text(wanted, encoding="utf-8")


def _fetched(sdk: Sdk, workshop: Workshop) -> Path:
    archive = workshop.folder / f"{sdk.stem}.tar.gz"
    if not archive.exists():
        pins = workshop.folder / f"{sdk.package}.txt"
        pins.write_text(f"{sdk.package}=={sdk.version} --hash=sha256:{sdk.sha256}\n", encoding="utf-8")
        # the archive's own build system is asked for its name: ours is pinned, a fetched one would not be
        pip = [sys.executable, "-m", "pip", "--python", str(workshop.python), "download", "--quiet", "--no-deps"]
        pip += ["--no-binary=:all:", "--no-build-isolation", "--require-hashes", "--requirement", str(pins)]
        _run(*pip, "--dest", str(workshop.folder))
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sdk.sha256:
            raise Unavailable(f"{archive.name} does not have the pinned sha256; remove it to fetch it again")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(draft, filter="data")
    (draft / folder.name).rename(folder)
    draft.rmdir()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:4])} … failed: {done.stderr.strip()[-2000:]}")
