"""The small model's weights, as `make weights` has left them for the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dirigent.local.kit import KIT, SMALL
from tests.parsed import ROOT

__all__ = ["give_weights"]

_CACHE = Path(os.environ.get("DIRIGENT_TEST_MODELS") or ROOT / ".cache" / "models")


def give_weights(data: Path) -> None:
    """Lays the small model into a data folder; skips the story where `make weights` could not get it."""
    file = KIT[SMALL].file
    if not (_CACHE / file).exists():
        pytest.skip(f"the small model is missing: {_CACHE / file}; `make weights` fetches it")
    (data / "models").mkdir(parents=True)
    (data / "models" / file).symlink_to(_CACHE / file)
