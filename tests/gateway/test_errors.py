from __future__ import annotations

import inspect

import pytest

from dirigent.core import errors
from dirigent.core.errors import DirigentError, RateLimited, Unavailable
from dirigent.gateway.errors import SHAPES, WireFault, headers_of, shape_of
from dirigent.store import DatabaseGone
from dirigent.store.ledger.log import LogFailed

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DirigentError)]
FOR_OPERATORS = {"invalid_configuration"}
"""Errors that no caller of the gateway can meet."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_has_its_own_line_in_the_table(kind: type[DirigentError]) -> None:
    assert kind.code in SHAPES or kind.code in FOR_OPERATORS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_the_callers_fault_is_a_4xx_and_what_is_not_is_a_5xx(kind: type[DirigentError]) -> None:
    ours = issubclass(kind, errors.Failed | errors.Overrun | errors.InvalidConfiguration) or kind is DirigentError
    shape = SHAPES.get(kind.code)

    if shape is not None and kind is not RateLimited:
        assert (shape.status >= 500) is ours


@pytest.mark.parametrize("kind", [DatabaseGone, LogFailed])
def test_what_is_away_for_now_is_a_503_that_says_so(kind: type[DirigentError]) -> None:
    assert shape_of(kind("it is away")).status == 503


def test_a_code_that_nobody_foresaw_is_our_fault() -> None:
    assert shape_of(WireFault("what now", "no_such_code")).status == 500


def test_when_to_ask_again_is_said_in_seconds_and_more_finely_and_never_too_early() -> None:
    error = Unavailable("it is loading", retry_after=1.2)

    headers = dict(headers_of(error, shape_of(error)))

    assert headers == {"retry-after": "2", "retry-after-ms": "1200"}


def test_a_deployment_that_only_its_operator_can_mend_is_not_asked_again() -> None:
    error = errors.Misconfigured("the provider refuses our credentials")

    assert ("x-should-retry", "false") in headers_of(error, shape_of(error))
