"""The examples, and what a test has to put in the place of what a reader would have."""

from __future__ import annotations

from pathlib import Path

from dirigent.local.kit import DEFAULT, SMALL
from tests.parsed import ROOT

__all__ = ["CONFIGURATIONS", "EXAMPLES", "KEYS", "with_own"]

EXAMPLES = ROOT / "examples"
CONFIGURATIONS = sorted(EXAMPLES.glob("*.yaml"))
KEYS = {"VENDOR_KEY": "sk-vendor", "NORTH_KEY": "sk-north", "SOUTH_KEY": "sk-south"}
"""The variables that the configurations name."""


def with_own(file: Path, *urls: str) -> str:
    """The text of a configuration with the tests' small weights, and its providers at these addresses in order."""
    text = file.read_text(encoding="utf-8").replace(f"name: {DEFAULT}", f"name: {SMALL}")
    for place, url in enumerate(urls, 1):
        example = f"http://127.0.0.1:{9000 + place}/v1"
        assert example in text, f"{file.name} names no provider at {example}"
        text = text.replace(example, url)
    return text
