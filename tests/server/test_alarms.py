"""Alerts reach people, by signed webhook and by e-mail: from one worker at a time, until it has arrived."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec
import pytest

from dirigent.control import OPERATIONS
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.observations import Served
from dirigent.memory import MemorySecrets
from dirigent.net import Fetcher
from dirigent.net.address import harmless, public
from dirigent.net.mail import Mailer, MailServer
from dirigent.server import alarms as module
from dirigent.server.alarms import Alarms, Channels, mailer_within
from dirigent.store import Database, duties, upgrade
from dirigent.store.alerts import Delivery
from dirigent.store.beginning import bootstrap
from dirigent.store.records import write
from tests.net.post import office
from tests.net.providers import provider

SECRET = "what-only-the-two-of-us-know"
SECRETS = MemorySecrets({"ALERT_HOOK": SECRET})


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Both databases, each with a tenant."""
    found = Database.at(url)
    upgrade(found)
    found.write(lambda connection: bootstrap(connection, b"digest", int(time() * 1000)))
    yield found
    found.close()


class Carried:
    """Takes messages, or does not."""

    def __init__(self, *, fails: int = 0) -> None:
        self.fails = fails
        self.seen: list[dict[str, Any]] = []

    async def carry(self, delivery: Delivery) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("nobody takes it")
        self.seen.append(msgspec.json.decode(delivery.body))

    def close(self) -> None:
        """Nothing is open."""


class Company:
    """A database in which somebody sets rules and something goes wrong."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._plane = ControlPlane(database, OPERATIONS)
        self._actor = Actor("operator", "operator", "owner", "default")

    def does(self, name: str, /, **order: Any) -> Any:
        return self._plane.perform(name, self._actor, msgspec.convert(order, OPERATIONS[name].order))

    async def tries(self, name: str) -> Any:
        return await self._plane.performing(
            "alerts.test", self._actor, msgspec.convert({"name": name}, OPERATIONS["alerts.test"].order)
        )

    def fails(self, times: int = 4) -> None:
        fields: dict[str, Any] = {"tenant": "default", "project": "default", "key": "k", "path": "/v1"}
        fields["code"] = "unavailable"
        runs = [Served(at=time(), run=f"run-{time()}-{number}", request="", **fields) for number in range(times)]
        self.database.write(lambda connection: write(connection, runs))

    def messages(self) -> list[Any]:
        return [message for alert in self.does("alerts.history").alerts for message in alert.messages]

    def close(self) -> None:
        self._plane.close()


@pytest.fixture
def company(database: Database) -> Iterator[Company]:
    one = Company(database)
    yield one
    one.close()


@asynccontextmanager
async def at_work(database: Database, holder: str, carrier: Any) -> AsyncIterator[tuple[Alarms, asyncio.Task[None]]]:
    alarms = Alarms(database, holder, carrier, providers=dict)
    task = asyncio.create_task(alarms.run())
    try:
        yield alarms, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes tenths of them."""
    for name, value in {"_LIFE": 30_000, "_RENEWED": 0.1, "_EVERY": 0.1, "_SENT_EVERY": 0.05}.items():
        monkeypatch.setattr(module, name, value)


async def until(truth: Callable[[], object], seconds: float = 60.0) -> None:
    end = monotonic() + seconds
    while not truth():
        assert monotonic() < end
        await asyncio.sleep(0.02)


async def test_one_of_two_workers_tells_and_the_other_takes_over_when_it_is_gone(
    company: Company, database: Database
) -> None:
    first, second = Carried(), Carried()
    company.does("alerts.set", name="errors", kind="error_rate", least=2, mail=["ada@example.org"])
    async with at_work(database, "n/1", first) as (one, task):
        await until(lambda: one.on_duty)
        async with at_work(database, "n/2", second) as (other, _):
            company.fails()
            await until(lambda: first.seen)
            await asyncio.sleep(0.3)
            alone = (one.on_duty, other.on_duty, len(first.seen), len(second.seen))

            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            company.does("alerts.set", name="more", kind="error_rate", least=2, mail=["ada@example.org"])
            await until(lambda: second.seen)

    assert alone == (True, False, 1, 0)
    assert [said["rule"] for said in second.seen] == ["more"]
    assert first.seen[0]["event"] == "raised"


async def test_a_worker_that_dies_without_a_word_is_followed_by_another(company: Company, database: Database) -> None:
    company.does("alerts.set", name="errors", kind="error_rate", least=2, mail=["ada@example.org"])
    database.write(partial(duties.take, duty="alerts", holder="dead/1", life=2_000))
    carried = Carried()

    async with at_work(database, "n/2", carried) as (other, _):
        await asyncio.sleep(0.3)
        meanwhile = other.on_duty
        company.fails()
        await until(lambda: carried.seen)

    assert not meanwhile


async def test_what_did_not_arrive_is_sent_again_later_each_time(
    company: Company, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirigent.store.alerts._FIRST_PAUSE", 100)
    carried = Carried(fails=2)
    company.does("alerts.set", name="errors", kind="error_rate", least=2, mail=["ada@example.org"])

    async with at_work(database, "n/1", carried):
        company.fails()
        await until(lambda: carried.seen)
        await until(lambda: company.messages()[0].delivered)

    (message,) = company.messages()
    assert message.attempts == 3
    assert message.words is None


async def test_a_webhook_is_signed_over_its_moment_and_its_body(company: Company, database: Database) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def takes(visit: Any) -> None:
        head, body = await visit.request()
        lines = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
        seen.append(({name.lower(): value for name, _, value in lines}, body))
        visit.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        await visit.until_gone()

    async with provider(takes) as receiver:
        hook = f"http://127.0.0.1:{receiver.origin.port}/alerts?from=dirigent"
        secret = {"env": "ALERT_HOOK"}
        company.does("alerts.set", name="errors", kind="error_rate", webhook=hook, webhook_secret=secret)
        hooks = Fetcher(permits=harmless)
        channels = Channels(database, SECRETS, Path("secrets"), hooks=hooks, mailer=None)
        async with at_work(database, "n/1", channels):
            tested = await company.tries("errors")
        channels.close()

    ((headers, body),) = seen
    wanted = hmac.new(SECRET.encode(), headers["x-dirigent-timestamp"].encode() + b"." + body, sha256).hexdigest()
    assert tested.ok
    assert headers["x-dirigent-signature"] == f"v1={wanted}"
    assert abs(int(headers["x-dirigent-timestamp"]) - time()) < 10
    said = json.loads(body)
    assert said["event"] == "test"
    assert said["delivery"] == headers["x-dirigent-delivery"]
    assert SECRET not in json.dumps(headers) + body.decode()


@pytest.mark.parametrize(
    ("hooks", "secret", "words"),
    [
        ("public", "ALERT_HOOK", "not on the public internet"),
        ("any", "ALERT_OTHER", "is missing on this node: the variable ALERT_OTHER"),
        ("off", "ALERT_HOOK", "DIRIGENT_NOTIFY=off"),
    ],
)
async def test_a_webhook_that_may_not_be_called_says_why(
    company: Company, database: Database, hooks: str, secret: str, words: str
) -> None:
    company.does("alerts.set", name="x", kind="audit", webhook="http://127.0.0.1:9999/", webhook_secret={"env": secret})
    permits = {"public": public, "any": harmless}.get(hooks)
    fetcher = Fetcher(permits=permits) if permits is not None else None
    channels = Channels(database, SECRETS, Path("secrets"), hooks=fetcher, mailer=None)

    async with at_work(database, "n/1", channels):
        tested = await company.tries("x")
    channels.close()

    assert not tested.ok
    assert words in tested.messages[0].words


async def test_a_person_gets_an_e_mail_that_says_what_is_wrong(company: Company, database: Database) -> None:
    async with office() as post:
        server = MailServer(host="127.0.0.1", sender="dirigent@example.org", port=post.port, security="none")
        channels = Channels(database, SECRETS, Path("s"), hooks=None, mailer=Mailer(server, SECRETS.reveal))
        company.does("alerts.set", name="errors", kind="error_rate", least=2, mail=["ada@example.org"])
        async with at_work(database, "n/1", channels):
            company.fails()
            await until(lambda: post.messages)
        channels.close()

    ((to, message),) = post.messages
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert to == "ada@example.org"
    assert message["Subject"] == "[dirigent] warning raised: errors"
    assert "4 of 4 requests (100.0 %) failed within 5 min" in payload.decode()


def test_the_mail_server_stands_in_a_file_of_the_data_folder(tmp_path: Path) -> None:
    nothing = mailer_within(tmp_path, SECRETS)
    (tmp_path / "mail.json").write_text('{"host": "mail.example.org", "sender": "d@example.org"}', encoding="utf-8")
    found = mailer_within(tmp_path, SECRETS)
    (tmp_path / "mail.json").write_text('{"host": "mail.example.org", "password": "hunter2"}', encoding="utf-8")

    with pytest.raises(DirigentError) as refused:
        mailer_within(tmp_path, SECRETS)

    assert nothing is None
    assert found is not None
    assert "hunter2" not in str(refused.value)


async def test_nobody_has_the_duty_where_there_is_nothing_to_look_after(database: Database) -> None:
    async with at_work(database, "n/1", Carried()) as (alarms, _):
        await asyncio.sleep(0.4)

        assert not alarms.on_duty
