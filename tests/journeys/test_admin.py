"""A company takes Dirigent into use: projects, purposes, keys, budgets, a new configuration and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import performed
from tests.journeys.node import Node, node

ONE = """\
    models:
      writer: {type: echo, says: "one"}
    """
TWO = ONE.replace("one", "two")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("company") / "data", ONE) as one:
        yield one


def told(company: Node, *words: str) -> Any:
    done = performed(*words, "--data", company.data, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def asks(company: Node, key: str) -> tuple[int, Any]:
    order = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}
    answer = company.call("POST", "/v1/chat/completions", order, key=key)
    return answer.status, answer.json


def test_a_key_that_was_issued_works_and_no_longer_when_it_is_revoked(company: Node) -> None:
    told(company, "projects", "create", "sales")
    told(company, "purposes", "register", "support", "--model", "writer")
    issued = told(company, "keys", "issue", "--project", "sales", "--purpose", "support")

    status, answer = asks(company, company.hears_of(issued["key"]))
    told(company, "keys", "revoke", issued["id"])
    company.until(lambda: asks(company, issued["key"])[0] != 200)
    refused, error = asks(company, issued["key"])

    assert (status, answer["choices"][0]["message"]["content"]) == (200, "one")
    assert (refused, error["error"]["code"]) == (401, "invalid_api_key")


def test_what_is_published_is_served_and_so_is_the_way_back(company: Node, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(TWO)

    published = told(company, "publish", str(file), "--reason", "a second one")
    company.until(lambda: company.revision == published["revision"])
    after = asks(company, company.key)[1]["choices"][0]["message"]["content"]
    back = told(company, "rollback")
    company.until(lambda: company.revision == back["revision"])
    again = asks(company, company.key)[1]["choices"][0]["message"]["content"]

    assert [each["nodes"] + len(each["lagging"]) for each in (published, back)] == [1, 1]
    assert (after, again) == ("two", "one")


def test_the_link_that_the_server_prints_signs_its_owner_in(company: Node) -> None:
    (line,) = [line for line in company.log.splitlines() if "/api/v1/session/link" in line or '"sign_in"' in line]
    token = line.partition("token=")[2].split()[0].strip('",}')

    first = company.call("GET", f"/api/v1/session/link?token={token}", key=None)
    cookie = first.headers["set-cookie"].partition(";")[0]
    who = company.call("GET", "/api/v1/session", key=None, headers={"cookie": cookie})

    assert (first.status, who.json["role"], who.json["kind"]) == (303, "owner", "member")


def test_keys_for_models_have_no_rights_in_the_control_plane(company: Node) -> None:
    answer = company.call("GET", "/api/v1/keys/list")

    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")


def test_all_of_it_stands_in_an_audit_that_is_whole(company: Node) -> None:
    told(company, "projects", "create", "audited")

    verdict = told(company, "audit", "verify")
    listed = told(company, "audit", "list", "--action", "projects.create")

    assert verdict["ok"] is True
    assert "project:audited" in [entry["resource"] for entry in listed["entries"]]
