"""A lock between processes: one of them holds a file, and the kernel frees it when that one ends, however it ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["Latch"]

_PAUSE = 0.2


class Latch:
    """A lock by file. The file stays when it is free: were it removed, two processes could hold locks of one name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def seize(self) -> bool:
        """Takes the lock if it is free, and says whether this object now holds it; never waits."""
        if self._file is None:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._file = file
        return True

    def release(self) -> None:
        """Frees the lock, if this object holds it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def taken(self) -> bool:
        """Whether another holds it now, in this process or in one beside it."""
        if not self.path.exists():
            return False
        free = self.seize()
        self.release()
        return not free

    @asynccontextmanager
    async def held(self, waiting: Callable[[], None]) -> AsyncGenerator[None, None]:
        """Holds the lock for the length of the block; calls `waiting` again and again until it has it."""
        while not self.seize():
            waiting()
            await asyncio.sleep(_PAUSE)
        try:
            yield
        finally:
            self.release()
