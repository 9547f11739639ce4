"""A process and its parent: it ends when the parent ends, however the parent ends, and lets the parent go first.

As a command, `python -m dirigent.annex.tether PARENT COMMAND…` becomes COMMAND and keeps the tie.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

__all__ = ["end_with", "step_back", "tied"]

_PR_SET_PDEATHSIG = 1


def end_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """From now on the kernel sends `how` to this process when the thread of `parent` that started it ends.

    Outlives `exec`. Only Linux can do this; elsewhere nothing happens and a second net is needed, such as a pipe from
    the parent that is read to its end. Exits at once where the parent is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
    if os.getppid() != parent:  # it died before the tie was made, so no signal would ever come
        raise SystemExit(f"process {parent}, which started this one, is gone")


def step_back(niceness: int) -> None:
    """Lets the gateway go first, and lets the kernel end us rather than it when memory runs out."""
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def tied(command: list[str]) -> list[str]:
    """`command`, tied to this process when it is started from the main thread."""
    return [sys.executable, "-P", "-m", "dirigent.annex.tether", str(os.getpid()), *command]


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose
