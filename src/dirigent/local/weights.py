"""Weights on this machine: finding a file by its name, and fetching the kit's, checked to the byte and resumable."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import msgspec

from dirigent.core.errors import Misconfigured, Unavailable
from dirigent.local.assembly import Assembly, Mismatch
from dirigent.local.kit import KIT, SMALL, Weights, in_kit
from dirigent.local.latch import Latch
from dirigent.local.sources import Source, SourceFailed

__all__ = [
    "BadWeights",
    "CannotPull",
    "NoRoom",
    "Progress",
    "Pulled",
    "Step",
    "check_gguf",
    "locate",
    "pull",
    "pull_with_fallback",
    "pulling",
]


class Step(msgspec.Struct, frozen=True):
    """How far a pull is, for a progress bar."""

    phase: Literal["waiting", "checking", "fetching", "ready"]
    done: int
    """Bytes of the file on this machine, never less than the step before said."""
    total: int
    source: str = ""


Progress = Callable[[Step], None]


class Pulled(msgspec.Struct, frozen=True):
    """What a pull came to."""

    name: str
    path: Path
    wanted: str
    words: str = ""
    """Why it is not the weights that were wanted; empty where it is."""


class CannotPull(Unavailable):
    """No source gave the weights; the message names each with its reason, what is safe and what to do."""


class NoRoom(CannotPull):
    """The disk has no room for the weights."""


class BadWeights(Misconfigured):
    """A file that cannot be a model in GGUF."""


def _quiet(step: Step) -> None:
    """Shows nothing."""


def locate(name: str, folder: Path) -> Path:
    """Where the GGUF file of `name` is or would be: a name of the kit, a file in `folder`, or a whole path.

    Raises UnknownWeights where it can be neither. That the file is there is not promised.
    """
    if name in KIT:
        return folder / KIT[name].file
    if Path(name).is_absolute():
        return Path(name)
    inside = [folder / name, folder / f"{name}.gguf"]
    for path in inside:
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return folder / in_kit(name).file  # raises, with the names that there are


def check_gguf(path: Path) -> None:
    """Raises BadWeights in words where `path` is no GGUF file, so that nobody waits for a process to find out."""
    try:
        with path.open("rb") as stream:
            head = stream.read(24)
    except OSError as error:
        raise BadWeights(f"{path} cannot be read: {error.strerror}") from error
    if head[:4] == b"GGUF" and len(head) == 24:
        if (version := int.from_bytes(head[4:8], "little")) not in (2, 3):
            raise BadWeights(f"{path} is a GGUF file of version {version}; llama.cpp reads versions 2 and 3")
        return
    guess = ""
    if head.startswith(b"version https://git-lfs"[:24]):
        guess = " It is a git-lfs pointer: fetch the file itself with `git lfs pull`."
    elif head.lstrip()[:1] in (b"<", b"{"):
        guess = " It looks like a web page or an error message that was saved in its place."
    elif head[:4] == b"GGUF":
        guess = " It breaks off within its first bytes."
    raise BadWeights(f"{path} is not a model in GGUF: such a file begins with the letters GGUF and a header.{guess}")


async def pull(name: str, folder: Path, sources: Sequence[Source], progress: Progress = _quiet) -> Path:
    """Fetches the kit's weights into `folder` from the first source that has them, and returns the file.

    Every byte is checked against the pinned sha256 before the file gets its name, so a file with that name is whole.
    What was fetched before an interruption stays beside it and is not fetched again, whichever source goes on. Of two
    pulls at once the second waits. Cancelling leaves no process behind. Raises UnknownWeights, NoRoom, CannotPull.
    """
    weights = in_kit(name)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    waiting = Step("waiting", 0, weights.bytes, "another pull of the same file")
    async with Latch(folder / f"{weights.file}.lock").held(lambda: progress(waiting)):
        progress(Step("checking", 0, weights.bytes))
        path = folder / weights.file
        if not await asyncio.to_thread(_whole, path, weights):
            await _fetch(weights, folder, sources, progress)
            await asyncio.to_thread(_stamp, path, weights)
        progress(Step("ready", weights.bytes, weights.bytes))
        return path


async def pull_with_fallback(name: str, folder: Path, sources: Sequence[Source], progress: Progress = _quiet) -> Pulled:
    """Pulls `name`, or where it cannot be had the small model, and then says so in `words`.

    Raises what `pull` raises where the small one cannot be had either, or where the name is unknown.
    """
    try:
        return Pulled(name, await pull(name, folder, sources, progress), name)
    except CannotPull as error:
        if name == SMALL:
            raise
        small = KIT[SMALL]
        path = await pull(SMALL, folder, sources, progress)
        return Pulled(
            SMALL, path, name,
            f"{error.message} Until then {SMALL} answers in its place ({small.megabytes} MB): it is there so that "
            "everything works, but it reads English only and its answers are poor.",
        )  # fmt: skip


def pulling(path: Path) -> int | None:
    """Bytes that a pull under way has of the file at `path`; None where nobody pulls it."""
    part = path.with_name(f"{path.name}.part")
    if part.exists() and Latch(path.with_name(f"{path.name}.lock")).taken():
        return part.stat().st_size
    return None


async def _fetch(weights: Weights, folder: Path, sources: Sequence[Source], progress: Progress) -> None:
    reasons: list[str] = []
    prefix = f".pull-{weights.file}-"
    await asyncio.to_thread(_tidy, folder, prefix)
    assembly = await asyncio.to_thread(Assembly, weights, folder / f"{weights.file}.part")
    reached = assembly.length
    try:
        for source in sources:
            _check_room(weights, folder, weights.bytes - assembly.length + source.room(weights))

            def reach(position: int, words: str = source.words) -> None:
                nonlocal reached
                reached = max(reached, position)
                progress(Step("fetching", reached, weights.bytes, words))

            reach(assembly.length)
            try:
                if assembly.length < weights.bytes:  # a pull may have ended between the last byte and the name
                    await _fill(assembly, source, folder, prefix, reach)
                await asyncio.to_thread(assembly.finish, folder / weights.file)
                return
            except SourceFailed as error:
                reasons.append(f"{source.words} {error}")
            except Mismatch as error:
                reasons.append(f"{source.words} gave other bytes than the pinned ones ({error}); they were thrown away")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise CannotPull(f"{weights.name} cannot be written to {folder}: {error.strerror}.") from error
        raise _no_room(weights, folder, weights.bytes - assembly.length) from error
    finally:
        assembly.close()
    kept = f" The {assembly.length // 10**6} MB fetched so far are kept." if assembly.length else ""
    raise CannotPull(
        f"{weights.name} ({weights.megabytes} MB) could not be had: "
        f"{'; '.join(reasons) or 'no source was named'}.{kept} "
        f"Connect this machine to one of them and pull again, or put {weights.file} into {folder}."
    )


async def _fill(assembly: Assembly, source: Source, folder: Path, prefix: str, reach: Callable[[int], None]) -> None:
    weights = assembly.weights
    with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as scratch:
        async with aclosing(source.bytes_from(weights, assembly.length, Path(scratch), reach)) as blocks:
            async for block in blocks:
                await asyncio.to_thread(assembly.add, block)
                reach(assembly.length)
    if assembly.length < weights.bytes:
        raise SourceFailed("broke off before the end")


def _tidy(folder: Path, prefix: str) -> None:
    """Removes what a killed pull left; the lock that we hold says that it is gone."""
    for scratch in folder.glob(f"{prefix}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def _check_room(weights: Weights, folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise _no_room(weights, folder, needed)


def _no_room(weights: Weights, folder: Path, needed: int) -> NoRoom:
    free = shutil.disk_usage(folder).free
    return NoRoom(
        f"the disk that holds {folder} is too full for {weights.name}: {needed // 10**6 + 1} MB more are needed and "
        f"{free // 10**6} MB are free. What was fetched is kept. Make room and pull again."
    )


class _Stamp(msgspec.Struct):
    """That a file of this size and age was checked against this hash, so that the next start need not read it again."""

    sha256: str
    bytes: int
    modified: int


def _stamp_of(path: Path, weights: Weights) -> bytes:
    seen = path.stat()
    return msgspec.json.encode(_Stamp(weights.sha256, seen.st_size, seen.st_mtime_ns))


def _stamp(path: Path, weights: Weights) -> None:
    path.with_name(f"{path.name}.checked").write_bytes(_stamp_of(path, weights))


def _whole(path: Path, weights: Weights) -> bool:
    """Whether the file is there with the pinned bytes; one with others is set aside as `.refused`, never deleted."""
    if not path.is_file():
        return False
    stamp = path.with_name(f"{path.name}.checked")
    if stamp.exists() and stamp.read_bytes() == _stamp_of(path, weights):
        return True
    if Assembly.holds(path, weights):
        _stamp(path, weights)
        return True
    path.rename(path.with_name(f"{path.name}.refused"))
    return False
