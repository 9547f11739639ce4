"""From a vector to a subject: linear discriminants that an operator can extend by examples, without training anything.

Every subject has a mean; all share one spread. The score of a subject is the linear discriminant of the vector against
its mean under that spread, and the scores, divided by a temperature that cross-validation chose, become probabilities.
A further subject therefore needs nothing but the mean of its examples. `tools/domain/build.py` fits; no numpy here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import exp, sqrt
from operator import mul
from pathlib import Path
from struct import unpack

import msgspec

__all__ = ["Heads", "Trained", "read_trained"]


class Trained(msgspec.Struct, frozen=True):
    """What the build found for one tier. Byte fields hold little-endian floats: 32 bits each, in `precision` 16."""

    digest: str
    """SHA-256 of the examples and terms that it was fitted on."""
    names: tuple[str, ...]
    counts: tuple[int, ...]
    """Examples behind each mean."""
    dimensions: int
    centre: bytes
    """The mean of all subjects' examples."""
    means: bytes
    """Each subject's mean less the centre, pulled towards it as `pull` says."""
    directions: bytes
    """Each subject's mean under the precision: what a vector is multiplied with."""
    precision: bytes
    """The inverse of the spread within subjects, a square matrix."""
    precision_scale: float
    pull: float
    """Examples that count for the centre when a mean is estimated: few examples make a cautious subject."""
    temperature: float


class Heads:
    """The subjects of one tier, each with its direction and threshold."""

    def __init__(self, trained: Trained) -> None:
        size = trained.dimensions
        self._trained = trained
        self._centre = _floats(trained.centre)
        self._means = _rows(_floats(trained.means), size)
        self._counts = list(trained.counts)
        self.names = list(trained.names)
        self._directions = _rows(_floats(trained.directions), size)
        self._thresholds = [self._threshold(mean, way) for mean, way in zip(self._means, self._directions, strict=True)]

    def probabilities(self, vector: Sequence[float]) -> dict[str, float]:
        """The probability of each subject, most probable first; all alike where the vector is zero."""
        length = sqrt(sum(map(mul, vector, vector)))
        if length == 0.0:
            return dict.fromkeys(self.names, 1 / len(self.names))
        heat = self._trained.temperature
        scores = [
            (sum(map(mul, vector, way)) / length - threshold) / heat
            for way, threshold in zip(self._directions, self._thresholds, strict=True)
        ]
        top = max(scores)
        weights = [exp(score - top) for score in scores]
        total = sum(weights)
        ranked = sorted(zip(weights, self.names, strict=True), reverse=True)
        return {name: weight / total for weight, name in ranked}

    def with_examples(self, examples: Mapping[str, Iterable[Sequence[float]]]) -> Heads:
        """The same heads with further subjects; examples under a known name join that subject's own."""
        extended = Heads(self._trained)
        for name, vectors in examples.items():
            extended._join(name, [_unit(vector) for vector in vectors])
        return extended

    def _join(self, name: str, vectors: Sequence[Sequence[float]]) -> None:
        pull = self._trained.pull
        if name not in self.names:
            self.names.append(name)
            self._counts.append(0)
            self._means.append(array("f", bytes(4 * self._trained.dimensions)))
            self._directions.append(self._means[-1])
            self._thresholds.append(0.0)
        at = self.names.index(name)
        old, new = self._counts[at], self._counts[at] + len(vectors)
        # a stored mean is already pulled: n / (n + pull) of the true one
        weight_old = (old + pull) / (new + pull) if old else 0.0
        mean = [
            weight_old * stored + (sum(column) - len(vectors) * centre) / (new + pull)
            for stored, centre, column in zip(self._means[at], self._centre, zip(*vectors, strict=True), strict=True)
        ]
        self._counts[at], self._means[at] = new, array("f", mean)
        self._directions[at] = array("f", [sum(map(mul, row, mean)) for row in self._precision])
        self._thresholds[at] = self._threshold(self._means[at], self._directions[at])

    def _threshold(self, mean: Sequence[float], way: Sequence[float]) -> float:
        half: float = sum(map(mul, mean, way)) / 2
        middle: float = sum(map(mul, self._centre, way))
        return half + middle

    @cached_property
    def _precision(self) -> list[list[float]]:
        size, scale = self._trained.dimensions, self._trained.precision_scale
        flat = [value * scale for value in unpack(f"<{size * size}e", self._trained.precision)]
        return [flat[start : start + size] for start in range(0, size * size, size)]


def read_trained(path: Path) -> Trained:
    """What the build wrote to `path`."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Trained)


def _floats(raw: bytes) -> array[float]:
    values = array("f")
    values.frombytes(raw)
    return values


def _rows(flat: array[float], size: int) -> list[array[float]]:
    return [flat[start : start + size] for start in range(0, len(flat), size)]


def _unit(vector: Sequence[float]) -> list[float]:
    length = sqrt(sum(map(mul, vector, vector))) or 1.0
    return [value / length for value in vector]
