"""Every table, in one description that both databases are made from and that the migrations are held against.

Times are milliseconds since 1970 in UTC, money is nano-units, and lists and objects are JSON in text: so each row reads
the same on both databases.
"""

from dirigent.store.schema import (
    approvals,
    audit,
    bodies,
    bulks,
    knowledge,
    ledger,
    people,
    records,
    revisions,
    runs,
    schedules,
    watching,
)
from dirigent.store.schema.tables import metadata

__all__ = [
    "approvals",
    "audit",
    "bodies",
    "bulks",
    "knowledge",
    "ledger",
    "metadata",
    "people",
    "records",
    "revisions",
    "runs",
    "schedules",
    "watching",
]
