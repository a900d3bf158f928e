"""The migrated schema is the declared one, constraint by constraint, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

import server.tables  # noqa: F401 — declares every room's tables
from exchange import application_store
from foundation.database import Database
from foundation.encryption import FieldCipher
from foundation.jobs import install_engine
from server import migrations

# Everything a database knows about its tables, as text that can be compared.
CATALOGUES = {
    "sqlite": ("SELECT type, name, sql FROM sqlite_master",),
    "postgresql": (
        "SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type,"
        " character_maximum_length, collation_name, is_nullable, column_default, is_identity)"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace ="
        " 'public'::regnamespace AND prokind = 'f'",
    ),
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two empty databases of one kind."""
    if request.param == "sqlite":
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("migrated", "declared")]
    else:
        cluster = request.getfixturevalue("cluster")
        urls = [cluster.url(f"{name}_{tmp_path.name[-8:]}") for name in ("migrated", "declared")]
    databases = [Database(url, FieldCipher(bytes(32))) for url in urls]
    yield databases[0], databases[1]
    for database in databases:
        database.close()


def schema(database: Database) -> set[tuple[str, str, str]]:
    with database.read() as tx:
        rows = [
            tuple(row)
            for query in CATALOGUES[database.dialect]
            for row in tx.exec_driver_sql(query.replace("%", "%%"))
        ]
    words = {(kind, name, _unordered(text or "")) for kind, name, text in rows}
    return {each for each in words if "alembic_version" not in each[1] + each[2]}


def _unordered(definition: str) -> str:
    """SQLite keeps the statement; in which order it names columns and constraints says nothing."""
    head, opened, body = " ".join(definition.split()).partition("(")
    if not opened or not head.startswith("CREATE TABLE"):
        return " ".join(definition.split())
    parts, depth = [""], 0
    for character in body.rstrip().removesuffix(")"):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return ", ".join([head.strip(), *sorted(part.strip() for part in parts)])


def test_the_migrated_schema_is_the_declared_schema(pair: tuple[Database, Database]) -> None:
    migrated, declared = pair
    migrations.upgrade(migrated)
    declared.create_all()
    with declared.write() as tx:
        install_engine(tx)

    differences = schema(migrated) ^ schema(declared)

    assert not differences, "a change of tables needs a revision (server/migrations/__init__.py)"
    assert len(schema(migrated)) > 30


def test_a_database_is_current_only_after_the_upgrade_and_upgrading_twice_changes_nothing(
    pair: tuple[Database, Database],
) -> None:
    database, _ = pair
    before = migrations.is_current(database)
    migrations.upgrade(database)
    once = schema(database)
    migrations.upgrade(database)

    assert (before, migrations.is_current(database)) == (False, True)
    assert schema(database) == once


def test_an_upgrade_that_fails_leaves_nothing_behind(pair: tuple[Database, Database]) -> None:
    database, _ = pair
    with database.write() as tx:  # one of the last tables is already there
        tx.exec_driver_sql("CREATE TABLE token_families (surprise INTEGER)")
    before = schema(database)

    with pytest.raises(Exception, match="token_families"):
        migrations.upgrade(database)

    assert schema(database) == before
    assert not migrations.is_current(database)


def test_the_revisions_form_one_line_in_the_order_of_their_numbers() -> None:
    revisions = list(ScriptDirectory.from_config(migrations.configuration()).walk_revisions())
    numbers = [each.revision for each in reversed(revisions)]

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert [each.down_revision for each in reversed(revisions)] == [None, *numbers[:-1]]


def test_a_purpose_of_before_has_an_application_that_can_be_ended(
    pair: tuple[Database, Database],
) -> None:
    database, _ = pair
    config = migrations.configuration()
    with database.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0012")
        tx.exec_driver_sql(
            "INSERT INTO purposes (organisation, code, type, names, legal_bases, fields,"
            " predicates, created_at) VALUES ('bank', 'loan', 'licence', '{}', '[\"law\"]',"
            " '[\"name\"]', '[]', 1)"
        )
    migrations.upgrade(database)

    with database.write() as tx:
        [kept] = application_store.all_in(tx, "approved", "bank")
        assert (kept.form.types, kept.form.fields) == (("licence",), ("name",))
        assert kept.applied_by != kept.decided_by
        assert application_store.take_back(tx, kept.id) == 1
