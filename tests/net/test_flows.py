"""An answer that is told as it comes says the same as one that is waited for, and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dirigent.core.errors import BadAnswer, Failed, TimedOut, Unavailable
from dirigent.core.ports import Timeouts
from dirigent.net import HttpClient
from tests.net.providers import OK, PATIENT, Manner, Provider, Visit, answering, provider

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Taken:
    """A taker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.fields: Sequence[tuple[bytes, bytes]] = ()
        self.over = asyncio.Event()
        self.spoken = asyncio.Event()

    def head(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.fields = fields
        self.told.append((status, list(fields)))

    def piece(self, data: bytes) -> None:
        self.told.append(data)
        self.spoken.set()

    def end(self) -> None:
        self.told.append("end")
        self.over.set()

    def failed(self, error: Failed, *, touched: bool) -> None:
        self.told.append((type(error), touched))
        self.over.set()

    @property
    def body(self) -> bytes:
        return b"".join([each for each in self.told if isinstance(each, bytes)])


async def warmed(client: HttpClient, one: Provider) -> None:
    """Leaves a connection waiting."""
    await (await client.open(one.call(), PATIENT)).read()


async def pushed(client: HttpClient, one: Provider, timeouts: Timeouts = PATIENT) -> Taken:
    """What is told of one answer over a connection that was waiting."""
    taken = Taken()
    assert client.push(one.call(body=b"hi"), timeouts, taken) is not None
    async with asyncio.timeout(30):
        await taken.over.wait()
    return taken


def after_one(*said: bytes, pause: float = 0.0) -> Manner:
    """Answers the first request, and the second with these pieces; then it goes."""

    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(OK)
        await visit.request()
        for data in said:
            visit.say(data)
            await visit.writer.drain()
            await asyncio.sleep(pause)

    return manner


async def test_nothing_is_sent_where_no_connection_waits() -> None:
    client = HttpClient()
    async with provider(answering(OK)) as one:
        assert client.push(one.call(), PATIENT, Taken()) is None

        assert one.visits == []


async def test_an_answer_is_told_and_its_connection_is_free_when_the_end_is() -> None:
    client = HttpClient()
    async with provider(answering(OK, OK, OK)) as one:
        await warmed(client, one)
        for _ in range(2):
            taken = await pushed(client, one)

            assert taken.told[1:] == [b"ok", "end"]
            assert taken.told[0][0] == 200
            assert (client.resting, client.working) == (1, 0)
        assert len(one.visits) == 1
    client.close()


@pytest.mark.parametrize("sizes", [(2, 2, 2), (2, 7, 0, 300_000, 3), (0, 0, 1)], ids=["the same", "others", "none"])
async def test_answers_of_one_form_are_each_told_with_their_own_body(sizes: Sequence[int]) -> None:
    bodies = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    said = [b"HTTP/1.1 200 OK\r\nx-a: b\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies]
    client = HttpClient()
    async with provider(answering(OK, *said)) as one:
        await warmed(client, one)

        told = [await pushed(client, one) for _ in bodies]

        assert [taken.body for taken in told] == bodies
        assert len(one.visits) == 1
    client.close()


async def test_more_than_was_announced_is_no_part_of_the_next_answer() -> None:
    client = HttpClient()
    async with provider(answering(OK, OK, OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong", OK)) as one:
        await warmed(client, one)
        await pushed(client, one)
        await pushed(client, one)

        assert client.push(one.call(), PATIENT, Taken()) is None
        assert await (await client.open(one.call(), PATIENT)).read() == b"ok"
        assert len(one.visits) == 2
    client.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), (Unavailable, False)),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"ab"), (Unavailable, True)),
        ((STREAM, b"2\r\nab\r\n"), (Unavailable, True)),
        ((STREAM, b"zz\r\n"), (BadAnswer, True)),
        ((b"nonsense\r\n\r\n",), (BadAnswer, False)),
    ],
    ids=["at once", "in a body", "in a stream", "bad chunks", "no HTTP"],
)
async def test_what_breaks_off_is_told_once_with_whether_anything_had_come(
    said: Sequence[bytes], told: tuple[type[Failed], bool]
) -> None:
    client = HttpClient()
    async with provider(after_one(*said)) as one:
        await warmed(client, one)

        taken = await pushed(client, one)

        assert taken.told[-1][0] is told[0]
        assert taken.told[-1] == told or told[0] is BadAnswer
        assert (client.resting, client.working) == (0, 0)
    client.close()


@pytest.mark.parametrize("said", [(), (STREAM,), (STREAM, b"2\r\nab\r\n")], ids=["head", "body", "rest"])
async def test_a_provider_that_falls_silent_is_given_up(said: Sequence[bytes]) -> None:
    client = HttpClient()
    async with provider(after_one(*said, b"", pause=60) if not said else after_one(*said, pause=60)) as one:
        await warmed(client, one)

        taken = await pushed(client, one, Timeouts(first_byte=0.2, idle=0.2))

        assert taken.told[-1] == (TimedOut, True)
    client.close()


async def test_closing_a_flow_cuts_its_connection_and_nothing_more_is_told() -> None:
    client = HttpClient()

    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(OK)
        await visit.request()
        visit.say(STREAM + b"2\r\nab\r\n")
        await visit.until_gone()

    async with provider(manner) as one:
        await warmed(client, one)
        taken = Taken()
        flow = client.push(one.call(), PATIENT, taken)
        assert flow is not None
        async with asyncio.timeout(30):
            await taken.spoken.wait()
        flow.close()

        async with asyncio.timeout(30):
            await one.visits[0].gone.wait()
        assert taken.told[1:] == [b"ab"]
        assert (client.resting, client.working) == (0, 0)
    client.close()


async def test_a_head_that_one_connection_has_read_is_known_on_all_of_them() -> None:
    client = HttpClient()
    async with provider(answering(OK, OK, OK)) as one:
        await asyncio.gather(warmed(client, one), warmed(client, one))
        assert client.resting == 2

        answers = await asyncio.gather(pushed(client, one), pushed(client, one))

        assert [answer.body for answer in answers] == [b"ok", b"ok"]
        assert answers[0].fields is answers[1].fields
    client.close()


async def test_a_connection_with_a_head_of_its_own_tells_that_one() -> None:
    heads = [b"HTTP/1.1 200 OK\r\nserver: %d\r\ncontent-length: 2\r\n\r\nok" % number for number in range(4)]
    said = iter(heads)

    async def manner(visit: Visit) -> None:
        own = next(said)
        while True:
            await visit.request()
            visit.say(own)

    client = HttpClient()
    async with provider(manner) as one:
        await asyncio.gather(*(warmed(client, one) for _ in heads))

        for _ in range(3):
            answers = await asyncio.gather(*(pushed(client, one) for _ in heads))

            assert {answer.fields[0] for answer in answers} == {(b"server", b"%d" % number) for number in range(4)}
    client.close()
