"""user names as they are compared

The identity provider fills the normal forms before it answers its first request, and says which
accounts collide (`idp.accounts.names`): programs from before this column go on adding people while
both run, so it has to look again in any case.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("username_normal", sa.String(length=200)))
    op.add_column("people", sa.Column("name_taken_by", sa.String(length=40)))
    named, unnamed = "username_normal IS NOT NULL", "username_normal IS NULL"
    _index("username_normal", ["username_normal"], named, unique=True)
    _index("unnamed", ["created_at", "id"], f"{unnamed} AND name_taken_by IS NULL")


def _index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    only = sa.text(where)
    op.create_index(
        f"ix_people_{name}",
        "people",
        columns,
        unique=unique,
        sqlite_where=only,
        postgresql_where=only,
    )
