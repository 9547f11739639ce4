"""Certificates are always verified; a proxy is asked where one stands in between."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dirigent.core.errors import Misconfigured, TimedOut, Unavailable
from dirigent.core.ports import HttpCall, Origin, Timeouts
from dirigent.net import HttpClient, Proxies
from tests.net.providers import OK, PATIENT, Visit, answering, provider, saying_all


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for provider.localhost with its key, made for this run."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_suffix(".key")
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
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *named, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


async def test_tls_works_with_an_authority_that_was_named_and_the_connection_is_used_again(
    certificate: Path, serving: ssl.SSLContext
) -> None:
    client = HttpClient(authorities=certificate)
    async with provider(saying_all(OK), serving, "localhost") as vendor:
        for _ in range(3):
            assert await (await client.open(vendor.call(body=b"x" * 200_000), PATIENT)).read() == b"ok"

        assert len(vendor.visits) == 1


async def test_a_certificate_of_an_unknown_authority_is_refused(serving: ssl.SSLContext) -> None:
    async with provider(answering(OK), serving, "localhost") as vendor:
        with pytest.raises(Unavailable, match=r"the certificate of localhost:\d+ cannot be trusted: self"):
            await HttpClient().open(vendor.call(), PATIENT)


async def test_a_certificate_for_another_name_is_refused(certificate: Path, serving: ssl.SSLContext) -> None:
    async with provider(answering(OK), serving, "127.0.0.1") as vendor:
        with pytest.raises(
            Unavailable, match=r"the certificate of 127\.0\.0\.1:\d+ cannot be trusted: IP address mismatch"
        ):
            await HttpClient(authorities=certificate).open(vendor.call(), PATIENT)


async def test_a_provider_that_does_not_speak_tls_is_unavailable() -> None:
    async with provider(answering(OK)) as vendor:
        call = HttpCall(Origin("127.0.0.1", vendor.origin.port, tls=True), "/")
        with pytest.raises((Unavailable, TimedOut), match=f"127.0.0.1:{vendor.origin.port}"):
            await HttpClient().open(call, Timeouts(connect=0.5))


async def test_a_provider_that_never_greets_times_out_on_the_connection() -> None:
    async def silent(visit: Visit) -> None:
        await visit.until_gone()

    async with provider(silent) as vendor:
        call = HttpCall(Origin("127.0.0.1", vendor.origin.port, tls=True), "/")
        with pytest.raises(TimedOut, match=r"could not be connected to within 0\.8 s"):
            await HttpClient().open(call, Timeouts(connect=0.8))
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)


async def test_abandoning_an_answer_over_tls_closes_the_upstream_at_once(
    certificate: Path, serving: ssl.SSLContext
) -> None:
    client = HttpClient(authorities=certificate)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with provider(answering(head), serving, "localhost") as vendor:
        pieces = (await client.open(vendor.call(), PATIENT)).chunks()
        assert await anext(pieces) == b"hello"
        await pieces.aclose()

        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)


async def test_an_unreadable_file_of_authorities_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    path.write_text("nothing")

    with pytest.raises(Misconfigured, match=r"none\.pem is not a readable PEM file"):
        await HttpClient(authorities=path).open(HttpCall(Origin("127.0.0.1", 1, tls=True), "/"), PATIENT)


# --- proxies ----------------------------------------------------------------------------------------------------------


class Proxy:
    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = 0


@asynccontextmanager
async def proxy(target: int, refusal: bytes = b"") -> AsyncIterator[Proxy]:
    """A proxy that leads every tunnel and every request to the local port `target`."""
    one = Proxy()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        one.heads.append(head.decode())
        if refusal:
            writer.write(refusal)
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            inner_writer.write(head)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


async def test_a_plain_request_goes_through_the_proxy_with_its_whole_address() -> None:
    async with provider(answering(OK)) as vendor, proxy(vendor.origin.port) as between:
        client = HttpClient(proxies=Proxies(http=f"http://me:p%40ss@127.0.0.1:{between.port}"))
        answer = await client.open(HttpCall(Origin("vendor.test", 80, tls=False), "/v1?x", body=b"{}"), PATIENT)

        assert await answer.read() == b"ok"

    assert between.heads[0].startswith("POST http://vendor.test/v1?x HTTP/1.1\r\nhost: vendor.test\r\n")
    assert "proxy-authorization: Basic bWU6cEBzcw==" in between.heads[0]


async def test_a_tls_request_goes_through_a_tunnel_and_the_certificate_is_the_providers(
    certificate: Path, serving: ssl.SSLContext
) -> None:
    async with provider(saying_all(OK), serving) as vendor, proxy(vendor.origin.port) as between:
        client = HttpClient(authorities=certificate, proxies=Proxies(https=f"http://127.0.0.1:{between.port}"))
        good = HttpCall(Origin("localhost", 443, tls=True), "/", (("authorization", "Bearer k"),))
        with pytest.raises(
            Unavailable, match=r"the certificate of vendor.test:443 \(through the proxy 127\.0\.0\.1:\d+\)"
        ):
            await client.open(HttpCall(Origin("vendor.test", 443, tls=True), "/"), PATIENT)
        assert between.heads == ["CONNECT vendor.test:443 HTTP/1.1\r\nhost: vendor.test:443\r\n\r\n"]

        client._proxies._exempt.clear()
        assert Proxies(https="http://p:1").between(good.origin) is None


async def test_a_tunnel_carries_one_request_after_the_other(tmp_path: Path) -> None:
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
    named = ["-subj", "/CN=v", "-addext", "subjectAltName=DNS:vendor.test"]
    pem, key = tmp_path / "c.pem", tmp_path / "c.key"
    subprocess.run([*made, *named, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)  # noqa: ASYNC221
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    async with provider(saying_all(OK), context) as vendor, proxy(vendor.origin.port) as between:
        client = HttpClient(authorities=pem, proxies=Proxies(https=f"127.0.0.1:{between.port}"))
        for _ in range(3):
            answer = await client.open(HttpCall(Origin("vendor.test", 443, tls=True), "/"), PATIENT)
            assert await answer.read() == b"ok"

        assert len(vendor.visits) == 1
        assert len(between.heads) == 1


async def test_a_proxy_that_refuses_is_named_with_its_status() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with proxy(1, refusal) as between:
        client = HttpClient(proxies=Proxies(https=f"http://me:secret@127.0.0.1:{between.port}"))
        with pytest.raises(Unavailable, match="refused it with the status 407") as caught:
            await client.open(HttpCall(Origin("vendor.test", 443, tls=True), "/"), PATIENT)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("exempt", "host", "port", "direct"),
    [
        ("", "vendor.test", 443, False),
        ("*", "vendor.test", 443, True),
        ("vendor.test", "vendor.test", 443, True),
        ("vendor.test", "api.vendor.test", 443, True),
        (".vendor.test", "api.vendor.test", 443, True),
        ("*.vendor.test", "api.vendor.test", 443, True),
        ("vendor.test", "notvendor.test", 443, False),
        ("other.test, VENDOR.test", "vendor.test", 443, True),
        ("vendor.test:8443", "vendor.test", 443, False),
        ("vendor.test:8443", "vendor.test", 8443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("", "localhost", 443, True),
        ("", "127.0.0.5", 443, True),
        ("", "::1", 443, True),
    ],
)
def test_who_is_exempt_is_reached_directly(exempt: str, host: str, port: int, direct: bool) -> None:  # noqa: FBT001
    proxies = Proxies(https="http://proxy.test:3128", exempt=exempt)

    assert (proxies.between(Origin(host, port, tls=True)) is None) is direct
    assert proxies.between(Origin(host, port, tls=False)) is None


def test_a_proxy_that_is_not_reached_by_plain_http_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(Misconfigured, match="socks5://proxy"):
        Proxies(https="socks5://user:pass@proxy:1080")
