"""A PKCS#11 module on the far side of a wire: SoftHSM behind `p11-kit server`.

`p11-kit-client.so` is the module that the house loads; what it asks is answered by two processes of
ours, which can be stopped in their tracks (an HSM that no longer answers) or killed (one that is
gone). Everything on the way is other people's software and speaks the real interface.
"""

import atexit
import functools
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.keys.softhsm import Token, the_token

CLIENTS = (
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
)


def client() -> str:
    """The client module's place, "" when it is not installed."""
    return next((place for place in CLIENTS if Path(place).exists()), "")


@functools.cache
def the_remote_module() -> "RemoteModule":
    """One for the whole process: the client module reads the server's address once."""
    module = RemoteModule(Path(tempfile.mkdtemp(prefix="yinzheng-p11-")), the_token())
    module.start()
    atexit.register(module.kill)
    return module


class RemoteModule:
    """The server's processes: one that listens, and one that speaks to the token."""

    def __init__(self, folder: Path, behind: Token) -> None:
        self._socket = folder / "module.sock"
        self._behind = behind
        self._server: subprocess.Popen[str] | None = None
        self.token = replace(behind, module=client())
        os.environ["P11_KIT_SERVER_ADDRESS"] = f"unix:path={self._socket}"

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        provider = ["--provider", self._behind.module, f"pkcs11:token={self._behind.label}"]
        command = ["p11-kit", "server", "--foreground", "--name", str(self._socket), *provider]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 10
        while not self._socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop_answering(self) -> None:
        self._signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._server.wait(timeout=10)
        self._server.stdout.close()

    def _signal(self, what: signal.Signals) -> None:
        for pid in (self._server.pid, *_children(self._server.pid)):
            os.kill(pid, what)


def _children(pid: int) -> list[int]:
    """The processes that `pid` has started, as the kernel knows them."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(status.parent.name)] = int(fields[1])
    return [child for child, parent in parents.items() if parent == pid]
