"""What is learned of documents, to be searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_knowledge"
down_revision = "0010_bulk"


def upgrade() -> None:
    op.create_table(
        "knowledge_documents",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "collection", "document")),
        sa.Column("stamp", sa.Text, nullable=False),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("learned", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "knowledge_pieces",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "collection", "document")),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("heading", sa.Text, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary),
    )


def downgrade() -> None:
    op.drop_table("knowledge_pieces")
    op.drop_table("knowledge_documents")
