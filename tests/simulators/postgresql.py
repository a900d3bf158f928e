"""A throw-away PostgreSQL cluster: real server, Unix socket only, gone when the tests end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INSTALL = "apt-get install -y --no-install-recommends postgresql"


def find_binaries() -> Path | None:
    """The newest PostgreSQL server's bin folder, or None. Debian keeps it off the PATH.

    `PATH` decides whether a system part counts as found, so a reduced PATH hides it.
    """
    if shutil.which("psql") is None and shutil.which("pg_ctl") is None:
        return None
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    beside = shutil.which("initdb")
    found = debian[-1] if debian else Path(beside) if beside else None
    return found.parent if found else None


class Cluster:
    """`start()` takes about a second; `url(name)` makes a database."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="yz-pg-"))
        self._owner = self._unprivileged()

    def start(self) -> None:
        if self._owner:
            shutil.chown(self._folder, self._owner, self._owner)
        self._run("initdb", "-D", self._data, "-U", "yinzheng", "-A", "trust", "-E", "UTF8", "-N")
        options = (
            f"-k {self._folder} -c listen_addresses='' -c fsync=off -c full_page_writes=off"
            " -c max_connections=60 -c shared_buffers=64MB"
        )
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-s", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens for the length of the block."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "-s", "stop")
        try:
            yield
        finally:
            self._run("pg_ctl", "-D", self._data, "-w", "-s", "restart")

    def restart_immediately(self) -> None:
        """What a power cut looks like to clients."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "-s", "restart")

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Every process stands still for the length of the block: it takes, and never answers."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        standing = [postmaster, *map(int, children)]
        for process in standing:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in standing:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def url(self, name: str = "yinzheng") -> str:
        self._run("createdb", "-h", self._folder, "-U", "yinzheng", name)
        return f"postgresql+psycopg://yinzheng@/{name}?host={self._folder}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._owner,
            group=self._owner,
            extra_groups=[] if self._owner else None,
            cwd=self._folder,
        )

    @staticmethod
    def _unprivileged() -> str | None:
        """PostgreSQL refuses to run as root; its own user exists wherever Debian installed it."""
        if os.getuid() != 0:
            return None
        return next(name for name in ("postgres", "nobody") if _exists(name))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
