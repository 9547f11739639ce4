"""E-mail goes out encrypted where that is wanted, is signed in for, and tells no secret where it fails."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dirigent.core.errors import DirigentError, Misconfigured, Unavailable
from dirigent.core.ports import Secret
from dirigent.net.mail import Mailer, MailServer
from tests.net.post import Office, office

PASSWORD = "a-password-that-nobody-sees"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_suffix(".key")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *named, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def encryption(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def mailer(one: Office, certificate: Path | None = None, known: str | None = PASSWORD, **more: Any) -> Mailer:
    server = MailServer(host="localhost", sender="dirigent@example.org", port=one.port, **more)
    return Mailer(server, lambda _: known, authorities=certificate)


async def test_a_message_is_encrypted_after_the_greeting_and_signed_in_for(
    certificate: Path, encryption: ssl.SSLContext
) -> None:
    async with office(encryption=encryption, user=("me", PASSWORD)) as one:
        sender = mailer(one, certificate, user="me", password=Secret(env="P"))

        await sender.send("ada@example.org", "Warning: größer\r\nBcc: eve@example.org", "Zeile eins\nZwei: 5 €\n")
        sender.close()

    ((to, message),) = one.messages
    assert (to, one.encrypted) == ("ada@example.org", [True])
    assert b"AUTH" not in one.clear
    assert message["Bcc"] is None
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert "5 €" in payload.decode()


async def test_a_server_may_be_encrypted_from_the_first_byte_on(certificate: Path, encryption: ssl.SSLContext) -> None:
    async with office(encryption) as one:
        await mailer(one, certificate, security="tls").send("ada@example.org", "hello", "hello")

    assert one.encrypted == [True]


@pytest.mark.parametrize(
    ("manners", "settings", "kind", "words"),
    [
        ({}, {}, Misconfigured, "cannot do what is wanted"),  # no STARTTLS: nothing is sent in clear
        ({"user": ("me", "another")}, {"user": "me", "security": "none"}, Misconfigured, "refuses the user"),
        ({"refuses": "550 nobody here"}, {"security": "none"}, Misconfigured, "does not take messages"),
        ({"user": ("me", "x")}, {"security": "none"}, Unavailable, "refuses with 530"),
    ],
)
async def test_what_goes_wrong_is_told_without_a_secret(
    manners: dict[str, Any], settings: dict[str, Any], kind: type[DirigentError], words: str
) -> None:
    async with office(**manners) as one:
        password = Secret(env="P") if "user" in settings else None
        server = MailServer(host="localhost", sender="d@example.org", port=one.port, password=password, **settings)

        with pytest.raises(kind, match=words) as refused:
            await Mailer(server, lambda _: PASSWORD).send("ada@example.org", "hello", "hello")

    assert PASSWORD not in str(refused.value)
    assert "ada@" not in str(refused.value)
    assert one.messages == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(encryption: ssl.SSLContext) -> None:
    async with office(encryption=encryption) as one:
        with pytest.raises(Misconfigured, match="cannot be trusted"):
            await mailer(one).send("ada@example.org", "hello", "hello")

    assert one.messages == []


async def test_a_password_that_is_missing_and_a_server_that_is_away_are_told(encryption: ssl.SSLContext) -> None:
    async with office() as one:
        with pytest.raises(Misconfigured, match="the environment variable P"):
            await mailer(one, known=None, user="me", password=Secret(env="P"), security="none").send(
                "a@example.org", "x", "x"
            )
    with pytest.raises(Unavailable, match="cannot be reached"):
        await mailer(Office(port=1), security="none").send("a@example.org", "x", "x")
