"""What allowances have booked, and what nodes have leased of them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, Text

revision = "0002_ledger"
down_revision = "0001_people"


def upgrade() -> None:
    op.create_table(
        "ledger_holders",
        Column("id", Text, primary_key=True),
        Column("node", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("over", Integer, nullable=False),
        Column("seen", BigInteger, nullable=False),
        Column("posted", BigInteger, nullable=False),
        Column("flushed", BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_windows",
        Column("id", Text, primary_key=True),
        Column("tenant", Text, nullable=False),
        Column("allowance", Text, nullable=False),
        Column("unit", Text, nullable=False),
        Column("span", Text, nullable=False),
        Column("starts", BigInteger, nullable=False),
        Column("ends", BigInteger),
        Column("most", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("booked", BigInteger, nullable=False),
        Column("presumed", BigInteger, nullable=False),
        Column("overrun", BigInteger, nullable=False),
        Column("leased", BigInteger, nullable=False),
        Column("wanted", BigInteger, nullable=False),
        Column("scarce", BigInteger, nullable=False),
        CheckConstraint("booked >= 0 AND presumed >= 0 AND overrun >= 0 AND leased >= 0", name="counts"),
    )
    op.create_index("ledger_windows_by_allowance", "ledger_windows", ["allowance", "starts"])
    op.create_table(
        "ledger_leases",
        Column("holder", Text, ForeignKey("ledger_holders.id"), primary_key=True),
        Column("window_id", Text, ForeignKey("ledger_windows.id"), primary_key=True),
        Column("amount", BigInteger, nullable=False),
        Column("answered", BigInteger, nullable=False),
        Column("presumed", Integer, nullable=False),
        CheckConstraint("amount >= 0", name="amount"),
    )
    op.create_index("ledger_leases_by_window_id", "ledger_leases", ["window_id"])


def downgrade() -> None:
    op.drop_table("ledger_leases")
    op.drop_table("ledger_windows")
    op.drop_table("ledger_holders")
