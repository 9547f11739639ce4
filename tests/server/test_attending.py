"""What is due is done by whichever node comes first: people are told, webhooks are called, once it arrives once."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dirigent.control.approval_links import Links
from dirigent.control.approvals import Decide
from dirigent.core.errors import Unauthenticated, Unavailable
from dirigent.core.journal import Began, Ended, fold
from dirigent.memory import MemorySecrets
from dirigent.net import Fetcher
from dirigent.net.address import harmless
from dirigent.net.mail import Mailer, MailServer
from dirigent.server.attending import Attending
from dirigent.store import Database, upgrade
from dirigent.store.approvals import Approvals
from dirigent.store.deliveries import deliver_asked, deliver_end
from dirigent.store.runs import Runs
from dirigent.store.vault import KeyLost, Vault
from tests.net.post import office
from tests.net.providers import provider
from tests.store.room import START, Room


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Both databases."""
    found = Database.at(url)
    upgrade(found)
    yield found
    found.close()


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Iterator[Room]:
    room = Room(database, tmp_path)
    yield room
    room.close()


async def asks(room: Room, **question: Any) -> str:
    """A run that waits for people."""
    run: str = room.does("runs.submit", model="quote", input="ten chairs").run
    (claimed,) = await room.claim()
    await room.walk(claimed, Began(at=START), room.asked("release", run, **question))
    return run


def attending(room: Room, **ways: Any) -> Attending:
    return Attending(
        room.database, room.attending._doors, ways.get("post"), lambda: "https://here", hooks=ways.get("hooks"),
        clock=lambda: room.now,
    )  # fmt: skip


async def test_people_get_a_letter_whose_link_decides_and_which_holds_no_word_of_the_question(room: Room) -> None:
    async with office() as post:
        mailer = Mailer(
            MailServer("127.0.0.1", "runs@example.org", post.port, security="none"), MemorySecrets({}).reveal
        )
        run = await asks(room, text="Köhler's offer", proposal="ten chairs", to=("anna",))
        nodes = [attending(room, post=mailer) for _ in range(3)]
        await asyncio.gather(*(node.letters() for node in nodes))
        await nodes[0].letters()
        mailer.close()

    ((to, letter),) = post.messages
    words = letter.get_payload(decode=True)
    assert isinstance(words, bytes)
    token = re.findall(r"https://here/api/v1/approvals/link\?token=([\w-]+)", words.decode())[0]
    links = Links(room.database, room.plane, lambda: room.now)
    shown = await links.show(token)
    decided = await links.decide(token, Decide("", "approve"))
    (again,) = await room.claim()

    assert to == "anna@example.org"
    assert "hler" not in words.decode()
    assert "chairs" not in words.decode()
    assert (shown.run, shown.proposal, decided.outcome) == (run, "ten chairs", "approved")
    assert fold(again.entries).verdicts["release"].by == ("anna",)
    with pytest.raises(Unauthenticated):
        await links.show(token)


async def test_who_is_asked_later_gets_a_letter_then_and_nobody_a_second_one(room: Room) -> None:
    told: list[tuple[str, str]] = []

    class Post:
        async def send(self, to: str, subject: str, text: str) -> None:
            told.append((to, subject))

    await asks(room, to=("anna",), due=START + 60, escalate=("owner",), expires=START + 600)
    node = attending(room, post=Post())
    await node.letters()
    room.now = START + 60
    await node.questions()
    await node.letters()

    assert [to for to, _ in told] == ["anna@example.org", "dora@example.org"]
    assert told[1][1].startswith("[dirigent] Overdue")


async def test_a_letter_that_does_not_arrive_is_tried_again_later(room: Room) -> None:
    class Post:
        def __init__(self) -> None:
            self.tries = 0

        async def send(self, to: str, subject: str, text: str) -> None:
            self.tries += 1
            if self.tries == 1:
                raise Unavailable("not now")

    post = Post()
    await asks(room, to=("anna",))
    node = attending(room, post=post)
    for _ in range(3):
        await node.letters()
    first = post.tries
    room.now += 301
    for _ in range(3):
        await node.letters()

    assert (first, post.tries) == (1, 2)


async def test_a_webhook_is_told_by_signed_requests_of_whom_a_run_waits_for_and_how_it_ended(room: Room) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def takes(visit: Any) -> None:
        head, body = await visit.request()
        lines = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
        seen.append(({name.lower(): value for name, _, value in lines}, body))
        visit.say(
            b"HTTP/1.1 204 No Content\r\n\r\n" if len(seen) > 1 else b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
        )
        await visit.until_gone()

    async with provider(takes) as receiver:
        hook = f"http://127.0.0.1:{receiver.origin.port}/runs"
        run = room.does("runs.submit", model="quote", input="Köhler's chairs", webhook=hook, transaction="case 7").run
        (claimed,) = await room.claim()
        now = int(room.now * 1000)
        room.database.write(lambda found: deliver_asked(found, claimed.submission, f"{run}-a", None, now))
        hooks = Fetcher(permits=harmless)
        node = attending(room, hooks=hooks)
        await node.webhooks()  # is refused
        await node.webhooks()
        room.now += 6
        await node.webhooks()
        room.database.write(lambda found: deliver_end(found, run, Ended(status="done"), now + 6_000))
        await node.webhooks()
        hooks.close()

    secret = room.does("runs.secret").secret
    for headers, body in seen:
        signed = headers["x-dirigent-timestamp"].encode() + b"." + body
        assert headers["x-dirigent-signature"] == f"v1={hmac.new(secret.encode(), signed, sha256).hexdigest()}"
    told = [json.loads(body) for _, body in seen]
    assert [each["event"] for each in told] == ["approval.asked", "approval.asked", "run.ended"]
    assert told[0]["delivery"] == told[1]["delivery"]
    assert (told[2]["run"], told[2]["status"], told[2]["transaction"]) == (run, "done", "case 7")
    assert b"hler" not in seen[0][1] + seen[2][1]


async def test_a_node_without_the_keys_leaves_to_others_what_it_cannot_read(room: Room, tmp_path: Path) -> None:
    run = await asks(room, due=START + 60, otherwise="later")
    stranger = Vault(room.database, tmp_path / "other-keys", clock=lambda: room.now)
    keyless = Approvals(stranger, Runs(stranger).wake)
    room.now = START + 61

    with pytest.raises(KeyLost):
        room.database.write(lambda found: keyless.tend(found, int(room.now * 1000)))
    await attending(room).questions()
    (again,) = await room.claim()

    verdict = fold(again.entries).verdicts["release"]
    assert (again.submission.run, verdict.outcome, verdict.answer) == (run, "expired", "later")
