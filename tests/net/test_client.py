"""What the client sends, what it makes of the answers, and when it uses a connection again."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirigent.core.errors import BadAnswer, Misconfigured, TimedOut, Unavailable
from dirigent.core.ports import HttpCall, Origin, Timeouts
from dirigent.net import HttpClient
from tests.net.providers import OK, PATIENT, Visit, answering, provider, saying_all


async def test_a_request_goes_out_with_its_headers_its_host_and_its_length() -> None:
    heads: list[tuple[str, bytes]] = []

    async def manner(visit: Visit) -> None:
        heads.append(await visit.request())
        visit.say(OK)

    async with provider(manner) as vendor:
        call = vendor.call("/v1/chat?x=1", body=b"{}", authorization="Bearer k")
        answer = await HttpClient().open(call, PATIENT)

        assert (answer.status, await answer.read()) == (200, b"ok")

    host = f"127.0.0.1:{vendor.origin.port}"
    head = f"POST /v1/chat?x=1 HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer k\r\ncontent-length: 2\r\n\r\n"
    assert heads == [(head, b"{}")]


async def test_a_large_request_arrives_whole() -> None:
    body = random.Random(3).randbytes(2_000_000)
    seen: list[bytes] = []

    async def manner(visit: Visit) -> None:
        seen.append((await visit.request())[1])
        visit.say(OK)

    async with provider(manner) as vendor:
        await (await HttpClient().open(vendor.call(body=body), PATIENT)).read()

    assert seen == [body]


async def test_header_names_are_lower_case_and_repeated_ones_are_joined() -> None:
    async with provider(
        answering(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nA: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n")
    ) as vendor:
        answer = await HttpClient().open(vendor.call(), PATIENT)

        assert answer.status == 429
        assert answer.headers == {"retry-after": "3", "a": "1, 2", "content-length": "0"}
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n",
            200,
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 500, b""),
    ],
)
async def test_a_valid_answer_is_read_as_it_was_meant_and_the_connection_used_again(
    sent: bytes, status: int, body: bytes
) -> None:
    client = HttpClient()
    async with provider(saying_all(sent)) as vendor:
        for _ in range(3):
            answer = await client.open(vendor.call(), PATIENT)
            assert (answer.status, await answer.read()) == (status, body)

            assert not {"link", "x"} & set(answer.headers)
        assert len(vendor.visits) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
    ],
)
async def test_an_answer_without_a_length_ends_with_the_connection(sent: bytes) -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(sent)
        await visit.writer.drain()
        visit.writer.close()

    client = HttpClient()
    async with provider(manner) as vendor:
        assert await (await client.open(vendor.call(), PATIENT)).read() == b"hello"
        assert client.resting == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"more than was asked for",
        OK + OK,
    ],
)
async def test_a_connection_that_must_not_be_used_again_is_not(sent: bytes) -> None:
    client = HttpClient()
    async with provider(answering(sent, sent)) as vendor:
        for _ in range(2):
            assert await (await client.open(vendor.call(), PATIENT)).read() == b"ok"

        assert len(vendor.visits) == 2
        assert client.resting == 0


async def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    async with provider(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as vendor:
        answer = await HttpClient().open(vendor.call(method="HEAD"), PATIENT)

        assert answer.headers["content-length"] == "5"
        assert await answer.read() == b""


BAD = {
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "compressed transfer": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: b\r\n c\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: b\x00\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"HTTP/2 200\r\ncontent-length: 0\r\n\r\n",
    "a status that is none": b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 201 + b"\r\n",
    "too large headers": b"HTTP/1.1 200 OK\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 70 + b"\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\na: " + b"b" * 400_000,
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
async def test_an_answer_that_is_not_http_is_a_bad_answer_that_names_the_peer(sent: bytes) -> None:
    client = HttpClient()
    async with provider(answering(sent)) as vendor:
        with pytest.raises(BadAnswer, match=f"127.0.0.1:{vendor.origin.port}"):
            await client.open(vendor.call(authorization="Bearer secret"), PATIENT)
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)

        assert (client.resting, client.working) == (0, 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n",
    ],
)
async def test_bad_chunks_break_the_answer_off_after_what_was_good(sent: bytes) -> None:
    async with provider(answering(sent)) as vendor:
        answer = await HttpClient().open(vendor.call(), PATIENT)
        pieces = answer.chunks()

        assert await anext(pieces) == b"ok"
        with pytest.raises(BadAnswer):
            await anext(pieces)


async def test_an_answer_that_breaks_off_is_unavailable_after_what_had_arrived() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await visit.writer.drain()
        visit.writer.close()

    async with provider(manner) as vendor:
        answer = await HttpClient().open(vendor.call(), PATIENT)
        pieces = answer.chunks()

        assert await anext(pieces) == b"half"
        with pytest.raises(Unavailable, match="broke off"):
            await anext(pieces)


@pytest.mark.parametrize("header", ["a\r\nb", "a\nb", "sk-\x00", "schlüssel→"])
async def test_a_header_that_cannot_be_sent_is_a_fault_of_the_configuration_and_its_value_is_not_told(
    header: str,
) -> None:
    call = HttpCall(Origin("127.0.0.1", 1, tls=False), "/", (("authorization", header),))

    with pytest.raises(Misconfigured, match="authorization") as caught:
        await HttpClient().open(call, PATIENT)

    assert header not in str(caught.value)


@pytest.mark.parametrize("path", ["/a b", "/ä", "/a\r\nb: c"])
async def test_a_path_that_cannot_be_sent_is_a_fault_of_the_configuration(path: str) -> None:
    with pytest.raises(Misconfigured, match="path"):
        await HttpClient().open(HttpCall(Origin("127.0.0.1", 1, tls=False), path), PATIENT)


# --- the pool ---------------------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_request_after_the_other() -> None:
    client = HttpClient()
    async with provider(saying_all(OK)) as vendor:
        for _ in range(50):
            assert await (await client.open(vendor.call(), PATIENT)).read() == b"ok"

        assert len(vendor.visits) == 1
        assert client.resting == 1


async def test_requests_at_once_have_a_connection_each_and_the_surplus_is_closed_afterwards() -> None:
    client = HttpClient(idle=3)
    async with provider(saying_all(OK)) as vendor:
        answers = await asyncio.gather(*(client.open(vendor.call(), PATIENT) for _ in range(8)))
        assert [await answer.read() for answer in answers] == [b"ok"] * 8

        assert len(vendor.visits) == 8
        assert client.resting == 3


async def test_an_idle_connection_grows_old_and_is_closed() -> None:
    client = HttpClient(age=0.2)
    async with provider(answering(OK)) as vendor:
        await (await client.open(vendor.call(), PATIENT)).read()
        assert client.resting == 1

        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)

        assert client.resting == 0


async def test_a_connection_that_the_provider_closed_meanwhile_is_replaced_without_a_word() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(OK)
        await visit.writer.drain()
        if len(vendor.visits) == 1:
            await visit.request()  # takes the second request, and dies over it
            return
        await visit.until_gone()

    client = HttpClient()
    async with provider(manner) as vendor:
        assert await (await client.open(vendor.call(), PATIENT)).read() == b"ok"
        assert await (await client.open(vendor.call(), PATIENT)).read() == b"ok"
        assert len(vendor.visits) == 2


async def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()

    client = HttpClient()
    async with provider(manner) as vendor:
        with pytest.raises(Unavailable, match="without an answer"):
            await client.open(vendor.call(), PATIENT)

        assert len(vendor.visits) == 1


async def test_a_pooled_connection_that_dies_within_an_answer_is_not_tried_again() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(OK)
        await visit.request()
        visit.say(b"HTTP/1.1 200")
        await visit.writer.drain()

    client = HttpClient()
    async with provider(manner) as vendor:
        await (await client.open(vendor.call(), PATIENT)).read()
        with pytest.raises(Unavailable, match="without an answer"):
            await client.open(vendor.call(), PATIENT)

        assert len(vendor.visits) == 1


async def test_words_that_nobody_asked_for_end_the_connection() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(OK)
        await asyncio.sleep(0.02)
        visit.say(OK)
        await visit.until_gone()

    client = HttpClient()
    async with provider(manner) as vendor:
        await (await client.open(vendor.call(), PATIENT)).read()
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)

        assert client.resting == 0


# --- waits ------------------------------------------------------------------------------------------------------------


async def test_nobody_who_listens_is_unavailable_with_host_and_port() -> None:
    async with provider(answering()) as vendor:
        pass

    with pytest.raises(Unavailable, match=f"127.0.0.1:{vendor.origin.port} could not be connected to: nothing listens"):
        await HttpClient().open(vendor.call(), PATIENT)


async def test_a_name_that_nobody_knows_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"no\.such\.host\.invalid:80 could not be connected to"):
        await HttpClient().open(HttpCall(Origin("no.such.host.invalid", 80, tls=False), "/"), PATIENT)


@pytest.mark.parametrize(
    ("sent", "waits", "words"),
    [
        (b"", {"first_byte": 0.2}, "did not begin to answer within 0.2 s"),
        (b"HTTP/1.1 200 OK\r\nconte", {"first_byte": 0.2}, "did not begin to answer within 0.2 s"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", {"first_byte": 0.2}, "did not begin to answer within 0.2 s"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            {"idle": 0.2},
            "fell silent in the middle of its answer for 0.2 s",
        ),
    ],
)
async def test_a_silent_provider_times_out_and_the_connection_is_closed(
    sent: bytes, waits: dict[str, float], words: str
) -> None:
    loop = asyncio.get_running_loop()
    client = HttpClient()
    async with provider(answering(sent)) as vendor:
        started = loop.time()
        with pytest.raises(TimedOut, match=words):
            await (await client.open(vendor.call(), Timeouts(**waits))).read()

        assert loop.time() - started >= 0.19
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)
        assert client.working == 0


async def test_an_answer_that_drips_for_ever_ends_with_the_whole_time() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
        while True:
            visit.say(b"x")
            await asyncio.sleep(0.02)

    loop = asyncio.get_running_loop()
    async with provider(manner) as vendor:
        started = loop.time()
        with pytest.raises(TimedOut, match=r"was not complete within 0\.9 s"):
            await (await HttpClient().open(vendor.call(), Timeouts(total=0.9, idle=0.6))).read()

        assert loop.time() - started >= 0.89


async def test_a_slow_reader_holds_the_provider_back_and_is_not_taken_for_a_silent_one() -> None:
    sent = 0

    async def manner(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n")
        for _ in range(400):
            visit.say(b"x" * 100_000)
            await visit.writer.drain()
            sent += 1
        await visit.until_gone()

    client = HttpClient()
    async with provider(manner) as vendor:
        answer = await client.open(vendor.call(), Timeouts(idle=0.5))
        await asyncio.sleep(1)
        stuck_at = sent
        size = 0
        async with aclosing(answer.chunks()) as pieces:
            async for piece in pieces:
                size += len(piece)

    assert stuck_at < 200
    assert size == 40_000_000


async def test_a_whole_answer_that_outgrows_its_limit_is_refused() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 30000000\r\n\r\n")
        visit.say(b"x" * 30_000_000)
        await visit.until_gone()

    client = HttpClient()
    async with provider(manner) as vendor:
        answer = await client.open(vendor.call(), PATIENT)
        with pytest.raises(BadAnswer, match="more than the 300000 bytes"):
            await answer.read(300_000)
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)


# --- any partition of the bytes gives the same answer -----------------------------------------------------------------

ANSWER = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\nB\r\n wide world\r\n0\r\ntrailer: t\r\n\r\n"
)


@given(cuts=st.one_of(st.just(list(range(len(ANSWER)))), st.lists(st.integers(0, len(ANSWER)), max_size=12)))
@settings(max_examples=25, deadline=None)
def test_any_partition_of_the_bytes_gives_the_same_answer(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(ANSWER)]

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            for start, end in pairwise(edges):
                visit.say(ANSWER[start:end])
                await asyncio.sleep(0)

    async def exchange() -> None:
        client = HttpClient()
        async with provider(manner) as vendor:
            for _ in range(2):
                answer = await client.open(vendor.call(), PATIENT)
                assert (answer.status, await answer.read()) == (200, b"hello wide world")
                assert answer.headers["content-type"] == "text/event-stream"
            assert len(vendor.visits) == 1

    asyncio.run(exchange())
