"""email address and phone number of people

All empty: who has no value has no claim.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("email", "phone_number"):
        op.add_column("people", sa.Column(name, sa.LargeBinary()))
        op.add_column("people", sa.Column(f"{name}_verified_at", sa.BigInteger()))
    op.add_column("people", sa.Column("updated_at", sa.BigInteger()))
