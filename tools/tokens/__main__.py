"""Prints weights for `core/tokens.py` and how far the present ones are off: `python -m tools.tokens FOLDER`.

The folder holds a folder of UTF-8 texts for each kind of text: FOLDER/german/1.txt. Every second text of a kind is
fitted to; the others tell the error. `requirements.in` beside this file names what it needs: install that first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import bpe_openai
import numpy as np

from dirigent.core.tokens import WEIGHTS, counts, estimated

_ROUNDS = 60
_TOLERATED = 0.03
_COMMON = {"english", "german", "json", "markdown", "python"}
"""What prompts are made of: these kinds of text count double."""


class Sample(NamedTuple):
    """A text and the tokens that it is in o200k."""

    text: str
    tokens: int


def samples(folder: Path) -> dict[str, list[Sample]]:
    """The texts of each kind, in the order of their names."""
    vocabulary = bpe_openai.get_encoding("o200k_base")
    found: dict[str, list[Sample]] = {}
    for file in sorted(folder.glob("*/*")):
        text = file.read_text("utf-8", errors="replace")
        if tokens := len(vocabulary.encode(text, disallowed_special=())):
            found.setdefault(file.parent.name, []).append(Sample(text, tokens))
    return found


def fitted(kinds: dict[str, list[Sample]]) -> Sequence[float]:
    """The weights with the least mean relative error over the texts, the common kinds before the others."""
    rows, truth, weight = [], [], []
    for kind, texts in kinds.items():
        for text, tokens in texts:
            found = counts(text)
            rows.append([*found, *[0] * (len(WEIGHTS) - len(found))])
            truth.append(tokens)
            weight.append(((kind in _COMMON) + 1) * len(texts) ** -0.5)
    relative = np.array(rows, float) / np.array(truth, float)[:, None]
    heavy = np.array(weight)
    best = np.array(WEIGHTS)
    for _ in range(_ROUNDS):
        # Squares weighed by the inverse of the error are absolute values, so that an odd text does not rule.
        pull = heavy / np.sqrt(np.maximum(np.abs(relative @ best - 1), _TOLERATED))
        best, *_rest = np.linalg.lstsq(relative * pull[:, None], pull, rcond=None)
    return [round(float(value), 3) for value in best]


def main(folder: Path) -> None:
    """Prints the weights, then a line for each kind of text."""
    kinds = samples(folder)
    print("best weights:", *fitted({kind: texts[0::2] for kind, texts in kinds.items()}))
    for kind, texts in kinds.items():
        errors = [estimated(text) / tokens - 1 for text, tokens in texts[1::2]]
        size = np.abs(errors)
        print(
            f"{kind:20} {len(errors):4} texts, median error {np.median(size):6.1%}, of 95 in 100 below "
            f"{np.quantile(size, 0.95):6.1%}, leaning {np.median(errors):+6.1%}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
