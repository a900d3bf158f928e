"""the last act on each certificate's status"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('ledger_status_acts',
    sa.Column('record', sa.Text(), nullable=False),
    sa.Column('ordinal', sa.Integer(), nullable=False),
    sa.Column('entry_id', sa.Text(), nullable=False),
    sa.Column('tag', sa.Text(), nullable=False),
    sa.CheckConstraint('ordinal > 0', name=op.f('ck_ledger_status_acts_ordinal')),
    sa.PrimaryKeyConstraint('record', name=op.f('pk_ledger_status_acts'))
    )
