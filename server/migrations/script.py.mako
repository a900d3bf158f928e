"""${message}"""

import sqlalchemy as sa
from alembic import op
% if down_revision is None:

from foundation.jobs import install_engine
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
% if down_revision is None:
    install_engine(op.get_bind())
% endif
