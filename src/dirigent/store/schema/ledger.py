"""What allowances have booked, and what the workers of all nodes hold of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from dirigent.store.schema.tables import metadata

__all__ = ["ledger_holders", "ledger_leases", "ledger_windows"]

ledger_holders = Table(
    "ledger_holders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", Text, nullable=False),
    # Rises whenever somebody declares the holder dead: then what it still believes to hold is not its own any more.
    Column("epoch", BigInteger, nullable=False),
    Column("over", Integer, nullable=False),
    Column("seen", BigInteger, nullable=False),
    # The number of its last posting, and of the last line of its log that the posting has booked.
    Column("posted", BigInteger, nullable=False),
    Column("flushed", BigInteger, nullable=False),
)

ledger_windows = Table(
    "ledger_windows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("allowance", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("span", Text, nullable=False),  # which kind of window; that word is SQL's own
    Column("starts", BigInteger, nullable=False),
    Column("ends", BigInteger),
    Column("most", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("booked", BigInteger, nullable=False),
    Column("presumed", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    # How often a holder found too little while others held some, and until when nobody takes more than it needs.
    Column("wanted", BigInteger, nullable=False),
    Column("scarce", BigInteger, nullable=False),
    CheckConstraint("booked >= 0 AND presumed >= 0 AND overrun >= 0 AND leased >= 0", name="counts"),
)
Index("ledger_windows_by_allowance", ledger_windows.c.allowance, ledger_windows.c.starts)

ledger_leases = Table(
    "ledger_leases",
    metadata,
    Column("holder", Text, ForeignKey("ledger_holders.id"), primary_key=True),
    Column("window_id", Text, ForeignKey("ledger_windows.id"), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # The last want that it has answered, by giving back all it did not use.
    Column("answered", BigInteger, nullable=False),
    Column("presumed", Integer, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
)
Index("ledger_leases_by_window_id", ledger_leases.c.window_id)
