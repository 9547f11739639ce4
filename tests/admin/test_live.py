"""What happens, while it happens: events over HTTP, to whom they may be told, and until the caller has gone."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from dirigent.admin import app
from tests.admin.house import House, house
from tests.admin.things import TABLE


class Ticking:
    """Tells a number ten times a second, from behind the one that a caller has seen."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def events(self, tenant: str, after: str | None = None) -> AsyncGenerator[bytes, None]:
        number = int(after or 0)
        try:
            while True:
                number += 1
                yield f"id: {number}\ndata: {tenant}\n\n".encode()
                await asyncio.sleep(0.1)
        finally:
            self.closed.set()


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


@pytest.fixture
def live(tmp_path: Path, ticking: Ticking) -> Iterator[House]:
    with house(tmp_path / "data", TABLE, live=ticking) as one:
        yield one


def _opened(live: House, **headers: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=60)
    connection.request("GET", "/api/v1/live", headers={"authorization": f"Bearer {live.key}", **headers})
    return connection, connection.getresponse()


def test_events_come_one_by_one_from_where_the_caller_was(live: House) -> None:
    connection, answer = _opened(live, **{"last-event-id": "41"})

    seen = answer.read1(200)
    connection.close()

    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert seen.startswith(b"id: 42\ndata: default\n\n")


def test_a_caller_who_leaves_ends_the_telling(live: House, ticking: Ticking) -> None:
    connection, answer = _opened(live)
    answer.read1(50)

    connection.close()
    answer.close()

    assert ticking.closed.wait(30)


def test_a_stream_ends_after_a_while_so_that_the_caller_is_asked_again(
    live: House, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "STREAMED", 0.3)

    _, answer = _opened(live)

    assert answer.read().startswith(b"id: 1\n")
    assert ticking.closed.is_set()


def test_only_who_may_see_runs_may_watch_them(live: House) -> None:
    assert live.browser("viewer").call("GET", "/api/v1/live").status == 403
    assert live.call("GET", "/api/v1/live", key=None).status == 401
