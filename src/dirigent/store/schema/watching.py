"""What is told live, the rules that raise alerts, the alerts themselves, and who of all nodes looks after them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text

from dirigent.store.schema.tables import metadata

__all__ = ["alert_deliveries", "alert_rules", "alerts", "duties", "happenings", "resting"]

happenings = Table(
    "happenings",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("mark", Text, unique=True),
    Column("event", Text, nullable=False),
)
Index("happenings_by_tenant_seq", happenings.c.tenant, happenings.c.seq)

resting = Table(
    "resting",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("deployment", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
)

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("raised", BigInteger, nullable=False),
    Column("resolved", BigInteger),
)
Index("alerts_by_tenant_raised", alerts.c.tenant, alerts.c.raised)
_open = text("resolved IS NULL")
Index(
    "alerts_one_open",
    alerts.c.tenant,
    alerts.c.rule,
    alerts.c.about,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("alert", Text),
    Column("channel", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    # When it is to be tried next; None once it has arrived or was given up.
    Column("due", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("delivered", BigInteger),
    Column("fault", Text),
)
_waiting = text("due IS NOT NULL")
Index("alert_deliveries_due", alert_deliveries.c.due, sqlite_where=_waiting, postgresql_where=_waiting)
Index("alert_deliveries_by_alert", alert_deliveries.c.alert)
Index("alert_deliveries_by_made", alert_deliveries.c.made)

duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)
