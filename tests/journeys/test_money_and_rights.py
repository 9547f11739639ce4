"""A company's rules at work in real nodes: what is spent is spent, what is stopped stops, what is revoked is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import performed
from tests.journeys.node import Node, node
from tests.journeys.upstream import Standing, standing
from tests.postgres import a_database


def config(port: int) -> str:
    return f"""\
        providers:
          vendor: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1", region: us}}
        models:
          cheap: {{type: echo, says: "from here"}}
          dear: {{type: deployment, provider: vendor, name: x, max_output: 100, price: {{input: 1000, output: 1000}}}}
          auto: {{type: router, candidates: [dear, cheap]}}
        """


@pytest.fixture(scope="module")
def vendor() -> Iterator[Standing]:
    with standing("word ", pause=0.05, repeats=1_200) as one:
        yield one


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, vendor: Standing) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("money") / "data", config(vendor.port)) as one:
        yield one


def told(one: Node, *words: str) -> Any:
    done = performed(*words, "--data", one.data, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def new_key(one: Node, name: str, *more: str) -> Any:
    told(one, "projects", "create", name)
    issued = told(one, "keys", "issue", "--project", name, *more)
    one.hears_of(issued["key"])
    return issued


def heard(one: Node) -> None:
    """Returns once the node has heard of all that was told: of a key that was issued last as well."""
    one.hears_of(told(one, "keys", "issue")["key"])


def asks(one: Node, key: str, model: str = "dear", **fields: Any) -> Any:
    order = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
    return one.call("POST", "/v1/chat/completions", order, key=key)


def test_a_budget_that_cannot_bear_a_call_refuses_it_and_a_router_takes_the_cheaper_one(company: Node) -> None:
    key = new_key(company, "poor")["key"]
    told(company, "budgets", "set", "--project", "poor", "--limit", "0.001")
    heard(company)

    refused = asks(company, key)
    routed = asks(company, key, "auto")

    assert refused.status == 429
    assert refused.json["error"]["code"] == "budget_exceeded"
    assert refused.headers["x-should-retry"] == "false"
    assert routed.json["choices"][0]["message"]["content"] == "from here"


def test_a_purpose_keeps_data_at_home_whichever_router_is_asked(company: Node) -> None:
    told(company, "purposes", "register", "people", "--model", "*", "--region", "eu")
    key = new_key(company, "people", "--purpose", "people")["key"]

    direct = asks(company, key)
    routed = asks(company, key, "auto")

    assert (direct.status, direct.json["error"]["code"]) == (403, "forbidden")
    assert "'dear' is in us" in direct.json["error"]["message"]
    assert routed.headers["x-dirigent-model"] == "cheap"


def test_a_budget_that_is_stopped_by_hand_cuts_a_running_stream(company: Node) -> None:
    key = new_key(company, "stopped")["key"]
    budget = told(company, "budgets", "set", "--project", "stopped", "--limit", "1000")
    heard(company)
    client = company.openai().with_options(api_key=key)
    stream = client.chat.completions.create(
        model="dear", messages=[{"role": "user", "content": "hi"}], stream=True, max_tokens=90
    )
    next(iter(stream))

    told(company, "budgets", "stop", budget["id"])
    with pytest.raises(Exception, match="stopped by hand"):
        for _ in stream:
            pass

    def held() -> object:
        return next(each for each in told(company, "budgets", "list")["budgets"] if each["id"] == budget["id"])["held"]

    company.until(lambda: held() == "0")


def test_a_budget_of_single_runs_that_is_stopped_by_hand_cuts_the_runs_that_have_it(company: Node) -> None:
    key = new_key(company, "each")["key"]
    budget = told(company, "budgets", "set", "--project", "each", "--limit", "1000", "--window", "run")
    heard(company)
    client = company.openai().with_options(api_key=key)
    stream = client.chat.completions.create(
        model="dear", messages=[{"role": "user", "content": "hi"}], stream=True, max_tokens=90
    )
    next(iter(stream))

    told(company, "budgets", "stop", budget["id"])

    with pytest.raises(Exception, match="stopped by hand"):
        for _ in stream:
            pass
    assert asks(company, key).json["error"]["code"] == "budget_exceeded"
    told(company, "budgets", "resume", budget["id"])
    company.until(lambda: asks(company, key, max_tokens=5).status == 200)


def test_two_nodes_on_one_database_obey_the_same_rules(tmp_path: Path, vendor: Standing, postgres: str) -> None:
    with a_database(postgres) as url:
        shared = {"DIRIGENT_DATABASE": url}
        with (
            node(tmp_path / "a", config(vendor.port), environment=shared) as one,
            node(tmp_path / "b", config(vendor.port), environment=shared) as other,
        ):
            issued = new_key(one, "both")
            other.until(lambda: asks(other, issued["key"], "cheap").status == 200)

            told(one, "keys", "revoke", issued["id"])
            other.until(lambda: asks(other, issued["key"], "cheap").status == 401)

            assert asks(one, issued["key"], "cheap").status == 401
            assert asks(other, other.key, "cheap").status == 200
