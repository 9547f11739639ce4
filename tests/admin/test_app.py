"""Operations over HTTP: orders in, outcomes out, and every error in one shape."""

from __future__ import annotations

import json
import logging

import pytest

from dirigent.store.audit import entries
from tests.admin.house import House

PUT = "/api/v1/things/put"


def test_a_change_is_posted_and_its_outcome_comes_back(things: House) -> None:
    answer = things.call("POST", PUT, {"name": "a", "tags": ["x"], "colour": {"shade": 3}})

    assert answer.status == 200
    assert json.loads(answer.json["said"])["colour"] == {"name": "red", "shade": 3}
    assert (answer.json["by"], answer.json["tenant"]) == ("operator:operator", "default")


def test_what_only_reads_is_got_with_a_query(things: House) -> None:
    answer = things.call("GET", "/api/v1/things/list?tags=x&tags=y&most=3&wanted=true")

    assert json.loads(answer.json["said"]) == {"tags": ["x", "y"], "most": 3, "wanted": True}


def test_a_change_stands_in_the_audit_with_the_id_of_its_request(things: House) -> None:
    things.call("POST", PUT, {"name": "a"}, headers={"x-request-id": "mine-1"})

    (entry,) = things.database.read(lambda connection: entries(connection, "default", action="things.put"))
    assert (entry.actor, entry.resource, entry.request, entry.decision) == (
        "operator",
        "thing:a",
        "mine-1",
        "permitted",
    )


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"name": 1}', "name", "expected `str`"),
        (b'{"name": "a", "colour": {"shade": "dark"}}', "colour.shade", "expected `int`"),
        (b'{"name": "a", "tags": ["x", 2]}', "tags[1]", "expected `str`"),
        (b'{"name": "a", "nmae": "b"}', "nmae", "unknown field"),
        (b'{"name": "a", "colour": {"hue": 1}}', "colour.hue", "unknown field"),
        (b"{}", "name", "missing required field"),
        (b'{"name": "a\\u0000b"}', "name", "character"),
        (b'{"name": "a", "count": 99999999999999999999}', "count", "large"),
        (b'{"name": ', None, "no proper JSON"),
        (b'{"name": "\xff"}', None, "no proper JSON"),
        (b"[]", None, "expected `object`"),
    ],
)
def test_a_wrong_order_is_refused_and_the_field_is_named(
    things: House, body: bytes, field: str | None, words: str
) -> None:
    answer = things.call("POST", PUT, body)

    assert answer.status == 400
    assert answer.json["error"]["code"] == "invalid_request"
    assert answer.json["error"].get("field") == field
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("most=many", "most"),
        ("most=null", "most"),
        ("most=1&most=2", "most"),
        ("nobody=1", "nobody"),
        ("wanted=x", "wanted"),
    ],
)
def test_a_wrong_query_is_refused_as_well(things: House, query: str, field: str) -> None:
    answer = things.call("GET", f"/api/v1/things/list?{query}")

    assert (answer.status, answer.json["error"]["field"]) == (400, field)


def test_what_stands_in_the_way_is_a_conflict(things: House) -> None:
    answer = things.call("POST", PUT, {"name": "taken"})

    assert (answer.status, answer.json["error"]) == (
        409,
        {"code": "conflict", "message": "there is one already", "field": "name"},
    )


def test_a_fault_of_ours_is_told_without_its_words(things: House, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = things.call("POST", PUT, {"name": "broken"})

    assert (answer.status, answer.json["error"]["code"]) == (500, "internal_error")
    assert b"secret-of-the-house" not in answer.body
    assert answer.headers["x-request-id"] in answer.json["error"]["message"]
    assert answer.headers["x-request-id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "things.py" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/things/list/", 404, "not_found"),
        ("GET", PUT, 405, "method_not_allowed"),
        ("DELETE", PUT, 405, "method_not_allowed"),
    ],
)
def test_a_path_or_method_that_is_none_is_told_in_the_same_shape(
    things: House, method: str, path: str, status: int, code: str
) -> None:
    answer = things.call(method, path)

    assert (answer.status, answer.json["error"]["code"]) == (status, code)


def test_a_body_that_does_not_say_that_it_is_json_is_refused(things: House) -> None:
    answer = things.call("POST", PUT, b"name=a", headers={"content-type": "application/x-www-form-urlencoded"})

    assert (answer.status, answer.json["error"]["code"]) == (415, "wrong_media_type")


def test_a_body_beyond_the_limit_is_refused(things: House) -> None:
    answer = things.call("POST", PUT, b'{"name": "%b"}' % (b"a" * 4 * 1024 * 1024))

    assert (answer.status, answer.json["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("path", ["/api/v1/things/list", "/api/v1/nothing", "/api/v1/openapi.json"])
def test_nobody_may_keep_an_answer_and_each_carries_its_id(things: House, path: str) -> None:
    answer = things.call("GET", path, headers={"x-request-id": "mine-2"})

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"] == "mine-2"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer dk-somebody"},
        {"authorization": "Bearer "},
        {"authorization": "Basic b3BlcmF0b3I6eA=="},
        {"authorization": "Bearer ünïcode".encode().decode("latin-1")},
        {"cookie": "dirigent_session=nobody"},
        {"x-api-key": "dk-somebody"},
    ],
)
def test_who_is_nobody_is_told_so_and_the_key_is_not_repeated(things: House, headers: dict[str, str]) -> None:
    answer = things.call("GET", "/api/v1/things/list", key=None, headers=headers)

    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert "www-authenticate" in answer.headers
    assert b"somebody" not in answer.body


def test_the_operator_chooses_the_tenant_among_those_there_are(things: House) -> None:
    things.tenant("acme")

    there = things.call("GET", "/api/v1/things/list", headers={"x-dirigent-tenant": "acme"})
    nowhere = things.call("GET", "/api/v1/things/list", headers={"x-dirigent-tenant": "ghost"})

    assert there.json["tenant"] == "acme"
    assert (nowhere.status, nowhere.json["error"]["field"]) == (400, "x-dirigent-tenant")


def test_a_member_stays_in_the_own_tenant_whatever_the_header_says(things: House) -> None:
    things.tenant("acme")
    browser = things.browser("viewer")

    answer = browser.call("GET", "/api/v1/things/list", **{"x-dirigent-tenant": "acme"})

    assert answer.json["tenant"] == "default"


def test_the_operators_key_is_the_owners_alone(things: House) -> None:
    assert (things.data / "operator-key").stat().st_mode & 0o777 == 0o600
    assert things.key.startswith("do-")
