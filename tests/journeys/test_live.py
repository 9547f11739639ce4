"""Who watches a tenant sees within two seconds what happens on any worker of any node."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.journeys.node import Node, clean_environment, node
from tests.journeys.upstream import standing
from tests.parsed import ROOT
from tests.postgres import a_database

CONFIG = """\
    models:
      echo: {type: echo}
      broken: {type: echo, fails: true}
    """


class Watching:
    """A stream of events, read on its own connection."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer
        self._waiting = b""
        self.frames: list[Any] = []

    def until(self, which: Callable[[Mapping[str, Any]], bool], seconds: float = 60.0) -> Any:
        """The first event like that."""
        end = time.monotonic() + seconds
        while True:
            for event in self.frames:
                if which(event):
                    return event
            assert time.monotonic() < end, self.frames
            self._waiting += self._answer.read1(65_536)
            *whole, self._waiting = self._waiting.split(b"\n\n")
            data = [line[6:] for frame in whole for line in frame.split(b"\n") if line.startswith(b"data: ")]
            self.frames += [json.loads(line) for line in data]


@contextmanager
def watching(one: Node) -> Iterator[Watching]:
    key = (one.data / "operator-key").read_text(encoding="ascii").strip()
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    # from the beginning of time: so it does not matter whether something happens before the first look
    headers = {"authorization": f"Bearer {key}", "last-event-id": "0.0"}
    connection.request("GET", "/api/v1/live", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    try:
        yield Watching(answer)
    finally:
        connection.close()


def test_what_another_node_serves_and_publishes_is_seen_here(tmp_path: Path, postgres: str) -> None:
    with a_database(postgres) as url:
        shared = {"DIRIGENT_DATABASE": url}
        with (
            node(tmp_path / "a", CONFIG, environment=shared) as here,
            node(tmp_path / "b", CONFIG, environment=shared, workers=2) as there,
            watching(here) as watcher,
        ):
            runs = {there.chat("echo").headers["x-dirigent-run"] for _ in range(4)}
            for run in runs:
                watcher.until(lambda event, run=run: event.get("run") == run)  # type: ignore[misc]
            failed = there.chat("broken").headers["x-dirigent-run"]
            seen = watcher.until(lambda event: event.get("run") == failed)
            there.write(CONFIG + "  other: {type: echo}\n")
            published = watcher.until(lambda event: event["kind"] == "revision_published" and event["parent"])
            revision, nodes = published["revision"], [_name(one) for one in (here, there)]
            for name in nodes:
                watcher.until(lambda event, name=name: (event.get("node"), event.get("revision")) == (name, revision))  # type: ignore[misc]

    assert seen["code"] is not None
    assert published["act"] == "file"


def _name(one: Node) -> str:
    return (one.data / "node").read_text(encoding="utf-8").strip()


def test_a_breaker_that_opens_is_told_and_the_command_line_prints_it(tmp_path: Path) -> None:
    with standing("hello") as vendor:
        config = f"""\
            providers:
              vendor: {{type: compatible, base_url: "http://127.0.0.1:{vendor.port}/v1"}}
            models:
              dear: {{type: deployment, provider: vendor, name: x, price: {{input: 1, output: 1}}}}
            """
        with node(tmp_path / "data", config) as one:
            one.chat("dear")
            vendor.kill()
            for _ in range(4):
                one.chat("dear")
            printed = printed_until(one, "breaker_opened")

    assert printed[0]["kind"] in ("revision_published", "request")
    assert next(event for event in printed if event["kind"] == "request")["status"] == 200
    assert printed[-1]["deployment"] == "dear"
    assert all(event["id"] for event in printed)


def printed_until(one: Node, kind: str) -> list[Any]:
    """What `dirigent live` prints of all that ever happened, up to the first event of a kind."""
    command = [sys.executable, "-m", "dirigent", "live", "--json", "--after", "0.0", "--data", str(one.data)]
    printed: list[Any] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment()) as printing:
        assert printing.stdout is not None
        for line in printing.stdout:
            printed.append(json.loads(line))
            if printed[-1]["kind"] == kind:
                break
        printing.terminate()
    return printed
