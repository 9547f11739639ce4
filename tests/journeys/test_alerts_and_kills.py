"""An alert is told once, although the node that found it is killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from dirigent.server.folder import node_name
from dirigent.store import Database
from tests.journeys.node import Node, node
from tests.journeys.test_money_and_rights import told
from tests.postgres import a_database

CONFIG = """\
    models:
      echo: {type: echo, says: "here"}
    """


class Hook:
    """Who takes messages, and when each of them is answered."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.came: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()

    def events(self) -> list[str]:
        """What was told, each message once however often it came."""
        return list({said["delivery"]: said["event"] for said in self.came}.values())


@contextmanager
def hook() -> Iterator[Hook]:
    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            one.came.append(said)
            one.answers.wait(60)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    one = Hook(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield one
    one.answers.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Two(NamedTuple):
    """Two nodes on one database with a rule on keys that end."""

    finder: Node
    """The one that looks after the rule."""
    other: Node
    database: Database

    def on_duty(self, one: Node) -> bool:
        holder = self.database.read(lambda connection: connection.execute(text("SELECT holder FROM duties")).scalar())
        return bool(holder) and str(holder).startswith(f"{node_name(one.data)}/")


@contextmanager
def two_nodes(folder: Path, postgres: str, one: Hook) -> Iterator[Two]:
    """Two nodes, once one of them looks after the rule."""
    with a_database(postgres) as url:
        shared = {"DIRIGENT_DATABASE": url, "DIRIGENT_NOTIFY": "any", "ALERT_HOOK": "not to be guessed"}
        with (
            node(folder / "a", CONFIG, environment=shared) as first,
            node(folder / "b", CONFIG, environment=shared) as second,
        ):
            words = ("--webhook", one.url, "--webhook-secret-env", "ALERT_HOOK")
            told(first, "alerts", "set", "keys", "--kind", "key_expiry", *words)
            database = Database.at(url)
            two = Two(first, second, database)
            first.until(lambda: two.on_duty(first) or two.on_duty(second))
            yield two if two.on_duty(first) else Two(second, first, database)
            database.close()


def killed(one: Node) -> None:
    one.process.kill()
    one.process.wait()


def told_by_the_other(other: Node, one: Hook, key: str, until: Callable[[], object], seconds: float) -> list[str]:
    """What is told in the end, once the other has seen that the alert is over."""
    other.until(until, seconds)
    told(other, "keys", "revoke", key)
    other.until(lambda: "resolved" in one.events())
    return one.events()


def test_an_alert_is_told_once_although_the_node_that_found_it_is_killed(tmp_path: Path, postgres: str) -> None:
    with hook() as one, two_nodes(tmp_path, postgres, one) as two:
        finder, other = two.finder, two.other
        told(other, "projects", "create", "sales")
        key = told(other, "keys", "issue", "--project", "sales", "--expires", "3d")["id"]
        finder.until(lambda: one.came)
        finder.until(lambda: _delivered(other))

        killed(finder)
        events = told_by_the_other(other, one, key, lambda: two.on_duty(other), 60)

        history = told(other, "alerts", "history")["alerts"]

    assert events == ["raised", "resolved"]
    assert len(one.came) == 2
    assert len(history) == 1


@pytest.mark.prove
def test_a_message_that_was_going_out_when_its_node_was_killed_is_known_by_its_number(
    tmp_path: Path, postgres: str
) -> None:
    with hook() as one, two_nodes(tmp_path, postgres, one) as two:
        finder, other = two.finder, two.other
        one.answers.clear()
        told(other, "projects", "create", "sales")
        key = told(other, "keys", "issue", "--project", "sales", "--expires", "3d")["id"]
        finder.until(lambda: one.came)

        killed(finder)
        one.answers.set()
        events = told_by_the_other(other, one, key, lambda: len(one.came) > 1, 90)

        history = told(other, "alerts", "history")["alerts"]

    assert events == ["raised", "resolved"]
    assert [said["event"] for said in one.came] == ["raised", "raised", "resolved"]
    assert len(history) == 1


def _delivered(one: Node) -> bool:
    found = told(one, "alerts", "history")["alerts"]
    return bool(found) and all(each["delivered"] for alert in found for each in alert["messages"])
