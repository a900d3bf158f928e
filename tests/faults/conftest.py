"""Houses that may be killed: each test has its own processes and its own database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.office import Office, open_office
from tests.simulators.postgresql import Cluster, find_binaries


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that this test may pull the plug of."""
    binaries = find_binaries()
    assert binaries is not None, "PostgreSQL is missing: apt-get install postgresql"
    cluster = Cluster(binaries)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(params=["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """A house of this test's own, on each database."""
    url = ""
    if request.param == "pg":
        url = request.getfixturevalue("own_cluster").url("faults")
    with open_office(tmp_path, url) as office:
        yield office
