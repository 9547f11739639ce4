"""What stands at a value on this node, read when metrics are asked for: rests, queues, budgets, open alerts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from dirigent.core.allowances import share_of
from dirigent.store.alerts import alerts
from dirigent.store.allowances import allowances
from dirigent.store.database import Connection, Database, DatabaseGone
from dirigent.store.ledger import standings
from dirigent.store.people import tenants
from dirigent.telemetry.metrics import Gauge, Labels

__all__ = ["Queue", "gauges"]

_SHOWN = frozenset({"tenant", "project", "purpose", "model"})
"""Levels whose budgets are shown; of keys and members there may be any number."""
_FRESH = 10.0
"""Seconds for which what was read of the database is shown again."""
Values = Iterable[tuple[Labels, float]]


class Queue(Protocol):
    """What an outbox tells of itself."""

    @property
    def name(self) -> str: ...
    @property
    def waiting(self) -> int: ...
    @property
    def spooled(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def refused(self) -> int: ...


def gauges(
    database: Database,
    *,
    resting: Callable[[], Sequence[str]],
    queues: Callable[[], Sequence[Queue]],
    untraced: Callable[[], int],
) -> tuple[Gauge, ...]:
    """All of them: `resting` are the deployments that rest at this worker, `untraced` how many traces were lost."""
    budgets = _Remembered(database, _budgets)
    raised = _Remembered(database, _raised)
    return (
        Gauge.named(
            "dirigent_deployment_resting",
            "1 while a worker of this node asks a deployment no more, because it keeps failing.",
            ("deployment",),
            lambda: [((name,), 1.0) for name in resting()],
            workers="max",
        ),
        Gauge.named(
            "dirigent_outbox_waiting_rows",
            "Rows in memory on their way into the database.",
            ("outbox",),
            lambda: [((each.name,), float(each.waiting)) for each in queues()],
        ),
        Gauge.named(
            "dirigent_outbox_spooled_bytes",
            "Bytes that wait in files while the database is away.",
            ("outbox",),
            lambda: [((each.name,), float(each.spooled)) for each in queues()],
        ),
        Gauge.named(
            "dirigent_outbox_lost_rows_total",
            "Rows that were lost on their way into the database.",
            ("outbox",),
            lambda: [((each.name,), float(each.dropped + each.refused)) for each in queues()],
        ),
        Gauge.named(
            "dirigent_traces_lost_total",
            "Requests of which no trace could be sent.",
            (),
            lambda: [((), float(untraced()))],
        ),
        Gauge.named(
            "dirigent_budget_used_ratio",
            "How much of a budget is used up in its present window, on all nodes together.",
            ("tenant", "level", "subject", "window"),
            budgets,
            workers="max",
        ),
        Gauge.named(
            "dirigent_alerts_open",
            "Alerts that have not passed, on all nodes together.",
            ("tenant", "severity"),
            raised,
            workers="max",
        ),
    )


class _Remembered:
    """Reads of the database once in a while, however often it is asked."""

    def __init__(self, database: Database, read: Callable[[Connection], Values]) -> None:
        self._database = database
        self._read = read
        self._known: Values = ()
        self._at: float | None = None

    def __call__(self) -> Values:
        now = time.monotonic()
        if self._at is None or now - self._at >= _FRESH:
            self._at = now
            try:
                self._known = self._database.read(lambda connection: tuple(self._read(connection)))
            except DatabaseGone:
                self._known = ()
        return self._known


def _budgets(connection: Connection) -> Values:
    for tenant in tenants(connection):
        shown = [each for each in allowances(connection, tenant.name, units=("money",)) if each.level in _SHOWN]
        stand = standings(connection, shown, time.time())
        for each in shown:
            yield (tenant.name, each.level, each.subject, each.window), share_of(stand[each.id])


def _raised(connection: Connection) -> Values:
    found: Counter[tuple[Any, ...]] = Counter()
    for tenant in tenants(connection):
        for alert in alerts(connection, tenant.name, still=True, limit=10_000):
            found[tenant.name, alert.severity] += 1
    return [(labels, float(many)) for labels, many in found.items()]
