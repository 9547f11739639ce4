"""The two servers of a measurement: the vendor in miniature, and a node of ours in front of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from dirigent.core.catalog import TASKS
from tools.conformance.sources import Sdk, Unavailable, Workshop

__all__ = ["Node", "configuration", "node", "vendor"]

ROOT = Path(__file__).resolve().parents[2]
VENDOR_KEY = "the-vendors-own-key"
"""What the vendor wants to be shown; a gateway that passes its callers' keys on would be found out."""
UNNAMED = "unnamed"
"""The model that answers where a test names none."""
_TASKS = {"anthropic": ("chat",)}
"""What a vendor does, where that is not everything."""
_PATIENCE = 120.0


class Node(NamedTuple):
    """A running gateway."""

    port: int
    key: str

    @property
    def address(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def serves(self, route: str) -> bool:
        """Whether the gateway knows this method and path, by its own word when it is asked there."""
        method, _, path = route.partition(" ")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            connection.request(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None, headers)
            answer = connection.getresponse()
            words = answer.read()
        finally:
            connection.close()
        return not (answer.status == 405 or (answer.status == 404 and b"there is nothing at" in words))


@contextmanager
def vendor(sdk: Sdk, workshop: Workshop) -> Iterator[int]:
    """The vendor of `sdk` on a free port, which is given. Raises Unavailable."""
    command = [str(workshop.python), "-m", "tools.conformance.mock", sdk.package, VENDOR_KEY]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None  # noqa: S101  it was asked for a pipe above
        line = process.stdout.readline().strip()
        if not line.isdigit():
            raise Unavailable(f"the mock of {sdk.package} did not start")
        yield int(line)
    finally:
        process.terminate()
        process.wait()


def configuration(kind: str, port: int, names: Iterable[str]) -> str:
    """A node's configuration: every name is a deployment at one provider, the vendor on this port.

    Vendors answer some requests that name no model by one of their own choice; here that is one called `unnamed`.
    """
    provider = f"{{type: {kind}, base_url: 'http://127.0.0.1:{port}/v1', api_key: {{env: CONFORMANCE_KEY}}}}"
    models = (
        f"  {json.dumps(name)}: {{type: deployment, provider: vendor, name: {json.dumps(name)}}}"
        for name in (*names, UNNAMED)
    )
    defaults = (f"  {task}: {UNNAMED}" for task in _TASKS.get(kind, TASKS))
    return "\n".join([f"providers:\n  vendor: {provider}", "models:", *models, "defaults:", *defaults, ""])


@contextmanager
def node(config: str) -> Iterator[Node]:
    """A node with this configuration. Raises Unavailable, with what it printed, where it does not start."""
    with TemporaryDirectory() as place:
        data = Path(place)
        (data / "dirigent.yaml").write_text(config, encoding="utf-8")
        printed, notice = data / "printed.log", data / "server.json"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("DIRIGENT_") and not name.lower().endswith("_proxy")
        }
        with printed.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dirigent", "serve", "--data", place, "--port", "0"],
                cwd=ROOT,
                env={**kept, "CONFORMANCE_KEY": VENDOR_KEY},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + _PATIENCE
            while not notice.exists():
                if process.poll() is not None or time.monotonic() > end:
                    raise Unavailable(f"the node did not start:\n{printed.read_text(encoding='utf-8')[-3000:]}")
                time.sleep(0.05)
            port = json.loads(notice.read_bytes())["port"]
            yield Node(port, (data / "first-key").read_text(encoding="ascii").strip())
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
