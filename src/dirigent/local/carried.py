"""Weights that lie inside installed packages: found without importing them, joined, and checked to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from dirigent.core.errors import Unavailable

__all__ = ["Carried", "inside", "missing"]


class Carried(msgspec.Struct, frozen=True):
    """A file that packages carry in parts."""

    name: str
    sha256: str
    parts: tuple[tuple[str, str], ...]
    """A package and the path inside it, for each part in order."""

    def read(self) -> bytes:
        """Its bytes. Raises Unavailable where they are not the pinned ones."""
        whole = b"".join((inside(package) / path).read_bytes() for package, path in self.parts)
        if hashlib.sha256(whole).hexdigest() != self.sha256:
            packages = ", ".join(dict.fromkeys(package.replace("_", "-") for package, _ in self.parts))
            raise Unavailable(f"{self.name} is not the one that is pinned (its sha256 differs): reinstall {packages}")
        return whole


def inside(package: str) -> Path:
    """The folder of an installed package. Raises Unavailable where it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"the package {package.replace('_', '-')} is not installed")
    return Path(spec.submodule_search_locations[0])


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed, as the package index spells them."""
    return [package.replace("_", "-") for package in packages if find_spec(package) is None]
