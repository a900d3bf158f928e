"""How the schema got here: alembic revisions, run by `migrate` and, on SQLite, by `serve`.

Revisions only expand or contract, never both at once, so that version N-1 of the program still runs
on schema N; the way back is the older program, so no revision has a downgrade. A test compares the
migrated schema with the declared one on both databases.

A revision knows no keys. What only the field cipher can fill (a blind index of old rows) is filled
by the package it belongs to, when the installation opens and before anything asks it; it must bear
being stopped half-way, and rows that an older program adds meanwhile.

A revision that has landed never changes; a change of tables adds the next number, written by hand:
`versions/0002_what_it_adds.py` with `down_revision` naming the one before it.
"""

from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from certificates.register import acts
from foundation.clock import Clock, system_clock
from foundation.database import Database, Tx, wait_for_advisory_lock

HERE = Path(__file__).parent
_STATUS_ACTS = "0003"  # adds the table that `certificates.register.acts.adopt` fills from the log


def upgrade(database: Database, clock: Clock = system_clock) -> None:
    """Bring the database to the newest revision, in one transaction; a no-op when it is there."""
    config = configuration()
    with database.write() as tx:
        wait_for_advisory_lock(tx, "migrations")  # two machines may start at the same moment
        before = MigrationContext.configure(tx).get_current_revision()
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
        fill(tx, before, clock())


def fill(tx: Tx, before: str | None, now: datetime) -> None:
    """What the tables that are new since revision `before` need of the rows that are there."""
    if before is not None and before < _STATUS_ACTS:
        acts.adopt(tx, now)


def is_current(database: Database) -> bool:
    """Whether this program can run on the database: at its newest revision, or at a later one.

    A revision that this program does not know was made by a newer program, and those only expand.
    """
    with database.read() as tx:
        current = MigrationContext.configure(tx).get_current_revision()
    revisions = ScriptDirectory.from_config(configuration())
    older = {each.revision for each in revisions.walk_revisions()} - {revisions.get_current_head()}
    return current is not None and current not in older


def configuration() -> Config:
    """alembic's settings: our folder, and one file a revision, named by its number."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
