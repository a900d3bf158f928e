"""Write the only revision anew from the declared tables (see `server/migrations/__init__.py`).

The same file serves both databases: column types of ours are written as what the database sees, so
a revision never imports the rooms, and what differs by dialect is written with both variants.
"""

import tempfile
from pathlib import Path

from alembic import command

from foundation.database import Database
from foundation.encryption import FieldCipher
from server.migrations import HERE, configuration

REVISION = "0001"
VERSIONS = HERE / "versions"


def regenerate(folder: Path = VERSIONS) -> Path:
    """Replace the revision in `folder`; answers the file written."""
    for old in folder.glob("*.py"):
        old.unlink()
    folder.mkdir(exist_ok=True)
    config = configuration()
    config.set_main_option("version_locations", str(folder))
    with tempfile.TemporaryDirectory() as empty:
        database = Database(f"sqlite:///{empty}/empty.db", FieldCipher(bytes(32)))
        with database.write() as tx:
            config.attributes["connection"] = tx
            command.revision(config, "first schema", autogenerate=True, rev_id=REVISION)
        database.close()
    (written,) = folder.glob("*.py")
    return written


if __name__ == "__main__":
    print(regenerate())  # noqa: T201 — a developer's command
