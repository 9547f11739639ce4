"""The command line as a client of the running server, which it finds through the data folder."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from dirigent.core.errors import DirigentError, Finding
from dirigent.core.ports import HttpAnswer, HttpCall, Origin, Timeouts
from dirigent.net import HttpClient
from dirigent.server.running import Running

__all__ = ["Client", "NotRunning", "Refused", "accepted", "connected", "governing", "is_running"]

_PATIENT = Timeouts(connect=5.0, first_byte=900.0, idle=900.0, total=3600.0)


_WRITER = msgspec.json.Encoder(decimal_format="number")
"""Of a configuration every digit counts, and a number is no text."""


class NotRunning(DirigentError):
    """No server answers for this data folder."""

    code = "not_running"


class Refused(DirigentError):
    """The server answered with an error; the message is the server's own."""

    code = "refused"

    def __init__(self, message: str, reason: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        """The server's code for what went wrong; empty where it gave none."""
        self.findings = findings
        """The faults of a configuration that it has refused."""


class _Error(msgspec.Struct):
    message: str
    code: str | None = None
    faults: tuple[Finding, ...] = ()


class _Body(msgspec.Struct):
    error: _Error


class Client:
    """Calls one running server with a key of its data folder, in one tenant."""

    def __init__(self, http: HttpClient, running: Running, key: str, tenant: str | None = None) -> None:
        host = running.address.removeprefix("http://").rpartition(":")[0].strip("[]")
        self._origin = Origin(host, running.port, False)
        self._http = http
        self._headers = [("authorization", f"Bearer {key}"), ("content-type", "application/json")]
        if tenant is not None:
            self._headers.append(("x-dirigent-tenant", tenant))
        self.running = running

    async def open(
        self, method: str, path: str, body: object = None, *, headers: Sequence[tuple[str, str]] = ()
    ) -> HttpAnswer:
        """The answer whose body is still coming. Raises Refused for an error of the server's."""
        sent = b"" if body is None else _WRITER.encode(body)
        call = HttpCall(self._origin, path, (*self._headers, *headers), sent, method)
        try:
            answer = await self._http.open(call, _PATIENT)
        except DirigentError as error:
            raise NotRunning(
                f"the server at {self.running.address} does not answer ({error.message});"
                " start it with `dirigent serve`"
            ) from None
        if answer.status >= 400:
            body_text = await answer.read()
            try:
                told = msgspec.json.decode(body_text, type=_Body).error
            except msgspec.DecodeError:
                raise Refused(body_text[:300].decode(errors="replace") or f"status {answer.status}") from None
            raise Refused(told.message, told.code or "", told.faults)
        return answer

    async def fetch(self, method: str, path: str, body: object = None) -> Any:
        """The decoded body of a JSON answer."""
        answer = await self.open(method, path, body)
        try:
            return msgspec.json.decode(await answer.read())
        except msgspec.DecodeError:
            raise NotRunning(f"what answers at {self.running.address} is not Dirigent") from None


def accepted(answer: HttpAnswer) -> bool:
    """Whether the server has only taken the request on, and says where its answer will be found."""
    return answer.status == 202


@asynccontextmanager
async def connected(data: Path, key: str | None = None) -> AsyncGenerator[Client, None]:
    """A client of the server that runs on this data folder, with its first key or another one.

    Raises NotRunning in words that say what to do.
    """
    async with _client(data, "first-key", key=key) as client:
        yield client


def is_running(data: Path) -> bool:
    """Whether a server that runs on this data folder has put up its notice, and takes connections."""
    try:
        notice = msgspec.json.decode((data / "server.json").read_bytes(), type=Running)
        host = notice.address.removeprefix("http://").rpartition(":")[0].strip("[]")
        with socket.create_connection((host, notice.port), timeout=2):
            return True
    except (OSError, msgspec.DecodeError):
        return False


@asynccontextmanager
async def governing(data: Path, tenant: str | None = None) -> AsyncGenerator[Client, None]:
    """The same with the operator's key, which may do everything. Raises NotRunning."""
    async with _client(data, "operator-key", tenant) as client:
        yield client


@asynccontextmanager
async def _client(
    data: Path, key_file: str, tenant: str | None = None, key: str | None = None
) -> AsyncGenerator[Client, None]:
    try:
        running = msgspec.json.decode((data / "server.json").read_bytes(), type=Running)
        key = key or (data / key_file).read_text(encoding="ascii").strip()
    except PermissionError as fault:
        raise NotRunning(
            f"{fault.filename} may be read by its owner only: run this as the one who runs the server"
        ) from None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        raise NotRunning(
            f"no server runs on the data folder {data}; start one with `dirigent serve --data {data}`"
        ) from None
    http = HttpClient()
    try:
        yield Client(http, running, key, tenant)
    finally:
        http.close()
