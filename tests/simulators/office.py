"""A house as an operator runs it: processes of its own, settings by environment, real ports."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parents[2]
PATIENCE = 180.0  # a start takes two seconds, and a minute on a machine with much else to do


# Below the range the kernel chooses from, and different for each test worker.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_PORTS = range(20_000 + 1_000 * _WORKER, 21_000 + 1_000 * _WORKER, 2)
_TRIED = itertools.count(os.getpid())


def free_port() -> int:
    """A port that stays free until our process takes it, and the one after it is free too.

    A port that the kernel chose could be given to somebody else before our process is up.
    """
    in_turn = (_PORTS[at % len(_PORTS)] for at in _TRIED)
    return next(port for port in in_turn if _is_free(port) and _is_free(port + 1))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Office:
    """One data folder, one database, and the processes that serve them.

    `start()` may be called again after a kill: everything that counts is on disk.
    """

    def __init__(self, folder: Path, database_url: str = "", **settings: str) -> None:
        self.port, self.management_port = free_port(), free_port()
        self.origin = f"http://localhost:{self.port}"
        self.folder = folder
        self.settings = {
            "YINZHENG_DATA_DIR": str(folder),
            "YINZHENG_DATABASE_URL": database_url,
            "YINZHENG_PORT": str(self.port),
            "YINZHENG_MANAGEMENT_PORT": str(self.management_port),
            **settings,
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, word: str = "serve", **settings: str) -> "subprocess.Popen[bytes]":
        """Run `python -m server WORD`; does not wait."""
        log = (self.folder / f"{word}.log").open("ab")
        command = [sys.executable, "-m", "server", word]
        environment = self._environment(settings)
        process = subprocess.Popen(command, cwd=HERE, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def wait_until_ready(self, port: int = 0) -> None:
        """Until `/readyz` says 200; fails with what the process said."""
        url = f"http://127.0.0.1:{port or self.management_port}/readyz"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if httpx.get(url, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if self.processes and self.processes[-1].poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.said()}")

    def cli(self, *words: str, expect: int = 0) -> str:
        """Run one command to its end; answers its standard output."""
        command = [sys.executable, "-m", "server", *words]
        done = subprocess.run(command, cwd=HERE, env=self._environment({}), capture_output=True)
        output = done.stdout.decode()
        assert done.returncode == expect, f"{words}: {done.returncode}\n{output}{done.stderr!r}"
        return output

    def new_secret(self, client_id: str) -> str:
        secret: str = self.json("idp", "clients", "new-secret", client_id)["client_secret"]
        return secret

    def fsck(self) -> tuple[int, list[str]]:
        """Entries in the ledger, and what its check finds wrong."""
        report = self.json("ledger", "fsck")
        return report["size"], report["problems"]

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self.cli(*words, "--json", expect=expect))

    def kill(self) -> None:
        """SIGKILL to every process: no handler runs, nothing is flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the orderly end."""
        self._end(signal.SIGTERM)

    def said(self) -> str:
        """The end of every log."""
        return "\n".join(log.read_text()[-2000:] for log in sorted(self.folder.glob("*.log")))

    def _end(self, sign: signal.Signals) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(sign)
        for process in self.processes:
            process.wait(timeout=PATIENCE)
        self.processes.clear()

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if "YINZHENG_" not in name}
        return {**ours, **{k: v for k, v in {**self.settings, **more}.items() if v}}


@contextmanager
def open_office(folder: Path, database_url: str = "", **settings: str) -> Iterator[Office]:
    """A serving office for the length of a block; its schema is brought up to date first."""
    office = Office(folder, database_url, **settings)
    try:
        office.cli("migrate")
        office.start()
        office.wait_until_ready()
        yield office
    finally:
        office.stop()
