"""credential formats are a table in the program: no list of them in the schema, and each certificate
says which of its renditions vouches for it
"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'certificates',
        sa.Column(
            'credential_format', sa.Text(), nullable=False, server_default=sa.text("'dc+sd-jwt'")
        ),
    )
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_constraint(op.f('ck_renditions_format'), 'renditions', type_='check')
    else:
        _written_anew()


def _written_anew() -> None:
    """SQLite drops no constraint: the same table without it, and every row copied once."""
    op.rename_table('renditions', 'renditions_before')
    op.create_table(
        'renditions',
        sa.Column('certificate_id', sa.Text(), nullable=False),
        sa.Column('format', sa.Text(), nullable=False),
        sa.Column('data', sa.LargeBinary(), nullable=False),
        sa.Column('digest', sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ['certificate_id'], ['certificates.id'], name=op.f('fk_renditions_certificate_id')
        ),
        sa.PrimaryKeyConstraint('certificate_id', 'format', name=op.f('pk_renditions')),
    )
    op.execute(
        'INSERT INTO renditions (certificate_id, format, data, digest)'
        ' SELECT certificate_id, format, data, digest FROM renditions_before'
    )
    op.drop_table('renditions_before')
