"""Keys over each database, and the openssl command as an outside opinion."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.database import Database
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from tests.simulators.clock import MovableClock


@pytest.fixture
def ticks() -> list[float]:
    """The monotonic clock of the caches: `ticks[0] += 10` lets them expire."""
    return [0.0]


@pytest.fixture
def backend(master_key: bytes) -> SoftwareBackend:
    return SoftwareBackend(master_key)


@pytest.fixture
def keys(
    database: Database, backend: SoftwareBackend, clock: MovableClock, ticks: list[float]
) -> Keys:
    return Keys(
        database,
        backend,
        clock,
        public_url="https://id.example.gov.cn",
        monotonic=lambda: ticks[0],
    )


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run openssl in the test's own folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run
