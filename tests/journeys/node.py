"""A real node: `python -m dirigent serve` in a process of its own, with all that a test wants to know of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, OpenAI

from tests.parsed import ROOT

__all__ = ["Answered", "Node", "clean_environment", "node"]

_START = 120.0


class Answered:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Node:
    """A running server and its data folder."""

    def __init__(self, data: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.data = data
        self.process = process
        self._log = log
        self.port = 0

    @property
    def key(self) -> str:
        return (self.data / "first-key").read_text(encoding="ascii").strip()

    @property
    def log(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(encoding="utf-8")

    @property
    def config(self) -> Path:
        return self.data / "dirigent.yaml"

    def openai(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=self.key, max_retries=0, **options)

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=self.key, max_retries=0, **options)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = "",
    ) -> Answered:
        """One call on a connection of its own; `key` None sends none, another one sends that."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key or self.key}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, model: str = "auto", text: str = "Say hello.", **fields: Any) -> Answered:
        """A chat completion, asked without any SDK between."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.call("POST", "/v1/chat/completions", body)

    def explain(self, text: str, model: str = "auto") -> Any:
        return self.call("POST", "/api/v1/route/explain", {"model": model, "text": text}).json

    @property
    def revision(self) -> str:
        revision: str = self.call("GET", "/health/ready", key=None).json["revision"]
        return revision

    def write(self, config: str) -> None:
        """Puts a new configuration in place at once, as careful editors do."""
        draft = self.config.with_suffix(".draft")
        draft.write_text(textwrap.dedent(config), encoding="utf-8")
        draft.replace(self.config)

    def take_over(self, config: str) -> str:
        """Writes a configuration and returns its revision once the node serves by it."""
        before = self.revision
        self.write(config)
        self.until(lambda: self.revision != before)
        return self.revision

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def until(self, truth: Callable[[], object], seconds: float = 60.0) -> None:
        """Returns as soon as `truth()` holds; fails, with the log, after `seconds`."""
        end = time.monotonic() + seconds
        while not truth():
            assert time.monotonic() < end, f"did not come about within {seconds} s; the log says:\n{self.log}"
            time.sleep(0.02)

    def hears_of(self, key: str) -> str:
        """The key, once the node has heard of it, and so of all that it was told before."""
        self.until(lambda: self.call("GET", "/v1/models", key=key).status != 401)
        return key

    def stop(self) -> int:
        """Ends it in order; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of ours or proxies, so that a test sees what it says itself.

    Programs may keep what they compile: a node that compiles all anew takes twice as long to start.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DIRIGENT_") and not name.lower().endswith("_proxy")
    }
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **more}


@contextmanager
def node(
    data: Path, config: str | None = None, *, workers: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[Node]:
    """A node on a free port with `config`, or with the starter configuration; it is gone at the end of the block."""
    data.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (data / "dirigent.yaml").write_text(textwrap.dedent(config), encoding="utf-8")
    log = data / "printed.log"
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(data), "--port", "0", "--workers", str(workers)]
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, env=clean_environment(**(environment or {}))
        )
    one = Node(data, process, log)
    notice = data / "server.json"
    try:
        one.until(lambda: notice.exists() or process.poll() is not None, _START)
        assert process.poll() is None, f"it did not start:\n{one.log}"
        one.until(lambda: "try it" in one.log)
        one.port = json.loads(notice.read_bytes())["port"]
        yield one
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)  # the second one says that nobody waits for answers any more
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert "Traceback" not in one.log, one.log
