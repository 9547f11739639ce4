"""Files with keys: written whole or not at all, once, readable by their owner only, and destroyed for good."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

__all__ = ["destroyed", "written_once"]


def written_once(file: Path, content: bytes) -> bytes:
    """What the file holds: `content` where nobody has written it before. Of several who try at once, one succeeds."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        draft = file.with_name(f".{file.name}.{token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):
            os.link(draft, file)  # fails where somebody was quicker, and then theirs is the key
        draft.unlink()
        _sync(file.parent)
    return file.read_bytes()


def destroyed(file: Path) -> None:
    """Overwrites and removes a file; nothing where there is none. On disks that copy on write this is no guarantee."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return
    with file.open("r+b") as out:
        out.write(b"\0" * size)
        out.flush()
        os.fsync(out.fileno())
    file.unlink()
    _sync(file.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
