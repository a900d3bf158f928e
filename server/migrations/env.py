"""alembic's entry: runs the revisions on the connection that `upgrade` hands over."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from sqlalchemy.types import TypeDecorator

import server.tables  # noqa: F401 — declares every package's tables on the one metadata
from foundation.database import metadata
from foundation.jobs import is_engine_table


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether revisions cover this table: the job engine's own are left to the engine."""
    return not (kind == "table" and is_engine_table(name))


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write a column type of ours as what the database sees: a revision imports nothing of ours."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return _repr_type(item.impl_instance, autogen)
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=include_name,
    render_item=render_item,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
