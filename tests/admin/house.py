"""The control plane over real HTTP and a real database, as a node serves it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from argon2 import PasswordHasher

from dirigent.admin.folder import operator_key
from dirigent.admin.front import Front
from dirigent.control import OPERATIONS, Operation
from dirigent.control.desk import Doors
from dirigent.core.identity import Role
from dirigent.core.journal import Entry
from dirigent.gateway.auth import digest
from dirigent.gateway.wire import Exchange, Server
from dirigent.listings import Listings
from dirigent.server.configured import Catalogs
from dirigent.settings import EnvironmentSecrets
from dirigent.store import Database
from dirigent.store.approvals import Approvals
from dirigent.store.beginning import bootstrap
from dirigent.store.bulks import Bulks
from dirigent.store.database import Connection
from dirigent.store.notary import AuditKey, Notary
from dirigent.store.people import Member, Tenant, keep_member, keep_password, keep_tenant, tenant_named
from dirigent.store.pulse import bump
from dirigent.store.runs import Runs
from dirigent.store.schedules import Schedules
from dirigent.store.schema import metadata
from dirigent.store.vault import Vault
from tests.journeys.node import Answered

__all__ = ["PASSWORD", "Browser", "House", "house"]

PASSWORD = "correct horse battery staple"
_HASH = PasswordHasher(  # one that is no work to check: how dear guessing is stands in the tests of the store
    time_cost=1, memory_cost=64, parallelism=1
).hash(PASSWORD)


class House:
    """A served control plane, its database, and a clock that tests may move."""

    def __init__(self, data: Path, database: Database) -> None:
        self.data = data
        self.database = database
        self.ahead = 0.0
        """Seconds by which the clock runs ahead."""
        self.port = 0
        self.woken: list[tuple[str, Entry]] = []
        """Which runs were told what by whoever decides."""
        self.front: Front

    def now(self) -> float:
        return time.time() + self.ahead

    @property
    def key(self) -> str:
        return operator_key(self.data)

    def member(self, role: Role, tenant: str = "default", email: str | None = None) -> Member:
        """A member of this role who can sign in with PASSWORD."""
        member = Member(tenant, f"m-{role}-{tenant}", f"The {role}", role, email or f"{role}@{tenant}.example")

        def work(connection: Connection) -> None:
            keep_member(connection, member, bump(connection, "rights"))
            keep_password(connection, tenant, member.id, _HASH)

        self.database.write(work)
        return member

    def tenant(self, name: str) -> None:
        self.database.write(lambda connection: _keep(connection, name))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One call on a connection of its own, with the operator's key; `key` None sends none."""
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key or self.key}"
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            return Answered(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def perform(self, name: str, order: Mapping[str, Any] | None = None, **how: Any) -> Answered:
        """One operation over HTTP."""
        operation = OPERATIONS[name]
        path = f"/api/v1/{name.replace('.', '/')}"
        if operation.changes:
            return self.call("POST", path, dict(order or {}), **how)
        query = urlencode(dict(order or {}), doseq=True)
        return self.call("GET", f"{path}?{query}" if query else path, **how)

    def browser(self, role: Role, tenant: str = "default") -> Browser:
        """A browser in which a member of this role is signed in."""
        member = self.member(role, tenant)
        browser = Browser(self)
        assert browser.sign_in(member.email or "", PASSWORD, tenant).status == 200
        return browser


class Browser:
    """Keeps a cookie and the token of the session, as a page of ours does."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cookie = ""
        self.csrf = ""

    def sign_in(self, email: str, password: str, tenant: str = "default") -> Answered:
        order = {"email": email, "password": password, "tenant": tenant}
        answer = self.house.call("POST", "/api/v1/session", order, key=None)
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = answer.json["csrf"]
        return answer

    def headers(self) -> dict[str, str]:
        return {"cookie": self.cookie, "x-csrf-token": self.csrf}

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answered:
        return self.house.call(method, path, body, key=None, headers={**self.headers(), **headers})

    def perform(self, name: str, order: Mapping[str, Any] | None = None) -> Answered:
        return self.house.perform(name, order, key=None, headers=self.headers())


def _keep(connection: Connection, name: str) -> None:
    if tenant_named(connection, name) is None:
        keep_tenant(connection, Tenant(name), bump(connection, "rights"))


def _doors(house: House) -> Doors:
    """What a node hands in."""
    keys = house.data / "keys"
    vault = Vault(house.database, keys, clock=house.now)
    vault.open()
    runs = Runs(vault, house.now)
    return Doors(
        runs=runs,
        bulks=Bulks(vault, runs, house.now),
        schedules=Schedules(vault),
        webhook_secret=lambda tenant: vault.subject(tenant, "*webhook").hex(),
        approvals=Approvals(vault, lambda _, run, entry: not house.woken.append((run, entry))),  # type: ignore[func-returns-value]
        models=lambda: ("auto", "premium"),
        publisher=Catalogs(house.data / "dirigent.yaml", Listings(), EnvironmentSecrets()),
        notary=Notary(house.database, AuditKey.within(keys), keys, clock=house.now),
    )


@contextmanager
def house(
    folder: Path,
    operations: Mapping[str, Operation[Any, Any]] = OPERATIONS,
    doors: Doors | None = None,
    url: str | None = None,
    **further: Any,
) -> Iterator[House]:
    """A house that is open; everything is in `folder`, but for a database at an address of its own."""
    database = Database.within(folder) if url is None else Database.at(url)
    database.write(metadata.create_all)  # the steps of the migrations lead to the same, in more time
    one = House(folder, database)
    database.write(lambda connection: bootstrap(connection, digest(b"dk-first"), 0, "dk-firs"))
    opened, closing = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        one.front = Front(database, folder, operations, doors or _doors(one), clock=one.now, **further)
        bridge = one.front.bridge

        def take(exchange: Exchange) -> Any:
            return bridge.answer(exchange)

        server = Server(take)
        one.port = await server.start()
        opened.set()
        await closing.wait()
        await server.drain(2.0)
        one.front.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    if not opened.wait(60):
        raise AssertionError("the house did not open")
    try:
        yield one
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join(60)
        loop.close()
        database.close()
