"""Reads the labelled texts beside this file."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
_BAG = 5
"""Terms per text: about as many telling words as a prompt has."""
_SHUFFLES = 2


class Labelled(NamedTuple):
    """A text, its subject and its language."""

    text: str
    subject: str
    language: str


def digest() -> str:
    """What names the texts of the fit: SHA-256 over examples.yaml and terms.yaml."""
    return sha256((HERE / "examples.yaml").read_bytes() + (HERE / "terms.yaml").read_bytes()).hexdigest()


def texts(name: str) -> list[Labelled]:
    """The texts of `examples` or `heldout`, in the order of the file."""
    tree = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    return [
        Labelled(text, subject, language)
        for subject, languages in tree.items()
        for language, sentences in languages.items()
        for text in sentences
    ]


def bags() -> list[Labelled]:
    """The terms of each subject, a few at a time, twice shuffled: texts of telling words only."""
    tree = yaml.safe_load((HERE / "terms.yaml").read_text(encoding="utf-8"))
    chance = random.Random(0)
    found = []
    for subject, languages in tree.items():
        for language, line in languages.items():
            for _ in range(_SHUFFLES):
                terms = line.split()
                chance.shuffle(terms)
                groups = (terms[start : start + _BAG] for start in range(0, len(terms), _BAG))
                found += [Labelled(" ".join(group), subject, language) for group in groups if len(group) > 2]
    return found
