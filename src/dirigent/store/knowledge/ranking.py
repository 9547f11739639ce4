"""Which pieces answer best: by meaning (exact cosine) and by words (BM25), joined by their ranks.

All of a collection is in memory while it is searched: one matrix of vectors and one list of places for each term.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dirigent.store.knowledge.terms import parts, term, terms, words

__all__ = ["Ranking"]

_K, _B = 1.4, 0.6
"""How soon a word that is said again counts no more, and how much a long text counts less."""
_FUSED = 5
"""Ranks are joined as weight / (5 + rank)."""
_WORDS = 0.3
"""What ranks by words weigh against those by meaning; both numbers were chosen as docs/retrieval.md says."""
_LOOKED_AT = 60
_PARTIAL = 0.5
"""What a word counts that is only a part of another."""

Floats = npt.NDArray[np.float32]


class Ranking:
    """The pieces of a collection, ready to be searched."""

    def __init__(self, texts: Sequence[str], vectors: Sequence[bytes | None]) -> None:
        self._count = len(texts)
        self._vectored = np.array([index for index, vector in enumerate(vectors) if vector], dtype=np.int64)
        width = max((len(vector) // 4 for vector in vectors if vector), default=0)
        data = b"".join(vector for vector in vectors if vector)
        self._matrix: Floats = np.frombuffer(data, dtype="<f4").reshape(-1, width) if width else np.zeros((0, 1), "f4")
        counted = [Counter(words(text)) for text in texts]
        self._lengths: Floats = np.array([sum(each.values()) or 1 for each in counted], dtype=np.float32)
        self._mean = float(self._lengths.mean()) if self._count else 1.0
        self._places = _places(counted)

    def best(self, question: str, vector: Sequence[float] | None, most: int) -> list[tuple[int, float]]:
        """The best pieces by their index, with a score; the best first."""
        lists = [(_WORDS, self._by_words(question))]
        if vector is not None and len(self._vectored):
            lists.append((1.0, self._by_meaning(vector)))
        scores: dict[int, float] = {}
        for weight, ranked in lists:
            for rank, index in enumerate(ranked, 1):
                scores[index] = scores.get(index, 0.0) + weight / (_FUSED + rank)
        return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:most]

    def _by_meaning(self, vector: Sequence[float]) -> list[int]:
        asked = np.asarray(vector, dtype=np.float32)
        if asked.shape[0] != self._matrix.shape[1]:
            return []
        near = self._matrix @ asked
        return [int(self._vectored[index]) for index in _highest(near)]

    def _by_words(self, question: str) -> list[int]:
        asked: dict[str, float] = {}
        for stem in terms(question):
            asked[stem] = 1.0
            for part in parts(stem, self._places):
                asked.setdefault(part, _PARTIAL)
        total = np.zeros(self._count, dtype=np.float32)
        for stem, weight in asked.items():
            found = self._places.get(stem)
            if found is None:
                continue
            at, times = found
            rare = np.log(1.0 + (self._count - len(at) + 0.5) / (len(at) + 0.5))
            long = _K * (1.0 - _B + _B * self._lengths[at] / self._mean)
            total[at] += np.float32(weight * rare) * times * np.float32(_K + 1.0) / (times + long)
        return [index for index in _highest(total) if total[index] > 0]


def _places(counted: Sequence[Counter[str]]) -> dict[str, tuple[npt.NDArray[np.int32], Floats]]:
    """In which pieces each term stands, and how often; a part of a compound counts half."""
    stems = {word: found for word in {word for each in counted for word in each} if (found := term(word))}
    known = frozenset(stems.values())
    split = {stem: frozenset(parts(stem, known)) - {stem} for stem in known}
    said = {word: ((stem, 1.0), *((part, _PARTIAL) for part in split[stem])) for word, stem in stems.items()}
    at = {stem: array("i") for stem in known}
    weighed = {stem: array("f") for stem in known}
    for index, each in enumerate(counted):
        weights: dict[str, float] = {}
        for word, times in each.items():
            for stem, weight in said.get(word, ()):
                weights[stem] = weights.get(stem, 0.0) + times * weight
        for stem, weight in weights.items():
            at[stem].append(index)
            weighed[stem].append(weight)
    return {stem: (np.array(at[stem], np.int32), np.array(weighed[stem], np.float32)) for stem in known}


def _highest(scores: Floats) -> list[int]:
    """The indices of the highest scores, the highest first."""
    most = min(_LOOKED_AT, len(scores))
    if not most:
        return []
    found = np.argpartition(-scores, most - 1)[:most]
    return [int(index) for index in found[np.argsort(-scores[found], kind="stable")]]
