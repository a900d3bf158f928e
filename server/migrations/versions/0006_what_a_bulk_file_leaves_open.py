"""what a bulk file leaves open: columns that nobody knows, a guessed encoding"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ('unknown_columns', 'waived_columns', 'strange_rows')


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column(
            'batches', sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("'[]'"))
        )
