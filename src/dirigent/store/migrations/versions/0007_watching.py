"""What is told live, alerts with their rules, and what one node at a time does for all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_watching"
down_revision = "0006_approvals"


def upgrade() -> None:
    op.create_table(
        "happenings",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, unique=True),
        sa.Column("event", sa.Text, nullable=False),
    )
    op.create_index("happenings_by_tenant_seq", "happenings", ["tenant", "seq"])
    op.create_table(
        "resting",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "node", "worker", "deployment")),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    _alerts()
    op.create_table(
        "duties",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def _alerts() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "rule", "about", "severity", "words")),
        sa.Column("raised", sa.BigInteger, nullable=False),
        sa.Column("resolved", sa.BigInteger),
    )
    op.create_index("alerts_by_tenant_raised", "alerts", ["tenant", "raised"])
    still = sa.text("resolved IS NULL")
    op.create_index(
        "alerts_one_open",
        "alerts",
        ["tenant", "rule", "about"],
        unique=True,
        sqlite_where=still,
        postgresql_where=still,
    )
    op.create_table(
        "alert_deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "rule")),
        sa.Column("alert", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("channel", "target", "body")),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("delivered", sa.BigInteger),
        sa.Column("fault", sa.Text),
    )
    waiting = sa.text("due IS NOT NULL")
    op.create_index("alert_deliveries_due", "alert_deliveries", ["due"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("alert_deliveries_by_alert", "alert_deliveries", ["alert"])
    op.create_index("alert_deliveries_by_made", "alert_deliveries", ["made"])


def downgrade() -> None:
    for table in ("duties", "alert_deliveries", "alerts", "alert_rules", "resting", "happenings"):
        op.drop_table(table)
