"""The whole mission, as the README's first command walks it, with no private key in the house."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keys.key_process import Process
from tests.keys.softhsm import the_token
from tests.simulators.office import HERE, free_port

pytestmark = pytest.mark.slow


def walk(folder: Path, key_store: str) -> set[str]:
    """Run `demo --once` over a key store; answers which stores hold the keys of the house."""
    port = free_port()
    settings = {
        "YINZHENG_DATA_DIR": str(folder),
        "YINZHENG_KEY_STORE": key_store,
        "YINZHENG_PORT": str(port),
        "YINZHENG_MANAGEMENT_PORT": str(free_port()),
        "YINZHENG_PUBLIC_URL": f"http://localhost:{port}",
    }
    command = [sys.executable, "-m", "server", "demo", "--once"]
    done = subprocess.run(
        command, cwd=HERE, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mission accomplished" in done.stdout
    with sqlite3.connect(folder / "yinzheng.db") as connection:
        return {store for (store,) in connection.execute("SELECT backend FROM keys")}


@pytest.mark.softhsm
def test_the_mission_with_every_key_in_a_hardware_module(tmp_path: Path) -> None:
    assert walk(tmp_path, the_token().uri()) == {"pkcs11"}


def test_the_mission_with_every_key_in_a_key_service(tmp_path: Path) -> None:
    service = Process(tmp_path)
    service.start()
    try:
        assert walk(tmp_path / "web", f"unix:{service.path}") == {"unix"}
    finally:
        service.end(signal.SIGTERM)
