"""The mathematics of the build: directions, discriminants, calibration. Every function is deterministic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

SHRINKAGE = 0.7
"""How far the spread is pulled towards a ball before directions and the encoder's discriminants are taken from it."""
FOLDS = 5


class Discriminant(NamedTuple):
    """Linear discriminants of one shared spread, as `dirigent.local.subject_heads` reads them."""

    centre: Matrix
    means: Matrix
    counts: Labels
    precision: Matrix
    pull: float

    @property
    def directions(self) -> Matrix:
        """What vectors are multiplied with."""
        ways: Matrix = self.means @ self.precision
        return ways

    def scores(self, vectors: Matrix) -> Matrix:
        """One score per vector and subject."""
        ways = self.directions
        found: Matrix = vectors @ ways.T - (self.means * ways).sum(1) / 2 - ways @ self.centre
        return found


def unit(vectors: Matrix) -> Matrix:
    """Rows of length one; zero rows stay."""
    scaled: Matrix = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return scaled


def spread(vectors: Matrix, labels: Labels, shrinkage: float) -> Matrix:
    """The covariance within subjects, pulled towards a ball of the same size."""
    means = np.stack([vectors[labels == label].mean(0) for label in range(labels.max() + 1)])
    rest = vectors - means[labels]
    covariance = rest.T @ rest / len(rest)
    size = len(covariance)
    pulled: Matrix = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    return pulled


def discriminant(vectors: Matrix, labels: Labels, shrinkage: float, pull: float) -> Discriminant:
    """Fits the discriminants."""
    counts = np.bincount(labels)
    centre = np.stack([vectors[labels == label].mean(0) for label in range(len(counts))]).mean(0)
    means = np.stack([vectors[labels == label].mean(0) for label in range(len(counts))]) - centre
    means *= (counts / (counts + pull))[:, None]
    precision: Matrix = np.linalg.inv(spread(vectors, labels, shrinkage)).astype(np.float64)
    return Discriminant(centre, means, counts, precision, pull)


def directions(vectors: Matrix, labels: Labels, dimensions: int) -> Matrix:
    """An orthogonal basis: first what tells the subjects apart, then what varies most besides.

    The second part is what an operator's own subjects live on: they were not known when the first part was chosen.
    """
    fitted = discriminant(vectors, labels, SHRINKAGE, 0.0)
    telling, _ = np.linalg.qr(fitted.directions.T)
    telling = telling[:, : labels.max()]
    rest = vectors - vectors.mean(0)
    rest -= rest @ telling @ telling.T
    _, _, varying = np.linalg.svd(rest, full_matrices=False)
    basis = np.concatenate([telling, varying[: dimensions - telling.shape[1]].T], axis=1)
    # the sign of a direction is a whim of the linear algebra library: fixed here, the build repeats everywhere
    turned: Matrix = basis * np.where(basis[np.abs(basis).argmax(0), np.arange(dimensions)] < 0, -1.0, 1.0)
    return turned


def folds(labels: Labels, groups: list[str]) -> Labels:
    """The fold of each text, even over subjects and languages."""
    chance = np.random.default_rng(0)
    found = np.zeros(len(labels), dtype=np.int64)
    for key in sorted({(int(label), group) for label, group in zip(labels, groups, strict=True)}):
        members = np.flatnonzero([(label, group) == key for label, group in zip(labels, groups, strict=True)])
        chance.shuffle(members)
        found[members] = np.arange(len(members)) % FOLDS
    return found


def probabilities(scores: Matrix, temperature: float) -> Matrix:
    """Scores as probabilities."""
    heat = scores / temperature
    weights = np.exp(heat - heat.max(1, keepdims=True))
    shares: Matrix = weights / weights.sum(1, keepdims=True)
    return shares


def temperature(scores: Matrix, labels: Labels) -> float:
    """The divisor under which the probabilities fit the truth best (least log loss)."""
    grid = np.geomspace(0.2, 20, 200)
    losses = [-np.log(probabilities(scores, heat)[np.arange(len(labels)), labels] + 1e-12).mean() for heat in grid]
    return float(grid[int(np.argmin(losses))])
