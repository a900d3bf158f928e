"""applications for purposes

What was granted before has an application of its own afterwards, so that it is listed and can be
ended like any other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BEFORE = "before-applications"  # who applied then was not kept
ADOPTED = "adopted-by-0014"


def upgrade() -> None:
    op.create_table('purpose_applications',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('organisation', sa.String(length=18), nullable=False),
    sa.Column('code', sa.String(length=64), nullable=False),
    sa.Column('service_item', sa.Text(), nullable=False),
    sa.Column('legal_bases', sa.Text(), nullable=False),
    sa.Column('types', sa.Text(), nullable=False),
    sa.Column('fields', sa.Text(), nullable=False),
    sa.Column('predicates', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('retention_days', sa.Integer(), nullable=False),
    sa.Column('quota', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('applied_by', sa.Text(), nullable=False),
    sa.Column('applied_at', sa.BigInteger(), nullable=False),
    sa.Column('decided_by', sa.Text(), nullable=True),
    sa.Column('decided_at', sa.BigInteger(), nullable=True),
    sa.Column('ended_by', sa.Text(), nullable=True),
    sa.Column('ended_at', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.CheckConstraint('decided_by <> applied_by', name=op.f('ck_purpose_applications_two_people')),
    sa.CheckConstraint("state IN ('applied', 'approved', 'refused', 'withdrawn', 'ended')", name=op.f('ck_purpose_applications_state')),
    sa.CheckConstraint("state NOT IN ('approved', 'refused', 'ended') OR decided_by IS NOT NULL", name=op.f('ck_purpose_applications_decided_by_somebody')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_purpose_applications'))
    )
    op.create_index(op.f('ix_purpose_applications_state_applied_at'), 'purpose_applications', ['state', 'applied_at'], unique=False)
    op.add_column('purposes', sa.Column('application', sa.Text()))
    op.execute(
        "UPDATE purposes SET application = 'purpose-' || organisation || '-' || code || '-' || type"
    )
    op.execute(f"""
        INSERT INTO purpose_applications
            (id, organisation, code, service_item, legal_bases, types, fields, predicates, channel,
             retention_days, quota, state, applied_by, applied_at, decided_by, decided_at, reason)
        SELECT application, organisation, code, '', legal_bases, '["' || type || '"]', fields,
            predicates, '', 0, 0, 'approved', '{BEFORE}', created_at, '{ADOPTED}', created_at, ''
        FROM purposes
    """)
