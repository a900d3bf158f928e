"""what a show code opened"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('show_codes', sa.Column('seen_by', sa.LargeBinary(32), nullable=True))
    op.add_column('show_codes', sa.Column('answer', sa.LargeBinary(), nullable=True))
