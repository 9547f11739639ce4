"""What a node writes down every night: what was booked on the days before, and how that agrees with invoices."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from dirigent.control.invoices import Difference, written
from dirigent.control.reconciling import InvoiceOrder, booked_within, reconciled
from dirigent.core.errors import DirigentError
from dirigent.store.database import Connection, Database
from dirigent.store.people import tenants
from dirigent.store.usage import DAY, Question

__all__ = ["Reports"]

_log = logging.getLogger("dirigent.server")
_SETTLED = timedelta(minutes=10)
"""How long after midnight a day is written down: by then its last records are in the database."""
_DAYS = 7
"""How many of the days before are written down where the node was away at midnight."""
_LOOK_EVERY = 60.0


class Reports:
    """Writes `DATA/reports/TENANT/DAY.csv` for each day that saw a request, and a comparison for each invoice.

    An invoice is a file `DATA/invoices/TENANT/NAME.csv` with the columns that `usage reconcile` reads; its comparison
    is `DATA/reports/TENANT/NAME.compared.csv`, written again every night. Of several workers of a node one writes.
    """

    def __init__(
        self,
        database: Database,
        data: Path,
        deployments: Callable[[], Mapping[str, tuple[str, str]]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._data = data
        self._deployments = deployments
        self._clock = clock
        self._done: date | None = None

    async def run(self) -> None:
        """Looks once a minute whether a day is over, until it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.catch_up)
            except DirigentError:
                pass  # the database is away, and says so itself
            except Exception:  # noqa: BLE001  a fault of ours here must not end what serves
                _log.exception("the report of the day could not be written")
            await asyncio.sleep(_LOOK_EVERY)

    def catch_up(self) -> None:
        """Writes what is missing. Raises DatabaseGone, OSError."""
        today = (datetime.fromtimestamp(self._clock(), UTC) - _SETTLED).date()
        if self._done == today:
            return
        for tenant in self._database.read(tenants):
            folder = self._data / "reports" / tenant.name
            for back in range(1, _DAYS + 1):
                day = today - timedelta(days=back)
                file = folder / f"{day.isoformat()}.csv"
                if not file.exists():
                    booked = self._database.read(partial(self._booked, tenant=tenant.name, day=day))
                    if booked:
                        _write(file, written(booked))
            for invoice in sorted((self._data / "invoices" / tenant.name).glob("*.csv")):
                self._compare(tenant.name, invoice, folder / f"{invoice.stem}.compared.csv", today)
        self._done = today

    def _booked(self, connection: Connection, tenant: str, day: date) -> Sequence[Difference]:
        since = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        question = Question(tenant, since, since + DAY, int(self._clock() * 1000))
        booked = booked_within(connection, question, self._deployments())
        return [
            Difference(day, model, currency, None, side, "") for (day, model, currency), side in sorted(booked.items())
        ]

    def _compare(self, tenant: str, invoice: Path, file: Path, today: date) -> None:
        if file.exists():
            made = file.stat().st_mtime
            if made >= invoice.stat().st_mtime and datetime.fromtimestamp(made, UTC).date() >= today:
                return  # another worker has been here
        try:
            order = InvoiceOrder(invoice.read_text(encoding="utf-8-sig"))
            found = self._database.read(
                partial(
                    reconciled,
                    tenant=tenant,
                    now=int(self._clock() * 1000),
                    order=order,
                    deployments=self._deployments(),
                )
            )
        except (DirigentError, OSError, UnicodeDecodeError) as fault:
            _log.warning("the invoice %s could not be compared: %s", invoice, fault)
            return
        _write(file, written(found))


def _write(file: Path, text: str) -> None:
    """Writes a file at once, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)
