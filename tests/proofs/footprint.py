"""What a process holds, read twice by the proofs that nothing stays behind."""

from __future__ import annotations

from pathlib import Path


class Footprint:
    """What a process holds: memory that is its own, and open files and sockets."""

    def __init__(self, pid: int) -> None:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        self.kilobytes = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
        self.files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
