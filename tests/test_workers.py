"""The parent of several workers, apart from what they serve: `tests/journeys/test_several_workers.py` has that."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dirigent.workers import listening, run_workers


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The parent listens for signals; afterwards they are pytest's again."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_the_port_is_taken_for_this_node_alone() -> None:
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            listening("127.0.0.1", port)

    with listening("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port


def test_a_caller_waits_in_line_until_somebody_accepts() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as caller:
        caller.sendall(b"hello")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(5) == b"hello"


@pytest.mark.parametrize("too_soon", [2.0, 0.0], ids=["fails at once", "takes long to fail"])
def test_the_parent_gives_up_when_nobody_can_be_started(
    too_soon: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirigent.workers._TOO_SOON", too_soon)
    monkeypatch.setattr("dirigent.workers._LONGEST_PAUSE", 0.1)
    ready: list[bool] = []
    with listening("127.0.0.1", 0) as listener, caplog.at_level(logging.ERROR):
        status = run_workers(["no-such-command"], 1, listener, lambda: ready.append(True))

    assert status == 1
    assert ready == []
    assert caplog.text.count("another takes its place") == 5
    assert "giving up" in caplog.text


def test_the_parent_says_that_it_is_ready_when_the_first_worker_answers_and_stops_when_told(tmp_path: Path) -> None:
    (tmp_path / "dirigent.yaml").write_text("models: {echo: {type: echo}}\n")
    heard: list[bytes] = []

    with listening("127.0.0.1", 0) as listener:
        address = listener.getsockname()

        def ask_and_stop() -> None:
            with socket.create_connection(address) as caller:
                caller.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                heard.append(caller.recv(65_536))
            os.kill(os.getpid(), signal.SIGTERM)

        status = run_workers(
            ["worker", "--data", str(tmp_path)], 2, listener, lambda: threading.Thread(target=ask_and_stop).start()
        )

    assert status == 0
    assert heard[0].startswith(b"HTTP/1.1 200 OK")
