"""one account for each identity number

The index of numbers is keyed, so no revision can fill it: the identity provider does, with the
field cipher, before it answers its first request (`idp.accounts.numbers.settle`).
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('people', sa.Column('id_number_index', sa.String(length=64), nullable=True))
    op.add_column('people', sa.Column('citizen_id', sa.String(length=40), nullable=True))
    op.add_column('people', sa.Column('collides_with', sa.String(length=40), nullable=True))
    _index('id_number_index', ['id_number_index'], 'id_number_index IS NOT NULL', unique=True)
    _index('collides_with', ['collides_with'], 'collides_with IS NOT NULL')
    _index(
        'unsettled',
        ['created_at', 'id'],
        'id_number IS NOT NULL AND id_number_index IS NULL AND collides_with IS NULL',
    )


def _index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    only = sa.text(where)
    op.create_index(
        f'ix_people_{name}',
        'people',
        columns,
        unique=unique,
        sqlite_where=only,
        postgresql_where=only,
    )
