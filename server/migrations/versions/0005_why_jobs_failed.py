"""why jobs failed

Jobs are done in the order in which they are due, failures of a job itself are counted apart from
those of the outside, and why a job on PostgreSQL failed is remembered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("faults", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_jobs_state_run_after", "jobs", ["state", "run_after"])
    op.create_table(
        "job_failures",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_job_failures"),
    )
