"""What governs a node: its store, the rights and the ledger that follow it, and the control plane that changes it.

Longer than 400 lines, because it is the one list of what a worker opens and closes with its store, in their order.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from time import time
from typing import Any

from dirigent.admin.folder import operator_key
from dirigent.admin.front import Front
from dirigent.admin.oidc import provider_within
from dirigent.conductor import Conductor
from dirigent.control import OPERATIONS, Doors
from dirigent.control.desk import Publisher
from dirigent.control.live import LiveEvents
from dirigent.core.aliases import Alias
from dirigent.core.allowances import stop
from dirigent.core.errors import DirigentError
from dirigent.core.journal import Asked, Cancelled, Ended, Submission
from dirigent.core.observations import BreakerClosed, BreakerOpened, Happening, RevisionTaken, RowsDropped
from dirigent.core.ports import Http, Observer, Secrets
from dirigent.core.rules import Rules
from dirigent.gateway.app import Gateway
from dirigent.gateway.auth import Keys, digest
from dirigent.gateway.wire import Exchange
from dirigent.memory import MemoryVitals
from dirigent.memory.rights import FollowedRights
from dirigent.models.deployment import Deployment
from dirigent.server.alarms import Alarms, Channels, mailer_within
from dirigent.server.attending import Attending
from dirigent.server.folder import first_key, node_name
from dirigent.server.gauges import Queue, gauges
from dirigent.server.outside import notifier
from dirigent.server.reports import Reports
from dirigent.server.tracing import answerer_in, tracing
from dirigent.settings import Settings
from dirigent.store import Database
from dirigent.store.aliases import aliases
from dirigent.store.approvals import Approvals
from dirigent.store.archive import Archive
from dirigent.store.beginning import DEFAULT, bootstrap
from dirigent.store.bulks import Bulks
from dirigent.store.database import Connection
from dirigent.store.deliveries import deliver_asked, deliver_end
from dirigent.store.denials import Denials
from dirigent.store.files import StoredFiles
from dirigent.store.happenings import Happenings
from dirigent.store.journal import TOPIC, StoredJournal
from dirigent.store.journal_keeping import RunKeeping
from dirigent.store.ledger import LeasedLedger
from dirigent.store.nodes import leave, report
from dirigent.store.notary import AuditKey, Notary, trusted_keys
from dirigent.store.pulse import Pulse
from dirigent.store.records import Records
from dirigent.store.revisions import Publication, document_of, head, revision_like, take_file
from dirigent.store.rights import rules_since
from dirigent.store.runs import Runs
from dirigent.store.schedules import Schedules
from dirigent.store.vault import KeyLost
from dirigent.store.walks import Walks
from dirigent.telemetry.conventions import Answerer
from dirigent.telemetry.metrics import Metrics
from dirigent.telemetry.several import Several

__all__ = ["Governance"]

_log = logging.getLogger("dirigent.server")
_METRICS = "/metrics"
_HERE = ("127.0.0.1", "::1")
_COUNTED_EVERY = 5.0
_OWN_CHANGE = 5.0
"""Seconds that an operation waits at most until this worker goes by what it has changed."""
_LIFE = 1_860.0
"""Seconds after which a reservation is presumed spent: no run lasts longer, and a minute."""


class _Rights(FollowedRights):
    """Rights that tell when they change."""

    def __init__(self, load: Callable[[int], Awaitable[Rules]]) -> None:
        super().__init__(load)
        self.changed: Callable[[Rules], None] = lambda _: None

    def take(self, rules: Rules) -> None:
        super().take(rules)
        self.changed(rules)


class Governance:
    """The store of one worker, and all that follows it."""

    def __init__(  # noqa: PLR0915  each statement puts one part in its place
        self,
        settings: Settings,
        database: Database,
        log: Observer,
        publisher: Publisher,
        http: Http,
        *,
        secrets: Secrets,
    ) -> None:
        """Begins the database where it is new; it has the present schema. Raises DatabaseGone."""
        self.database = database
        self.node = node_name(settings.data)
        self._worker = str(os.getpid())
        self._conductor: Conductor | None = None
        self._published: Callable[[], None] = lambda: None
        self.runs_moved: Callable[[], None] = lambda: None
        """Called on any thread when runs may have become ready, or were told to end."""
        key = first_key(settings.data)
        self.database.write(lambda connection: bootstrap(connection, digest(key.encode()), _now(), key[:7]))
        self.rights = _Rights(lambda since: self.database.reading(partial(rules_since, since=since, now=_now())))
        self._records = Records(self.database, settings.data / "spool")
        self.vitals = MemoryVitals(self._rests)
        """How each deployment has been doing at this worker."""
        self.metrics = Metrics(
            settings.data / "metrics",
            models=self._names,
            provider_of=self._provider_of,
            gauges=gauges(
                self.database,
                resting=self.vitals.resting,
                queues=self._queues,
                untraced=lambda: self.tracer.dropped if self.tracer is not None else 0,
            ),
        )
        self._denials = Denials(
            self.database, settings.data / "spool", policy=lambda: str(max(0, self.rights.book.sequence))
        )
        self._happenings = Happenings(self.database, settings.data / "spool")
        self._walks = Walks(self.database, settings.data / "spool")
        self.observer = Several(log, self._records, self.metrics, self._denials, self._happenings, self._walks)
        """Who hears of every run: the log, the records, the metrics, the audit of refusals, and who watches."""
        self.ledger = LeasedLedger(
            self.database, settings.data / "ledger", self.observer, node=self.node, rates=self.rights.rate, life=_LIFE
        )
        keys = settings.data / "keys"
        self.archive = Archive(self.database, keys, settings.data / "spool")
        signing = AuditKey.within(keys)
        vault = self.archive.vault
        self._runs = Runs(vault, news=self._runs_moved)
        self._approvals = Approvals(vault, self._runs.wake)
        self.journal = StoredJournal(self.database, vault, asked=self._asked, over=self._over)
        self.files = StoredFiles(self.database, vault)
        self._keeping = RunKeeping(self.database)
        self._notary = Notary(self.database, signing, keys, trusted=list(trusted_keys(keys).values()))
        doors = Doors(
            models=self._models,
            aliases=self._aliases,
            deployments=self._deployments,
            publisher=publisher,
            notary=self._notary,
            archive=self.archive,
            approvals=self._approvals,
            runs=self._runs,
            bulks=Bulks(vault, self._runs),
            schedules=Schedules(vault),
            webhook_secret=lambda tenant: vault.subject(tenant, "*webhook").hex(),
            reached=lambda number: self.rights.reached(number, _OWN_CHANGE),
        )
        provider = provider_within(settings.data, http)
        self._operator = operator_key(settings.data)
        live = LiveEvents(self.database)
        self.front = Front(self.database, settings.data, OPERATIONS, doors, live=live, provider=provider)
        self._pulse = Pulse(self.database)
        hooks, post = notifier(settings), mailer_within(settings.data, secrets, settings.ca_file)
        self._carrier = Channels(self.database, secrets, settings.data / "secrets", hooks=hooks, mailer=post)
        holder = f"{self.node}/{self._worker}"
        self.alarms = Alarms(self.database, holder, self._carrier, providers=self._providers, notary=self._notary)
        """Who looks after the rules of alerts."""
        self._reports = Reports(self.database, settings.data, self._deployments)
        self.tracer = tracing(self.node, self._answerer)
        """Who makes traces; None where nobody asked for any."""
        self.address = ""
        """Where this node is reached, once it is."""
        self.attending = Attending(self.database, doors, post, lambda: settings.public_url or self.address, hooks=hooks)
        """Who looks after what is due: questions to people, bulk runs and schedules."""
        self._lost: dict[str, int] = {}
        self._endings: set[asyncio.Future[bool]] = set()

    def _asked(self, connection: Connection, submission: Submission, asked: Asked) -> None:
        """What else is written down when a run asks people."""
        now = _now()
        self._approvals.keep(connection, submission, asked, now)
        deliver_asked(connection, submission, asked.approval, None if asked.due is None else int(asked.due * 1000), now)

    def _over(self, connection: Connection, run: str, ended: Ended) -> None:
        """What else is written down when a run is over."""
        now = _now()
        self._approvals.withdraw(connection, run, now)
        deliver_end(connection, run, ended, now)

    def take_file(self, document: Mapping[str, Any]) -> tuple[Publication, Mapping[str, Any]]:
        """What is published once the node's file was taken into account, with its document."""

        def work(connection: Any) -> tuple[Publication, Mapping[str, Any]]:
            made, taken = take_file(connection, DEFAULT, self.node, document, _now())
            return made, document if taken else document_of(connection, DEFAULT, made.revision)

        return self.database.write(work)

    def present(self) -> tuple[Publication, Mapping[str, Any]] | None:
        """What is published now, with its document."""

        def work(connection: Any) -> tuple[Publication, Mapping[str, Any]] | None:
            found = head(connection, DEFAULT)
            return None if found is None else (found, document_of(connection, DEFAULT, found.revision))

        return self.database.read(work)

    def revision(self, letters: str) -> tuple[str, Mapping[str, Any]]:
        """The revision whose name begins so, with its document. Raises UnknownRevision."""

        def work(connection: Any) -> tuple[str, Mapping[str, Any]]:
            found = revision_like(connection, DEFAULT, letters)
            return found, document_of(connection, DEFAULT, found)

        return self.database.read(work)

    def aliases(self) -> Mapping[str, Alias]:
        """The names that point at models of the catalog; they are everybody's, as the catalog is."""
        found = self.database.read(lambda connection: aliases(connection, DEFAULT))
        return {alias.name: alias for alias in found}

    async def report(self, publication: Publication) -> None:
        """Tells the others what this worker serves."""
        number, revision = publication.number, publication.revision
        await self.database.writing(
            lambda connection: report(connection, DEFAULT, self.node, self._worker, number=number, revision=revision)
        )

    def _rests(self, deployment: str, failures: int, seconds: float) -> None:
        """Tells those who watch that a deployment begins to rest at this worker, or no longer does."""
        node, worker = self.node, self._worker
        if seconds:
            told: Happening = BreakerOpened(
                tenant=DEFAULT, node=node, worker=worker, deployment=deployment, failures=failures, rests=seconds
            )
        else:
            told = BreakerClosed(tenant=DEFAULT, node=node, worker=worker, deployment=deployment)
        self.observer.observe(told)

    def taken(self, publication: Publication) -> None:
        """Tells those who watch that this worker serves by another revision now."""
        number, revision = publication.number, publication.revision
        self.observer.observe(
            RevisionTaken(tenant=DEFAULT, node=self.node, worker=self._worker, revision=revision, number=number)
        )

    def owns(self, path: str) -> bool:
        """Whether a path is the control plane's, or that of the metrics."""
        return path == _METRICS or self.front.owns(path)

    def answer(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answers a request to the control plane."""
        return self._scraped(exchange) if exchange.path == _METRICS else self.front.bridge.answer(exchange)

    async def _scraped(self, exchange: Exchange) -> None:
        """The metrics of all workers, for whoever is on this machine or has the operator's key."""
        given = exchange.headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if exchange.peer not in _HERE and not compare_digest(given, self._operator.encode()):
            words = b"from another machine this takes the operator's key, as `authorization: Bearer KEY`\n"
            exchange.respond(401, [("content-type", "text/plain; charset=utf-8")], words)
            return
        text = await asyncio.to_thread(self.metrics.text)
        exchange.respond(200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], text.encode())

    async def start(self, conductor: Conductor, gateway: Gateway, published: Callable[[], None]) -> None:
        """Loads the rights, opens the books, and listens for changes; `published` hears of new catalogs."""
        self._conductor = conductor
        self._published = published
        self.rights.changed = partial(self._changed, gateway)
        with suppress(KeyLost):  # a node without the keys serves all the same, and leaves runs to others
            await asyncio.to_thread(self.archive.vault.open)
        await self.rights.start()
        await self.ledger.start()
        self._records.start()
        self._denials.start()
        self.archive.start()
        self._happenings.start()
        self._walks.start()
        self.journal.start()
        if self.tracer is not None:
            self.tracer.start()
        self._keeping.start()
        self.metrics.start()
        self._notary.start()
        self._pulse.start(self._told)

    async def watch(self, beside: Coroutine[Any, Any, None]) -> None:
        """Looks after alerts, reports and its own queues, beside something else, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(beside)
            tasks.create_task(self.alarms.run())
            tasks.create_task(self._reports.run())
            tasks.create_task(self._count_losses())

    async def _count_losses(self) -> None:
        """Tells those who watch of rows that were lost on their way into the database."""
        while True:
            for outbox in self._queues():
                lost = outbox.dropped + outbox.refused
                fresh, self._lost[outbox.name] = lost - self._lost.get(outbox.name, 0), lost
                if fresh:
                    node, worker = self.node, self._worker
                    self.observer.observe(
                        RowsDropped(tenant=DEFAULT, node=node, worker=worker, outbox=outbox.name, rows=fresh)
                    )
            await asyncio.sleep(_COUNTED_EVERY)

    async def close(self) -> None:
        """Settles what is open and says good-bye."""
        self._pulse.close()
        self._carrier.close()
        await self.rights.close()
        await self.ledger.close()
        try:
            await self.database.writing(lambda connection: leave(connection, DEFAULT, self.node, self._worker))
        except DirigentError as gone:
            _log.warning("the others will notice that this node has stopped: %s", gone.message)
        for part in (
            self.journal,
            self._keeping,
            self._walks,
            self._denials,
            self.archive,
            self._notary,
            self.front,
            self._records,
            self._happenings,
            self.metrics,
        ):
            await asyncio.to_thread(part.close)
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        self.database.close()

    def _models(self) -> Sequence[str]:
        return () if self._conductor is None else tuple(self._conductor.catalog.models)

    def _aliases(self) -> Mapping[str, str]:
        return {} if self._conductor is None else {each.name: each.model for each in self._conductor.aliases.values()}

    def _names(self) -> Collection[str]:
        """All names by which callers ask."""
        conductor = self._conductor
        return () if conductor is None else {*conductor.catalog.models, *conductor.aliases}

    def _queues(self) -> Sequence[Queue]:
        """What is on its way into the database."""
        return [part.outbox for part in (self._records, self._walks, self._happenings, self._denials, self.archive)]

    def _answerer(self, name: str) -> Answerer | None:
        """Who serves a deployment, as traces name it."""
        return None if self._conductor is None else answerer_in(self._conductor.catalog, name)

    def _deployments(self) -> Mapping[str, tuple[str, str]]:
        """The provider of each deployment, and how it calls the model."""
        models = {} if self._conductor is None else self._conductor.catalog.models
        return {name: (each.provider, each.name) for name, each in models.items() if isinstance(each, Deployment)}

    def _providers(self) -> Mapping[str, str]:
        """The provider of each deployment."""
        return {name: provider for name, (provider, _) in self._deployments().items()}

    def _provider_of(self, name: str) -> str | None:
        """Who serves the deployment of this name."""
        model = None if self._conductor is None else self._conductor.catalog.models.get(name)
        return model.provider if isinstance(model, Deployment) else None

    def _changed(self, gateway: Gateway, rules: Rules) -> None:
        """Lets changed rules count for those too who were let in under the old ones."""
        gateway.admit(Keys(self.rights))
        allowances = [rule.allowance for rule in rules.allowances if not rule.removed]
        self.ledger.learn(allowances)
        of_runs = None if self._conductor is None else self._conductor.ports.allotments
        if of_runs is not None:
            of_runs.learn(allowances)
        for allowance in allowances:
            if allowance.stopped:
                alone = () if of_runs is None else of_runs.running(allowance.id)
                for run in (*self.ledger.running(allowance.id), *alone):
                    gateway.cut(run, stop(allowance))
                    self._end_run(run, stop(allowance).message)

    def _end_run(self, run: str, why: str) -> None:
        """Ends a durable run, whoever waits for it; any other one is over with its caller's answer."""
        engine = None if self._conductor is None else self._conductor.ports.engine
        if engine is None:
            return
        ending = asyncio.ensure_future(engine.wake(run, Cancelled(at=time(), by="budget", reason=why)))
        self._endings.add(ending)  # a task that nobody holds may be gone before it is done
        ending.add_done_callback(self._endings.discard)

    def _runs_moved(self) -> None:
        self.runs_moved()  # whoever that is by then

    def _told(self, topics: frozenset[str]) -> None:
        """Called by the pulse, on its own thread."""
        if "rights" in topics:
            self.rights.told()
        if "ledger" in topics:
            self.ledger.look()
        if "vault" in topics:
            self.archive.refresh()
            self.journal.refresh()
        if "catalog" in topics:
            self._published()
        if TOPIC in topics:
            self.runs_moved()


def _now() -> int:
    return int(time() * 1000)
