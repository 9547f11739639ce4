"""What a soak concludes from its samples."""

from __future__ import annotations

import random

import pytest

from benches.soak import slope


def test_a_steady_growth_is_found_beneath_noise_and_lies_in_its_interval() -> None:
    chance = random.Random(7)
    samples = [(float(second), 70 + 2 / 3600 * second + chance.gauss(0, 0.3)) for second in range(0, 3600, 5)]

    a_second, margin = slope(samples)

    assert a_second * 3600 == pytest.approx(2.0, abs=0.3)
    assert abs(a_second * 3600 - 2.0) <= margin * 3600 < 0.5


def test_memory_that_only_trembles_has_a_slope_that_cannot_be_told_from_none() -> None:
    chance = random.Random(11)
    samples = [(float(second), 70 + chance.gauss(0, 0.5)) for second in range(0, 3600, 5)]

    a_second, margin = slope(samples)

    assert abs(a_second) <= margin


def test_too_few_samples_say_nothing() -> None:
    assert slope([(0.0, 1.0), (1.0, 2.0)]) == (0.0, float("inf"))
