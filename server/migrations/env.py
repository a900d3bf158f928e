"""alembic's entry: runs the revisions on the connection that `upgrade` hands over."""

from alembic import context

import server.tables  # noqa: F401 — declares every room's tables on the one metadata
from foundation.database import metadata
from foundation.jobs import is_engine_table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=lambda name, kind, _: not (kind == "table" and is_engine_table(name)),
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
