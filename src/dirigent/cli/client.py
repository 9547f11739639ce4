"""The command line as a client of the running server, which it finds through the data folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from dirigent.core.errors import DirigentError
from dirigent.core.ports import HttpAnswer, HttpCall, Origin, Timeouts
from dirigent.net import HttpClient
from dirigent.server import Running

__all__ = ["Client", "NotRunning", "Refused", "connected"]

_PATIENT = Timeouts(connect=5.0, first_byte=900.0, idle=900.0, total=3600.0)


class NotRunning(DirigentError):
    """No server answers for this data folder."""

    code = "not_running"


class Refused(DirigentError):
    """The server answered with an error; the message is the server's own."""

    code = "refused"


class _Error(msgspec.Struct):
    message: str


class _Body(msgspec.Struct):
    error: _Error


class Client:
    """Calls one running server with the data folder's first key."""

    def __init__(self, http: HttpClient, running: Running, key: str) -> None:
        host = running.address.removeprefix("http://").rpartition(":")[0].strip("[]")
        self._origin = Origin(host, running.port, False)
        self._http = http
        self._key = key
        self.running = running

    async def open(self, method: str, path: str, body: object = None) -> HttpAnswer:
        """The answer whose body is still coming. Raises Refused for an error of the server's."""
        headers = (("authorization", f"Bearer {self._key}"), ("content-type", "application/json"))
        sent = b"" if body is None else msgspec.json.encode(body)
        try:
            answer = await self._http.open(HttpCall(self._origin, path, headers, sent, method), _PATIENT)
        except DirigentError as error:
            raise NotRunning(
                f"the server at {self.running.address} does not answer ({error.message});"
                " start it with `dirigent serve`"
            ) from None
        if answer.status >= 400:
            body_text = await answer.read()
            try:
                message = msgspec.json.decode(body_text, type=_Body).error.message
            except msgspec.DecodeError:
                message = body_text[:300].decode(errors="replace") or f"status {answer.status}"
            raise Refused(message)
        return answer

    async def fetch(self, method: str, path: str, body: object = None) -> Any:
        """The decoded body of a JSON answer."""
        answer = await self.open(method, path, body)
        try:
            return msgspec.json.decode(await answer.read())
        except msgspec.DecodeError:
            raise NotRunning(f"what answers at {self.running.address} is not Dirigent") from None


@asynccontextmanager
async def connected(data: Path) -> AsyncGenerator[Client, None]:
    """A client of the server that runs on this data folder. Raises NotRunning in words that say what to do."""
    try:
        running = msgspec.json.decode((data / "server.json").read_bytes(), type=Running)
        key = (data / "first-key").read_text(encoding="ascii").strip()
    except (OSError, msgspec.DecodeError):
        raise NotRunning(
            f"no server runs on the data folder {data}; start one with `dirigent serve --data {data}`"
        ) from None
    http = HttpClient()
    try:
        yield Client(http, running, key)
    finally:
        http.close()
