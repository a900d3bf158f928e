"""two secrets and deleted clients"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, length in (('second_secret_hash', 64), ('second_secret_prefix', 20)):
        column = sa.Column(name, sa.String(length=length), server_default='', nullable=False)
        op.add_column('clients', column)
    op.add_column('clients', sa.Column('deleted_at', sa.BigInteger()))
