"""A throw-away SoftHSM token: a real PKCS#11 module without the hardware."""

import functools
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class Token:
    module: str
    label: str
    pin_file: Path

    def uri(self, **more: str) -> str:
        query = {"module-path": self.module, "pin-source": f"file:{self.pin_file}", **more}
        return f"pkcs11:token={self.label}?" + "&".join(f"{k}={v}" for k, v in query.items())


@functools.cache
def the_token() -> Token:
    """One token for the whole process: a module reads its configuration once."""
    return make_token(Path(tempfile.mkdtemp(prefix="yinzheng-softhsm-")))


def make_token(folder: Path, label: str = "yinzheng") -> Token:
    """Initialise a token in `folder`; the module reads its place from the environment."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    pin_file = folder / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text("86420\n")
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", label),
            *("--so-pin", "97531", "--pin", "86420"),
        ],
        check=True,
        capture_output=True,
    )
    return Token(next(place for place in PLACES if Path(place).exists()), label, pin_file)
