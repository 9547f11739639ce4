"""The same count with wordllama's static vectors: the other static table from a package, under the same discriminants.

PYTHONPATH=src python -m tools.domain.rival wordllama-0.4.0.post1-….whl        (needs tokenizers and safetensors)
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load
from tokenizers import Tokenizer

from tools.domain.corpus import Labelled, bags, texts
from tools.domain.evaluate import accuracy
from tools.domain.fit import Matrix, discriminant, folds, unit


def wordllama(wheel: str, asked: Sequence[Labelled]) -> list[str]:
    """The subjects by wordllama's static vectors under the same discriminants, its shrinkage the best of four."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        rows = load(archive.read(next(name for name in names if name.endswith("256.safetensors"))))
        spelling = archive.read(next(name for name in names if name.endswith("tokenizer_config.json"))).decode()
    tokenizer, table = Tokenizer.from_str(spelling), next(iter(rows.values())).astype(np.float32)

    def vectors(labelled: Sequence[Labelled]) -> Matrix:
        ids = [tokenizer.encode(text.text, add_special_tokens=False).ids for text in labelled]
        return unit(np.stack([table[part].mean(0) for part in ids]))

    examples, terms = texts("examples"), bags()
    order = list(dict.fromkeys(text.subject for text in examples))
    own, labels = vectors(examples), np.array([order.index(text.subject) for text in examples])
    extra, extra_labels = vectors(terms), np.array([order.index(text.subject) for text in terms])
    fold = folds(labels, [text.language for text in examples])

    def crossed(shrinkage: float) -> float:
        right = 0
        for part in range(fold.max() + 1):
            rest = fold != part
            truth = np.concatenate([labels[rest], extra_labels])
            fitted = discriminant(np.concatenate([own[rest], extra]), truth, shrinkage, 2.0)
            right += int((fitted.scores(own[~rest]).argmax(1) == labels[~rest]).sum())
        return right / len(labels)

    best = max((0.1, 0.3, 0.5, 0.7), key=crossed)
    fitted = discriminant(np.concatenate([own, extra]), np.concatenate([labels, extra_labels]), best, 2.0)
    return [order[index] for index in fitted.scores(vectors(asked)).argmax(1)]


if __name__ == "__main__":
    held_out = texts("heldout")
    print("static: wordllama                 ", accuracy(held_out, wordllama(sys.argv[1], held_out)))
