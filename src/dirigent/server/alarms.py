"""Who looks after the rules of alerts: one worker of all nodes, and within seconds the next once that one is gone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

import msgspec

from dirigent.control.watching import Change, Sight, apply, changes
from dirigent.core.alerts import signature
from dirigent.core.errors import DirigentError, Misconfigured
from dirigent.core.ports import Secret, Secrets
from dirigent.net import Fetcher
from dirigent.store import alerts, duties
from dirigent.store.alerts import Delivery
from dirigent.store.audit import verified
from dirigent.store.database import Connection, Database, DatabaseGone
from dirigent.store.notary import Notary

__all__ = ["Alarms", "Carrier", "Channels", "Post", "mailer_within"]

_log = logging.getLogger("dirigent.alerts")
_DUTY = "alerts"
_LIFE = 5_000
"""Milliseconds for which a worker has the duty without renewing it: so long at most nobody looks after its death."""
_RENEWED = 1.5
"""Seconds between two times that the duty is renewed, or asked for."""
_EVERY = 2.0
"""Seconds between two looks at all rules."""
_SENT_EVERY = 0.25
_AT_ONCE = 20
"""Messages that are on their way at the same time."""
_TIDIED = 3_600.0


class Post(Protocol):
    """Who hands a message to a mail server (net.mail.Mailer)."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Returns once the server has taken it. Raises DirigentError."""
        ...

    def close(self) -> None:
        """Sends nothing more."""
        ...


class Carrier(Protocol):
    """Who brings a message to its end."""

    async def carry(self, delivery: Delivery) -> None:
        """Returns once the message has arrived. Raises DirigentError in words without any secret."""
        ...

    def close(self) -> None:
        """Carries nothing more."""
        ...


class Channels:
    """Carries messages by signed webhook and by e-mail."""

    def __init__(
        self,
        database: Database,
        secrets: Secrets,
        folder: Path,
        *,
        hooks: Fetcher | None,
        mailer: Post | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`folder` is where the files with secrets are that rules name."""
        self._database = database
        self._secrets = secrets
        self._folder = folder
        self._hooks = hooks
        self._mailer = mailer
        self._clock = clock

    async def carry(self, delivery: Delivery) -> None:
        """Sends it. Raises DirigentError."""
        await (self._post(delivery) if delivery.channel == "webhook" else self._mail(delivery))

    def close(self) -> None:
        """Breaks off what is still going out."""
        if self._hooks is not None:
            self._hooks.close()
        if self._mailer is not None:
            self._mailer.close()

    async def _post(self, delivery: Delivery) -> None:
        if self._hooks is None:
            raise Misconfigured("the operator of this node lets no webhook be called (DIRIGENT_NOTIFY=off)")
        rule = await self._database.reading(partial(alerts.rule_named, tenant=delivery.tenant, name=delivery.rule))
        if rule is None or rule.webhook is None:
            raise Misconfigured("the rule has no webhook any more")
        secret = self._revealed(rule.webhook.secret)
        body, now = delivery.body.encode(), int(self._clock())
        headers = (
            ("content-type", "application/json"),
            ("x-dirigent-delivery", delivery.id),
            ("x-dirigent-timestamp", str(now)),
            ("x-dirigent-signature", f"v1={signature(secret, now, body)}"),
        )
        await self._hooks.post(delivery.target, headers, body)

    async def _mail(self, delivery: Delivery) -> None:
        if self._mailer is None:
            raise Misconfigured("this node knows no mail server: write mail.json into its data folder")
        said = msgspec.json.decode(delivery.body)
        subject = f"[dirigent] {said['severity']} {said['event']}: {said['rule']}"
        text = "\n".join(f"{name + ':':<10} {value}" for name, value in said.items() if value is not None)
        await self._mailer.send(delivery.target, subject, f"{said['words']}\n\n{text}\n")

    def _revealed(self, secret: Secret) -> str:
        found = secret if secret.file is None else Secret(file=str(self._folder / secret.file))
        revealed = self._secrets.reveal(found)
        if revealed is None:
            where = f"the variable {secret.env}" if secret.env else f"the file {secret.file} in the folder secrets"
            raise Misconfigured(f"the secret that requests are signed with is missing on this node: {where}")
        return revealed


class Alarms:
    """Looks at the rules and sends what they raise, for as long as this worker has the duty."""

    def __init__(
        self,
        database: Database,
        holder: str,
        carrier: Carrier,
        *,
        providers: Callable[[], Mapping[str, str]],
        notary: Notary | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._holder = holder
        self._carrier = carrier
        self._providers = providers
        self._notary = notary
        self._clock = clock
        self._mine = asyncio.Event()
        self._verified: dict[str, float] = {}
        self._broken: dict[str, str] = {}

    @property
    def on_duty(self) -> bool:
        """Whether this worker looks after the rules of all nodes now."""
        return self._mine.is_set()

    async def run(self) -> None:
        """Looks and sends until it is cancelled; then another worker has the duty at once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again_and_again(self._renew, _RENEWED))
                for work, pause in (
                    (self._look, _EVERY),
                    (self._send, _SENT_EVERY),
                    (self._verify, _EVERY),
                    (self._tidy, _TIDIED),
                ):
                    tasks.create_task(self._again_and_again(partial(self._on_duty, work), pause))
        finally:
            with suppress(DirigentError):
                await self._database.writing(partial(duties.give_up, duty=_DUTY, holder=self._holder))

    async def _again_and_again(self, work: Callable[[], Awaitable[object]], pause: float) -> None:
        while True:
            try:
                await work()
            except DatabaseGone:
                self._leave()  # which says so itself
            except Exception:  # noqa: BLE001  a fault of ours here must not end what serves
                _log.exception("the rules of alerts could not be looked after; trying on")
            await asyncio.sleep(pause)

    async def _on_duty(self, work: Callable[[], Awaitable[object]]) -> None:
        """Does it once this worker has the duty."""
        await self._mine.wait()
        await work()

    async def _renew(self) -> None:
        mine, rules = False, await self._database.reading(alerts.any_rules)
        if rules:
            mine = await self._database.writing(partial(duties.take, duty=_DUTY, holder=self._holder, life=_LIFE))
        if mine is not self._mine.is_set():
            _log.info("this worker %s after the alerts", "looks" if mine else "no longer looks")
        (self._mine.set if mine else self._leave)()
        if not rules:
            await asyncio.sleep(_RENEWED)  # there is no duty, and who makes the first rule has a little time

    def _leave(self) -> None:
        """Somebody else may look now; what was found here counts no more."""
        self._mine.clear()
        self._verified.clear()
        self._broken.clear()

    async def _look(self) -> None:
        if not self._mine.is_set():
            return
        sight = Sight(self._providers, dict(self._broken))
        for tenant in await self._database.reading(alerts.watched):
            now = self._now()
            found = await self._database.reading(partial(changes, tenant=tenant, now=now, sight=sight))
            if found:
                await self._database.writing(partial(self._apply, found=found, now=now))

    def _apply(self, connection: Connection, found: Sequence[Change], now: int) -> int:
        """Writes what has changed, unless somebody else has taken over the duty meanwhile."""
        return apply(connection, found, now) if duties.has(connection, _DUTY, self._holder) else 0

    async def _send(self) -> None:
        if not self._mine.is_set():
            return
        if not await self._database.reading(partial(alerts.any_due, now=self._now())):
            return
        async with asyncio.TaskGroup() as tasks:
            for delivery in await self._database.writing(self._claim):
                tasks.create_task(self._carry(delivery))

    def _claim(self, connection: Connection) -> Sequence[Delivery]:
        if not duties.has(connection, _DUTY, self._holder):
            return ()
        return alerts.claim(connection, self._now(), _AT_ONCE)

    async def _carry(self, delivery: Delivery) -> None:
        try:
            await self._carrier.carry(delivery)
        except DirigentError as error:
            _log.warning("an alert of the rule %s could not be sent by %s: %s", delivery.rule, delivery.channel, error)
            fault = error.message
            await self._database.writing(partial(alerts.failed, delivery=delivery, fault=fault, now=self._now()))
        else:
            await self._database.writing(partial(alerts.arrived, delivery=delivery, now=self._now()))

    async def _verify(self) -> None:
        """Looks at the chains of those who have a rule about theirs: long ones take a while, and nothing waits."""
        if not self._mine.is_set():
            return
        for tenant in await self._database.reading(alerts.watched):
            found = await self._database.reading(partial(alerts.rules, tenant=tenant))
            windows = [rule.window for rule in found if rule.kind == "audit"]
            if not windows:
                self._broken.pop(tenant, None)
                continue
            now = self._clock()
            if now - self._verified.get(tenant, 0.0) < min(windows) / 1000:
                continue
            self._verified[tenant] = now
            fault = await self._database.reading(partial(self._fault_of, tenant=tenant))
            if fault is None:
                self._broken.pop(tenant, None)
            else:
                self._broken[tenant] = fault

    def _fault_of(self, connection: Connection, tenant: str) -> str | None:
        notary = self._notary
        verdict = verified(
            connection,
            tenant,
            trusted=sorted(notary.trusted) if notary is not None else (),
            anchors=notary.anchors(tenant) if notary is not None else (),
        )
        return None if verdict.ok else next((fault.words for fault in verdict.faults), "nobody vouches for it")

    async def _tidy(self) -> None:
        if self._mine.is_set():
            await self._database.writing(partial(alerts.prune, now=self._now()))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def mailer_within(data: Path, secrets: Secrets, authorities: Path | None = None) -> Post | None:
    """The mail server that the data folder's file `mail.json` names; None where there is no such file.

    Raises DirigentError where the file cannot be read, without repeating what is in it.
    """
    file = data / "mail.json"
    if not file.exists():
        return None
    mail = import_module("dirigent.net.mail")  # the library is large, and most nodes send none
    try:
        server = msgspec.json.decode(file.read_bytes(), type=mail.MailServer)
    except OSError as fault:
        raise DirigentError(f"{file} cannot be read: {fault.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise DirigentError(f"{file} is not as it should be: {fault}") from None
    made: Post = mail.Mailer(server, secrets.reveal, authorities=authorities)
    return made
