"""Planted words are nowhere to be found: what is secret or said is in no log, metric, table, file or error.

A real node, with journeys that succeed, fail and are refused, on both planes; then every byte that it has left anywhere
is looked through: its folder with the database, the write-ahead log and what waits in files; what it has printed; its
metrics; a dump of its tables; the export of its audit; and what callers were told.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, create_engine, inspect, select

from tests.folders import files_in
from tests.journeys.node import Node, node
from tests.postgres import a_database

ASKED = "canary-asked-3f9c2b71"
TOLD = "canary-told-51ab77c0"
REPEATED = "canary-repeated-90cd1e22"
PROVIDER_KEY = "sk-canary-provider-77aa01"
WRONG_KEY = "dk-canary-wrong-key-4e4e4e"
HOOK_SECRET = "canary-hook-secret-aa11bb22"
HOOK_PATH = "canary-hook-path-cc33dd44"
MAIL_PASSWORD = "canary-mail-password-ee55"
MEMBER_PASSWORD = "canary member password ff66"
SIGNING = "canary-session-guess-0077"
TOOL = "canary_tool_88ab"
OWN_FILES = {"first-key", "operator-key", "mail.json", "hook"}
"""Files whose very purpose is to hold what nobody else may have."""

CONFIG = """\
    providers:
      vendor: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1", api_key: {{env: CANARY_PROVIDER_KEY}}}}
      gone: {{type: compatible, base_url: "http://127.0.0.1:1/v1", api_key: {{env: CANARY_PROVIDER_KEY}}}}
    models:
      dear: {{type: deployment, provider: vendor, name: x, max_output: 100, price: {{input: 1, output: 1}}}}
      lost: {{type: deployment, provider: gone, name: y, price: {{input: 1, output: 1}}}}
      auto: {{type: router, candidates: [lost, dear], strategy: fixed}}
      again: {{type: router, candidates: [dear], policies: [{{type: reuse, ttl: 60, scope: project}}]}}
      only: {{type: router, candidates: [lost]}}
    """


@contextmanager
def repeating() -> Iterator[int]:
    """A provider that answers; one who asks it for that gets an error which repeats all that it was sent."""
    loop = asyncio.new_event_loop()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    int(line[16:]) for line in head.split("\r\n") if line.lower().startswith("content-length: ")
                )
                body = await reader.readexactly(length)
                await answer(head, json.loads(body), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(head: str, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        said = json.dumps(asked)
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        if "repeat" in said:
            error = {"error": {"message": f"{REPEATED} {head} {said}", "type": "server_error", "code": "x"}}
            whole(writer, 500 if "repeat500" in said else 400, error)
        elif asked.get("stream"):
            piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x"}
            first = {
                **piece,
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": TOLD}, "finish_reason": None}],
            }
            last = {**piece, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
            data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in (first, last)) + b"data: [DONE]\n\n"
            broken = "break" in said
            length = len(data) + 10 if broken else len(data)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % length
                + data[: 300 if broken else None]
            )
            if broken:
                await writer.drain()
                writer.close()
        else:
            message = {"role": "assistant", "content": TOLD}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole(
                writer,
                200,
                {
                    "id": "c",
                    "object": "chat.completion",
                    "created": 1,
                    "model": "x",
                    "choices": [choice],
                    "usage": usage,
                },
            )

    def whole(writer: asyncio.StreamWriter, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(data))
            + data
        )

    listener = socket.create_server(("127.0.0.1", 0))
    server = loop.run_until_complete(asyncio.start_server(visited, sock=listener))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


class Life:
    """A node's life: what was done with it, and what it told."""

    def __init__(self, one: Node) -> None:
        self.one = one
        self.operator = (one.data / "operator-key").read_text(encoding="ascii").strip()
        self.errors: list[bytes] = []
        """What callers were told where something went wrong."""
        self.issued: list[str] = []

    def asks(
        self, model: str, words: str = "", *, path: str = "/v1/chat/completions", key: str = "", **more: Any
    ) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": f"{ASKED} {words}"}], **more}
        if path == "/v1/messages":
            body["max_tokens"] = 50
        return self.sends("POST", path, body, key=key)

    def sends(self, method: str, path: str, body: object, *, key: str | None = "", **headers: str) -> int:
        answer = self.one.call(method, path, body, headers, key)
        if answer.status >= 400:
            self.errors.append(answer.body)
        return answer.status

    def does(self, name: str, /, **order: Any) -> Any:
        answer = self.one.call("POST", f"/api/v1/{name.replace('.', '/')}", order, key=self.operator)
        if answer.status >= 400:
            self.errors.append(answer.body)
        return answer.json

    def lives(self) -> None:
        self._asks()
        self._governs()

    def _asks(self) -> None:
        assert self.asks("dear") == 200
        assert self.asks("dear", stream=True) == 200
        assert self.asks("auto") == 200
        assert self.asks("dear", path="/v1/messages") == 200
        assert [self.asks("again"), self.asks("again")] == [200, 200]
        tool = {"type": "function", "function": {"name": TOOL, "parameters": {"type": "object", "properties": {}}}}
        assert self.asks("dear", tools=[tool]) == 200
        assert self.sends("POST", "/v1/chat/completions", self._body("dear"), **{"idempotency-key": "one"}) == 200
        assert self.sends("POST", "/v1/chat/completions", self._body("dear"), **{"idempotency-key": "one"}) == 200
        for failing in ("repeat500", "repeat400", "break"):
            self.asks("dear", failing, stream=failing == "break")
        assert self.asks("only") >= 500
        assert self.asks("nobody") == 404
        assert self.asks("dear", key=WRONG_KEY) == 401
        assert self.sends("POST", "/v1/chat/completions", b'{"model": "dear", "messages": "' + ASKED.encode()) == 400
        self.sends("POST", "/v1/chat/completions", {"model": "dear", "messages": [{"role": ASKED}]})
        assert self.sends("POST", f"/v1/nothing?key={WRONG_KEY}", {"what": ASKED}) == 404
        self.sends("POST", "/v1/chat/completions", self._body("dear"), **{"x-dirigent-purpose": "unknown-purpose"})
        assert self.sends("POST", "/api/v1/route/explain", {"model": "auto", "text": ASKED}) == 200

    def _governs(self) -> None:
        key = self.does("keys.issue", title="one")
        rotated = self.does("keys.rotate", id=key["id"])
        self.issued += [key["key"], rotated["key"]]
        self.does("projects.create", name="poor")
        poor = self.does("keys.issue", project="poor")["key"]
        self.issued.append(poor)
        self.does("budgets.set", project="poor", limit="0.000001", currency="USD")
        assert self.asks("dear", key=poor) == 429
        self.does("purposes.register", name="kept", models=["*"], bodies_days=30)
        kept = self.does("keys.issue", purposes=["kept"])["key"]
        self.issued.append(kept)
        assert self.asks("dear", key=kept) == 200
        self.does("members.invite", name="Ada", email="ada@example.org", role="viewer", password=MEMBER_PASSWORD)
        wrong = {"email": "ada@example.org", "password": SIGNING, "tenant": "default"}
        self.sends("POST", "/api/v1/session", wrong, key=None)
        signed = self.one.call("POST", "/api/v1/session", {**wrong, "password": MEMBER_PASSWORD}, key=None)
        assert signed.status == 200
        self.issued.append(signed.headers["set-cookie"].partition(";")[0].partition("=")[2])
        hook = f"https://192.0.2.1/{HOOK_PATH}"
        rule = {"kind": "audit", "webhook": hook, "webhook_secret": {"file": "hook"}, "mail": ["ada@example.org"]}
        assert self.does("alerts.set", name="one", **rule)["webhook"] == "https://192.0.2.1/…"
        self.does("alerts.test", name="one")
        self.does("alerts.history")
        self.does("alerts.set", name="bad", kind="audit", webhook_secret={"env": HOOK_SECRET})
        invoice = f"day,model,amount\n2026-11-30,{ASKED},1\n"
        self.does("usage.reconcile", invoice=invoice)
        self.does("nothing.of.that.kind", what=ASKED)
        self.sends("GET", "/api/v1/runs/list", None, key=WRONG_KEY)

    @staticmethod
    def _body(model: str) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": ASKED}]}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_canary_is_left_anywhere(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with a_store(kind, request) as url, repeating() as port:
        data = tmp_path / "data"
        (data / "secrets").mkdir(parents=True)
        (data / "secrets" / "hook").write_text(HOOK_SECRET, encoding="utf-8")
        mail = {"host": "127.0.0.1", "port": 1, "sender": "d@example.org", "security": "none", "user": "d"}
        (data / "mail.json").write_text(json.dumps({**mail, "password": {"env": "CANARY_MAIL"}}), encoding="utf-8")
        environment = {"CANARY_PROVIDER_KEY": PROVIDER_KEY, "CANARY_MAIL": MAIL_PASSWORD}
        if url is not None:
            environment["DIRIGENT_DATABASE"] = url
        with node(data, CONFIG.format(port=port), environment=environment) as one:
            life = Life(one)
            life.lives()
            one.until(lambda: b"kept" in one.call("GET", "/api/v1/runs/list?purpose=kept", key=life.operator).body)
            metrics = one.call("GET", "/metrics", key=None).body
            audit = one.call("GET", "/api/v1/audit/export", key=life.operator).body
            running = everything_in(data)  # with the write-ahead log, and what waits
        places = {
            "metrics": metrics,
            "audit": audit,
            "printed": one.log.encode(),
            "files while it ran": running,
            "files afterwards": everything_in(data),
            "tables": dump(url) if url is not None else dump(f"sqlite:///{data / 'dirigent.db'}"),
        }
    secrets = {
        "what was asked": ASKED, "what was answered": TOLD, "a tool": TOOL, "the provider's key": PROVIDER_KEY,
        "what the provider repeated": REPEATED, "a wrong key": WRONG_KEY, "a hook's secret": HOOK_SECRET,
        "the mail's password": MAIL_PASSWORD, "a password": MEMBER_PASSWORD, "a wrong password": SIGNING,
        **{f"secret {number} of ours": secret for number, secret in enumerate(life.issued)},
    }  # fmt: skip
    assert found(secrets, places) == []
    told = {"errors": b"".join(life.errors)}
    own = {
        "what was asked",
        "what the provider repeated",
        "a tool",
        "a hook's secret",
    }  # callers may hear their own words
    assert found({name: word for name, word in secrets.items() if name not in own}, told) == []
    assert (
        found({"a hook's path": HOOK_PATH}, {place: places[place] for place in ("metrics", "audit", "printed")}) == []
    )


def test_the_canaries_would_be_found() -> None:
    assert found({"a": "canary"}, {"here": b"a canary sings", "there": b"silence"}) == [("here", "a")]


def found(secrets: dict[str, str], places: dict[str, bytes]) -> list[tuple[str, str]]:
    return [
        (place, name) for place, seen in places.items() for name, secret in secrets.items() if secret.encode() in seen
    ]


def everything_in(folder: Path) -> bytes:
    files = {file: content for file, content in files_in(folder) if file.name not in OWN_FILES}
    assert any(file.suffix in (".db", ".jsonl") for file in files)
    return b"".join(content for file, content in files.items() if file.name != "printed.log")


def dump(url: str) -> bytes:
    """Every cell of every table."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    cells: list[bytes] = []
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(select(Table(table, MetaData(), autoload_with=connection))):
                cells += [bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for cell in row]
    engine.dispose()
    assert len(cells) > 300
    return b"\n".join(cells)


@contextmanager
def a_store(kind: str, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of a shared database; None for the embedded one."""
    if kind == "sqlite":
        yield None
        return
    with a_database(request.getfixturevalue("postgres")) as url:
        yield url
