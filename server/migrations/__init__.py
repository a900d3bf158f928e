"""How the schema got here: alembic revisions, run by `migrate` and, on SQLite, by `serve`.

Revisions only expand or contract, never both at once, so that version N-1 of the program still runs
on schema N. A test compares the migrated schema with the declared one on both databases.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from foundation.database import Database


def upgrade(database: Database) -> None:
    """Bring the database to the newest revision; a no-op when it is there."""
    config = _config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(database: Database) -> bool:
    """Whether the database is at the newest revision this program knows."""
    with database.read() as tx:
        current = MigrationContext.configure(tx).get_current_revision()
    return current == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
