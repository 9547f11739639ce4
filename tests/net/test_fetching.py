"""What is fetched for callers, from hosts on real sockets: never from where it may not, never without end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dirigent.core.errors import Invalid
from dirigent.core.ports import Fetched
from dirigent.net import Fetcher, Proxies
from dirigent.net.address import Address, public
from tests.net.providers import Manner, Provider, Visit, answering, provider, saying_all

OUTSIDE = ipaddress.ip_address("127.0.0.2")
"""An address of this machine that stands for the internet here."""
PNG = b"\x89PNG\r\n\x1a\nno more than this"
MANY = 1 << 20


def outside(address: Address) -> bool:
    return address == OUTSIDE or public(address)


def everywhere(address: Address) -> bool:
    return True


def said(body: bytes = PNG, content_type: str = "image/png", status: int = 200, **headers: str) -> bytes:
    others = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"content-type": content_type, "content-length": str(len(body)), **others}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status} Word\r\n{lines}\r\n".encode() + body


class Names:
    """A resolver that gives one answer after the other, the last of them again and again."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


@asynccontextmanager
async def host(manner: Manner, at: str = "127.0.0.2", tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A host that listens at one of this machine's addresses, and nowhere else."""
    one = Provider()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        one.visits.append(visit)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await manner(visit)
        writer.transport.abort()

    server = await asyncio.start_server(visited, at, 0, ssl=tls)
    one.origin = one.origin.__class__(at, server.sockets[0].getsockname()[1], tls is not None)
    async with server:
        yield one
        for visit in one.visits:
            visit.writer.transport.abort()


@asynccontextmanager
async def fetching(names: Names | None = None, patience: float = 60.0) -> AsyncIterator[Fetcher]:
    """A fetcher for which 127.0.0.2 is the internet; it leaves nothing open."""
    fetcher = Fetcher(permits=outside, resolve=names or Names("127.0.0.2"), patience=patience)
    yield fetcher
    assert fetcher.working == 0
    fetcher.close()


def heads(manner_said: bytes, seen: list[str]) -> Manner:
    """Answers each request with this, and notes its head."""

    async def manner(visit: Visit) -> None:
        seen.append((await visit.request())[0])
        visit.say(manner_said)
        await visit.until_gone()

    return manner


# --- what comes back --------------------------------------------------------------------------------------------------


async def test_a_picture_is_fetched_with_nothing_of_the_caller_and_the_connection_ends() -> None:
    seen: list[str] = []
    async with host(heads(said(), seen)) as there, fetching() as fetcher:
        found = await fetcher.fetch(f"http://pictures.example:{there.origin.port}/a?b=c#d", MANY)
        await asyncio.wait_for(there.visits[0].gone.wait(), 30)

    assert found == Fetched(PNG, "image/png")
    assert "".join(seen) == (
        f"GET /a?b=c HTTP/1.1\r\nhost: pictures.example:{there.origin.port}\r\nuser-agent: dirigent\r\n"
        "accept: image/*, application/pdf, text/*, audio/*\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("IMAGE/PNG; q=1", b"x", ("image/png", b"x")),
        ("application/pdf", b"%PDF-1", ("application/pdf", b"%PDF-1")),
        ("audio/mpeg", b"x", ("audio/mpeg", b"x")),
        ("text/plain", "ä".encode(), ("text/plain", "ä".encode())),
        ("text/csv; charset=iso-8859-1", b"\xe4", ("text/csv", "ä".encode())),
        ('text/html; charset="windows-1252"', b"\x80", ("text/html", "€".encode())),
        ("text/plain; charset=punycode", b"xn--a", ("text/plain", b"xn--a")),
        ("application/octet-stream", PNG, ("image/png", PNG)),
        ("binary/octet-stream", b"%PDF-1", ("application/pdf", b"%PDF-1")),
        ("", b"\xff\xd8\xff\xe0", ("image/jpeg", b"\xff\xd8\xff\xe0")),
    ],
)
async def test_what_is_fetched_bears_its_type_and_text_is_in_one_spelling(
    content_type: str, body: bytes, expected: tuple[str, bytes]
) -> None:
    async with host(answering(said(body, content_type))) as there, fetching() as fetcher:
        found = await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)

    assert (found.content_type, found.data) == expected


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said(status=404), "it answers with the status 404"),
        (said(status=401, www_authenticate="Basic"), "it answers with the status 401"),
        (said(status=206), "it answers with the status 206"),
        (said(status=302), "it answers with the status 302"),
        (said(content_type="application/json"), "it is no picture, PDF, text or sound"),
        (said(content_type="application/octet-stream", body=b"\x7fELF"), "it is no picture, PDF, text or sound"),
        (said(content_type="image/"), "it is no picture, PDF, text or sound"),
        (said(content_type="", body=b"hello"), "it is no picture, PDF, text or sound"),
        (said(content_encoding="gzip"), "it answers compressed, though asked not to"),
        (said(b"x" * 101), "it is larger than 100 bytes"),
        (said(content_length="999999999999999999999"), "its answer broke off or is no HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "its answer broke off or is no HTTP"),
        (said(content_length="90"), "its answer broke off or is no HTTP"),
        (said(status=302, location="http://127.0.0.1/"), "it leads on to where nothing is fetched from"),
        (said(status=302, location="http://wiki.internal/"), "it leads on to where nothing is fetched from"),
        (said(status=302, location="/"), "it leads on more than 3 times"),
    ],
)
async def test_of_a_public_host_one_learns_why_nothing_came_of_it_and_of_another_nothing(
    answer: bytes, words: str
) -> None:
    async def directly(visit: Visit) -> None:
        await visit.request()
        visit.say(answer)
        await visit.writer.drain()
        visit.writer.close()

    async def through_a_tunnel(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
        await directly(visit)

    async with host(directly) as there, host(through_a_tunnel) as proxy, fetching() as fetcher:
        proxies = Proxies(http=f"http://127.0.0.2:{proxy.origin.port}")
        with pytest.raises(Invalid) as told:
            await Fetcher(resolve=Names("8.8.8.8"), proxies=proxies).fetch("http://a.example/", 100)
        with pytest.raises(Invalid) as untold:
            await fetcher.fetch(f"http://a.example:{there.origin.port}/", 100)

    assert told.value.message == f"nothing could be fetched from a.example: {words}"
    assert untold.value.message == "nothing could be fetched from a.example"


# --- where it does not go ---------------------------------------------------------------------------------------------


async def test_a_name_that_leads_elsewhere_the_second_time_is_asked_for_once() -> None:
    names = Names("127.0.0.2", "127.0.0.1")
    inside_says = saying_all(said(b"secret", "text/plain"))
    async with host(saying_all(said())) as there, provider(inside_says) as inside, fetching(names) as fetcher:
        found = await fetcher.fetch(f"http://rebound.example:{there.origin.port}/", MANY)
        with pytest.raises(Invalid, match=r"^the host rebound\.example is not one that may be asked$"):
            await fetcher.fetch(f"http://rebound.example:{inside.origin.port}/", MANY)

    assert found.data == PNG
    assert names.asked == ["rebound.example", "rebound.example"]
    assert inside.visits == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://2130706433:{port}/"])
async def test_a_redirect_to_this_machine_is_not_followed(status: int, to: str) -> None:
    async with provider(saying_all(said(b"secret", "text/plain"))) as inside:
        elsewhere = said(status=status, location=to.format(port=inside.origin.port))
        async with host(answering(elsewhere)) as there, fetching() as fetcher:
            with pytest.raises(Invalid, match=r"^nothing could be fetched from a\.example$"):
                await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)

    assert inside.visits == []


@pytest.mark.parametrize(
    "to",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "http://u:p@a.example/",
        "http://a.example:22/",
        "http://[",
        "http:\\\\x",
    ],
)
async def test_a_redirect_to_what_nobody_could_have_named_is_not_followed(to: str) -> None:
    async with host(answering(said(status=302, location=to))) as there, fetching() as fetcher:
        with pytest.raises(Invalid):
            await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)

        assert len(there.visits) == 1


async def test_three_redirects_are_followed_each_resolved_anew_and_a_fourth_is_not() -> None:
    names = Names("127.0.0.2")
    seen: list[str] = []

    async def manner(visit: Visit) -> None:
        head, _ = await visit.request()
        seen.append(head.split(" ")[1])
        left = int(seen[-1].rpartition("/")[2])
        visit.say(said(status=307, location=f"../x/{left - 1}") if left else said())

    async with host(manner) as there, fetching(names) as fetcher:
        found = await fetcher.fetch(f"http://a.example:{there.origin.port}/x/3", MANY)
        with pytest.raises(Invalid):
            await fetcher.fetch(f"http://a.example:{there.origin.port}/x/4", MANY)

    assert found.data == PNG
    assert seen == ["/x/3", "/x/2", "/x/1", "/x/0", "/x/4", "/x/3", "/x/2", "/x/1"]
    assert names.asked == ["a.example"] * 8


async def test_a_cookie_that_a_redirect_sets_is_forgotten() -> None:
    seen: list[str] = []
    answers = [said(status=302, location="/b", set_cookie="a=b"), said()]

    async def manner(visit: Visit) -> None:
        seen.append((await visit.request())[0])
        visit.say(answers.pop(0))

    async with host(manner) as there, fetching() as fetcher:
        await fetcher.fetch(f"http://a.example:{there.origin.port}/a", MANY)

    assert len(seen) == 2
    assert "cookie" not in seen[1].lower()


# --- what it does not wait for ----------------------------------------------------------------------------------------


async def dripping(visit: Visit) -> None:
    await visit.request()
    visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n")
    while not visit.writer.is_closing():
        visit.say(b"1\r\nx\r\n")
        await asyncio.sleep(0.02)
    visit.gone.set()


async def silent(visit: Visit) -> None:
    await visit.until_gone()


@pytest.mark.parametrize("manner", [dripping, silent])
async def test_who_takes_too_long_is_left_and_the_connection_closed(manner: Manner) -> None:
    async with host(manner) as there, fetching(patience=0.3) as fetcher:
        with pytest.raises(Invalid, match=r"^nothing could be fetched within 0\.3 s$"):
            await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)

        await asyncio.wait_for(there.visits[0].gone.wait(), 30)


async def test_a_resolver_that_never_answers_is_not_waited_for() -> None:
    async def stuck(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return ()

    fetcher = Fetcher(resolve=stuck, patience=0.1)
    with pytest.raises(Invalid, match=r"within 0\.1 s"):
        await fetcher.fetch("http://a.example/", MANY)


async def test_a_body_without_end_is_left_as_soon_as_it_is_too_large() -> None:
    sent = 0

    async def endless(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not visit.writer.is_closing():
                visit.say(b"x" * 65536)
                sent += 65536
                await visit.writer.drain()
        visit.gone.set()

    async with host(endless) as there, fetching() as fetcher:
        with pytest.raises(Invalid):
            await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)
        await asyncio.wait_for(there.visits[0].gone.wait(), 30)

    assert sent < 64 * MANY


async def test_a_body_of_just_the_size_is_taken_and_one_byte_more_is_not() -> None:
    async with host(saying_all(said(b"x" * 100))) as there, fetching() as fetcher:
        url = f"http://a.example:{there.origin.port}/"

        assert len((await fetcher.fetch(url, 100)).data) == 100
        with pytest.raises(Invalid):
            await fetcher.fetch(url, 99)


@pytest.mark.parametrize(
    "head",
    [
        said(status=404, content_length="1000"),
        said(status=302, content_length="1000", location="ftp://a.example/"),
        said(content_length="1000", content_type="application/json"),
        said(content_length="10000000"),
    ],
)
async def test_what_is_refused_by_its_head_is_not_read_on_and_its_connection_closed(head: bytes) -> None:
    async with host(answering(head)) as there, fetching() as fetcher:
        with pytest.raises(Invalid):
            await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)

        assert fetcher.working == 0
        await asyncio.wait_for(there.visits[0].gone.wait(), 30)


async def test_whoever_stops_waiting_closes_the_connection() -> None:
    begun = asyncio.Event()

    async def begins(visit: Visit) -> None:
        begun.set()
        await dripping(visit)

    async with host(begins) as there, fetching() as fetcher:
        task = asyncio.create_task(fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await asyncio.wait_for(there.visits[0].gone.wait(), 30)


async def test_where_one_address_of_a_host_is_dead_the_next_is_tried() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.3", "127.0.0.2"]

    async with host(answering(said())) as there:
        fetcher = Fetcher(permits=everywhere, resolve=both)

        assert (await fetcher.fetch(f"http://a.example:{there.origin.port}/", MANY)).data == PNG


# --- TLS and proxies --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for pictures.example with its key, made for this run."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    named = ["-subj", "/CN=pictures.example", "-addext", "subjectAltName=DNS:pictures.example"]
    keys = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run([*made, *named, *keys], check=True, capture_output=True)
    return path


async def test_the_certificate_is_verified_for_the_name_and_not_for_the_address(certificate: Path) -> None:
    names: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    context.sni_callback = lambda _, name, __: names.append(name)
    async with host(saying_all(said()), tls=context) as there:
        port = there.origin.port
        fetcher = Fetcher(permits=outside, resolve=Names("127.0.0.2"), authorities=certificate)

        assert (await fetcher.fetch(f"https://pictures.example:{port}/", MANY)).data == PNG
        with pytest.raises(Invalid):
            await fetcher.fetch(f"https://another.example:{port}/", MANY)
        with pytest.raises(Invalid):
            await Fetcher(permits=outside, resolve=Names("127.0.0.2")).fetch(f"https://pictures.example:{port}/", MANY)

    assert names == ["pictures.example", "another.example", "pictures.example"]


async def test_a_redirect_from_https_to_http_is_not_followed(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with host(saying_all(said())) as plain:
        moved = said(status=301, location=f"http://a.example:{plain.origin.port}/")
        async with host(saying_all(moved), tls=context) as there:
            fetcher = Fetcher(permits=outside, resolve=Names("127.0.0.2"), authorities=certificate)
            with pytest.raises(Invalid):
                await fetcher.fetch(f"https://pictures.example:{there.origin.port}/", MANY)

    assert plain.visits == []


async def test_a_proxy_is_asked_for_the_very_address_that_was_checked() -> None:
    asked: list[str] = []

    async def proxy(visit: Visit) -> None:
        asked.append((await visit.request())[0].split("\r\n")[0])
        visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
        asked.append((await visit.request())[0].split("\r\n")[1])
        visit.say(said())
        await visit.until_gone()

    async with host(proxy) as between:
        proxies = Proxies(http=f"http://127.0.0.2:{between.origin.port}")
        found = await Fetcher(resolve=Names("8.8.8.8"), proxies=proxies).fetch("http://pictures.example/a", MANY)

    assert found.data == PNG
    assert asked == ["CONNECT 8.8.8.8:80 HTTP/1.1", "host: pictures.example"]
