"""Where proofs keep their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that is none of pytest's: no other run of the tests tidies away what a long proof stands on."""
    with TemporaryDirectory(prefix="proof-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
