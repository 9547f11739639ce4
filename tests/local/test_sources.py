from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from dirigent.core.ports import HttpAnswer, HttpCall, HttpTaker, Timeouts
from dirigent.local.kit import Weights
from dirigent.local.sources import Hub, SourceFailed, _grown
from tests.local.workbench import Page


class Elsewhere:
    """A hub that answers every call in the same way."""

    def __init__(self, answer: Page) -> None:
        self.answer = answer
        self.calls: list[HttpCall] = []

    async def open(self, call: HttpCall, timeouts: Timeouts) -> HttpAnswer:
        self.calls.append(call)
        return self.answer

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> None:
        """No connection waits."""


async def taken(hub: Hub, weights: Weights, scratch: Path) -> bytes:
    reached: list[int] = []
    return b"".join([block async for block in hub.bytes_from(weights, 0, scratch, reached.append)])


async def test_a_hub_is_asked_at_the_address_that_the_template_makes(mini: Weights, tmp_path: Path) -> None:
    http = Elsewhere(Page(200, b"bytes"))
    hub = Hub("https://hub.test:8443/{repository}/resolve/main/{file}?download=true", http)

    body = await taken(hub, mini, tmp_path)

    (call,) = http.calls
    assert body == b"bytes"
    assert (call.origin.host, call.origin.port, call.origin.tls) == ("hub.test", 8443, True)
    assert (call.method, call.path) == ("GET", "/nobody/mini/resolve/main/mini.gguf?download=true")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Page(404), "answered 404 for https://hub.test/mini.gguf"),
        (Page(302, headers={"location": "/again"}), "sends on in a circle"),
        (Page(302, headers={"location": "http://plain.test/x"}), "is not encrypted"),
        (Page(302, headers={"location": "ftp://plain.test/x"}), "no http URL"),
    ],
)
async def test_a_hub_that_cannot_give_the_file_says_why(
    mini: Weights, tmp_path: Path, answer: Page, words: str
) -> None:
    with pytest.raises(SourceFailed, match=words):
        await taken(Hub("https://hub.test/{file}", Elsewhere(answer)), mini, tmp_path)


def test_a_bar_survives_folders_that_vanish_while_it_looks(tmp_path: Path) -> None:
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
            (tmp_path / "a" / "b" / "x.whl").write_bytes(b"12345")
            shutil.rmtree(tmp_path / "a")

    mover = threading.Thread(target=churn)
    mover.start()
    try:
        seen = {_grown(tmp_path) for _ in range(2000)}
    finally:
        done.set()
        mover.join()

    assert seen <= {0, 5}
