"""The error tree: what a program may rely on."""

from __future__ import annotations

import re

import pytest

from dirigent.core import errors
from dirigent.core.errors import DirigentError, Failed, Finding, Invalid, InvalidConfiguration, LimitExceeded

ALL = [
    each
    for name in errors.__all__
    if isinstance(each := getattr(errors, name), type) and issubclass(each, DirigentError)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_has_a_code_says_what_it_means_and_stands_in_the_drawn_tree(kind: type[DirigentError]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.__doc__
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_only_failures_behind_us_and_limits_in_time_are_worth_another_try(kind: type[DirigentError]) -> None:
    assert not kind.retryable or issubclass(kind, Failed | LimitExceeded)
    assert not (kind.retryable and issubclass(kind, Invalid))


def test_a_refused_configuration_names_every_fault_with_its_place() -> None:
    error = InvalidConfiguration(
        [Finding(("models", "auto", "candidates", 2, "x"), "no"), Finding((), "nothing"), Finding((3, "a"), "odd")]
    )

    assert str(error) == "models.auto.candidates[2].x: no; (whole file): nothing; [3].a: odd"
