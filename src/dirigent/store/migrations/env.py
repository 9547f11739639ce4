"""What the migration tool runs: one transaction on the connection that it was given."""

from __future__ import annotations

from alembic import context

from dirigent.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
