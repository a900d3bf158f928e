"""how far a sign-in of several steps has come"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('interactions', sa.Column('flow', sa.LargeBinary()))
