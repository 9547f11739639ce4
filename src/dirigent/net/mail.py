"""E-mail out: one message to one address, through the operator's own mail server."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Literal

import msgspec

from dirigent.core.errors import Misconfigured, Unavailable
from dirigent.core.ports import Secret
from dirigent.net.dialling import trust

__all__ = ["MailServer", "Mailer"]

_PATIENCE = 10.0
"""Seconds that each word of the server's is waited for."""


class MailServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes our messages."""

    host: str
    sender: str
    """The address that messages come from."""
    port: int | None = None
    """587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """Encrypted after a greeting, from the first byte on, or not at all, as may be on one machine."""
    user: str | None = None
    password: Secret | None = None

    @property
    def gate(self) -> int:
        """The port."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]


class Mailer:
    """Hands messages to the server, on a thread of its own.

    Certificates are verified, and nothing is sent in clear where encryption is wanted.
    """

    def __init__(
        self, server: MailServer, reveal: Callable[[Secret], str | None], *, authorities: Path | None = None
    ) -> None:
        self._server = server
        self._reveal = reveal
        self._authorities = authorities
        self._thread = ThreadPoolExecutor(1, "mail")

    async def send(self, to: str, subject: str, text: str) -> None:
        """Returns once the server has taken the message. Raises Unavailable or Misconfigured, without any secret."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send, to, subject, text)

    def close(self) -> None:
        """Sends nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send(self, to: str, subject: str, text: str) -> None:
        server = self._server
        message = EmailMessage()
        message["From"], message["To"] = server.sender, to
        message["Subject"] = " ".join(subject.split())
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=server.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            self._deliver(message)
        except smtplib.SMTPServerDisconnected:
            raise Unavailable(f"the mail server {server.host} has closed the connection") from None
        except smtplib.SMTPAuthenticationError:
            raise Misconfigured(f"the mail server {server.host} refuses the user or the password") from None
        except smtplib.SMTPRecipientsRefused:
            raise Misconfigured(f"the mail server {server.host} does not take messages to this address") from None
        except smtplib.SMTPNotSupportedError as fault:
            raise Misconfigured(f"the mail server {server.host} cannot do what is wanted: {fault}") from None
        except smtplib.SMTPResponseException as fault:
            raise Unavailable(f"the mail server {server.host} refuses with {fault.smtp_code}") from None
        except ssl.SSLCertVerificationError as fault:
            raise Misconfigured(f"the certificate of {server.host} cannot be trusted: {fault.verify_message}") from None
        except OSError as fault:
            raise Unavailable(f"the mail server {server.host} cannot be reached: {fault.strerror or fault}") from None

    def _deliver(self, message: EmailMessage) -> None:
        server = self._server
        with self._connected() as connection:
            if server.security == "starttls":
                connection.starttls(context=trust(self._authorities))
            if server.user is not None:
                connection.login(server.user, self._password())
            connection.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.gate, timeout=_PATIENCE, context=_plain(self._authorities))
        return smtplib.SMTP(server.host, server.gate, timeout=_PATIENCE)

    def _password(self) -> str:
        secret = self._server.password
        password = self._reveal(secret) if secret is not None else None
        if password is None:
            raise Misconfigured(f"the password for the mail server is missing: {secret or 'none is named'}")
        return password


def _plain(authorities: Path | None) -> ssl.SSLContext:
    context = trust(authorities)
    context.set_alpn_protocols([])
    return context
