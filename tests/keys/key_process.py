"""The key service as operators run it: a process that tests can kill, stop and start again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from foundation.database import Database
from foundation.encryption import FieldCipher
from keys.custody.store import uses_made

SEAL = "seal/4711"


class Process:
    """`python -m server keys serve`, with a data folder and a master key that only it knows."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.data = folder / "key-service"
        self.path = folder / "keys.sock"
        self._environment = {
            **os.environ,
            "YINZHENG_DATA_DIR": str(self.data),
            "YINZHENG_KEY_STORE": "software:",
            **more,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "server", "keys", "serve", "--socket", str(self.path)]
        self.process = subprocess.Popen(
            command, env=self._environment, stderr=subprocess.PIPE, text=True
        )
        said = self.process.stderr.readline()
        assert "key service at" in said, said + self.process.stderr.read()

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        ended = self.process.wait(timeout=20)
        self.process.stderr.close()
        return ended

    def recorded(self, kid: str, use: str = SEAL) -> int:
        """How many uses of a key the service has on record, read from its database."""
        database = Database(f"sqlite:///{self.data}/yinzheng.db", FieldCipher(bytes(32)))
        with database.read() as tx:
            found = [use for _, use in uses_made(tx, use, None, 100_000) if use.kid == kid]
        database.close()
        return len(found)
