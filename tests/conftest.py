"""Real parts for every test: both databases, real keys, a clock that is moved by hand.

Optional system parts are discovered, never required: a test marked for a part that is not here is
skipped, and the end of the run names the one line that installs it. With CI=true a missing part is
a failure instead. Tests marked `programs` are left out of CI, whatever is there.
"""

import gc
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from foundation.database import Database, metadata
from foundation.encryption import FieldCipher
from foundation.jobs import install_engine
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from tests.quick import is_quick, stands_in_whole
from tests.simulators.clock import MovableClock
from tests.simulators.postgresql import Cluster, find_binaries

CI = os.environ.get("CI") == "true"


def _which(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) for name in names)


def _softhsm() -> bool:
    return bool(shutil.which("softhsm2-util"))


def _p11kit() -> bool:
    from tests.keys.remote_module import client

    return bool(shutil.which("p11-kit") and client())


# mark -> (is it here?, the one line that installs it)
PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "postgres": (lambda: find_binaries() is not None, "apt-get install postgresql"),
    "softhsm": (_softhsm, "apt-get install softhsm2"),
    "p11kit": (_p11kit, "apt-get install p11-kit p11-kit-modules"),
    "browser": (_which("chromium"), "apt-get install chromium fonts-noto-cjk"),
    "poppler": (_which("pdfsig"), "apt-get install poppler-utils"),
    "qpdf": (_which("qpdf"), "apt-get install qpdf"),
    "openssl": (_which("openssl"), "apt-get install openssl"),
    "go": (_which("go"), "apt-get install golang-go"),
    "node": (_which("node", "npm"), "apt-get install nodejs npm"),
}
# Parts that only a developer's machine has; CI does not insist on them.
NOT_OWED_IN_CI = {"go", "node"}
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"  # where Debian keeps servers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="no server process, browser or PostgreSQL"
    )
    parser.addoption("--rest", action="store_true", help="what --quick leaves out")
    parser.addoption(
        "--programs", action="store_true", help="client programs that CI does not demand, too"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is not quick as a whole is not even imported."""
    return True if config.getoption("quick") and stands_in_whole(collection_path) else None


def pytest_configure(config: pytest.Config) -> None:
    # A busy machine is no finding: how long a draw takes says nothing about the code.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    found = {name for name, (present, _) in PARTS.items() if present()}
    config.stash[_FOUND] = found


_FOUND: pytest.StashKey[set[str]] = pytest.StashKey()


def pytest_report_header(config: pytest.Config) -> str:
    found = config.stash[_FOUND]
    missing = sorted(set(PARTS) - found)
    return f"system parts: {', '.join(sorted(found)) or 'none'}; not found: {missing or 'none'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick") or config.getoption("rest"):
        wanted = bool(config.getoption("quick"))
        left_out = [item for item in items if is_quick(item) != wanted]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    found = config.stash[_FOUND]
    for item in items:
        for name in PARTS.keys() - found:
            if item.get_closest_marker(name) is None:
                continue
            if CI and name not in NOT_OWED_IN_CI:
                continue  # let it run and fail: in CI nothing may be missing
            item.add_marker(pytest.mark.skip(reason=f"{name} not found"))
        if why := _not_demanded(item):
            item.add_marker(pytest.mark.skip(reason=why))


def _not_demanded(item: pytest.Item) -> str:
    """Why a client program is left out: nobody asked for it, and this is CI, or one of the commands
    that its mark names is not here."""
    mark = item.get_closest_marker("programs")
    if mark is None or item.config.getoption("programs"):
        return ""
    if CI:
        return "CI does not demand this client program: --programs"
    missing = [name for name in mark.args if shutil.which(name, path=SYSTEM_PATH) is None]
    return f"{', '.join(missing)} not found" if missing else ""


def pytest_collection_finish() -> None:
    """What was imported stays for the whole run: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = terminalreporter.config.stash[_FOUND]
    for name in sorted(PARTS.keys() - found):
        line = PARTS[name][1]
        terminalreporter.write_line(f"{name} was not found, its tests were skipped: {line}")


@pytest.fixture(scope="session")
def master_key() -> bytes:
    return secrets.token_bytes(32)


@pytest.fixture(scope="session")
def cipher(master_key: bytes) -> FieldCipher:
    return FieldCipher(master_key)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def all_tables() -> None:
    """Import every room's tables, so that `create_all` makes the whole schema."""
    for room in ("keys", "ledger", "signing", "idp", "certificates", "exchange"):
        if Path(room, "models.py").exists():
            __import__(f"{room}.models")
    import foundation.jobs  # noqa: F401


@pytest.fixture(scope="session")
def sqlite_template(
    all_tables: None, cipher: FieldCipher, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}", cipher)
    database.create_all()
    database.close()
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One PostgreSQL server for this test process."""
    binaries = find_binaries()
    assert binaries is not None, "PostgreSQL is missing: apt-get install postgresql"
    cluster = Cluster(binaries)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def postgresql_database(
    cluster: Cluster, all_tables: None, cipher: FieldCipher
) -> Iterator[Database]:
    database = Database(cluster.url(), cipher)
    database.create_all()
    with database.write() as tx:
        install_engine(tx)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database with the whole schema; each test that asks runs on both engines."""
    if request.param == "sqlite":
        yield from _sqlite(request)
    else:
        database: Database = request.getfixturevalue("postgresql_database")
        yield database
        _empty(database)


@pytest.fixture
def sqlite_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Only SQLite, for tests whose subject is not the database."""
    yield from _sqlite(request)


@pytest.fixture
def keys(database: Database, clock: MovableClock, master_key: bytes) -> Keys:
    return Keys(database, SoftwareBackend(master_key), clock)


@pytest.fixture
def ledger(database: Database, keys: Keys, clock: MovableClock):
    from ledger.service import Ledger

    ledger = Ledger(database, keys, clock, "yinzheng.test/log")
    yield ledger
    ledger.close()


def _sqlite(request: pytest.FixtureRequest) -> Iterator[Database]:
    template: Path = request.getfixturevalue("sqlite_template")
    folder: Path = request.getfixturevalue("tmp_path")
    shutil.copy(template, folder / "yinzheng.db")
    database = Database(f"sqlite:///{folder}/yinzheng.db", request.getfixturevalue("cipher"))
    yield database
    database.close()


_ENGINE_TABLES = ("jobs", "workers", "events", "periodic_defers")


def _empty(database: Database) -> None:
    """All rows go and all counters start anew.

    TRUNCATE makes new files for a table and its indexes, whether rows were there or not, so only
    the few tables that a test filled are truncated. Deleting would be cheaper still, but leaves
    room in the pages: then rows come back in another order than they went in, now and then.
    """
    ours = [table.name for table in metadata.sorted_tables]
    names = [*ours, *(f"procrastinate_{name}" for name in _ENGINE_TABLES)]
    with database.write() as tx:
        tx.exec_driver_sql(f"LOCK TABLE {', '.join(names)}")  # whoever still writes is waited for
        filled = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in names
        )
        found = [row[0] for row in tx.exec_driver_sql(filled)]
        if found:
            tx.exec_driver_sql(f"TRUNCATE {', '.join(found)} CASCADE")
        tx.exec_driver_sql(
            "SELECT setval(sequencename::regclass, start_value, false) FROM pg_sequences"
            " WHERE last_value IS NOT NULL"
        )
