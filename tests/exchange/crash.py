"""A key store that can be made to fail, and a department's server that dies of it.

    python -c "from tests.exchange.crash import main; main()" URL MASTER_KEY NOW PATH BODY

asks its own house once with the Idempotency-Key "crash" and is killed when the receipt is signed:
after the commit of the entry, before the answer.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime

from exchange.receipts import writing
from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.custody.backends import Signer
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import Algorithm
from keys.policy import KeyPolicy
from ledger import Ledger
from server.services import assemble
from tests.exchange.conftest import INSPECTOR, PUBLIC_URL
from tests.exchange.departments import bearing, door
from tests.simulators.clock import MovableClock


class FallibleStore(SoftwareBackend):
    """Software keys, reached as if they were far away; `fault` is met where receipts are signed."""

    prompt = False

    def __init__(self, master_key: bytes, fault: Callable[[], None]) -> None:
        super().__init__(master_key)
        self.fault = fault

    def signer(self, algorithm: Algorithm, kid: str, policy: KeyPolicy, handle: bytes) -> Signer:
        sign = super().signer(algorithm, kid, policy, handle)

        def signing(message: bytes) -> bytes:
            if policy.use == writing.KEY_USE:
                self.fault()
            return sign(message)

        return signing


def fine() -> None:
    """No fault."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, master_key, now, path, body = sys.argv[1:]
    key, clock = bytes.fromhex(master_key), MovableClock(datetime.fromisoformat(now))
    database = Database(url, FieldCipher(key))
    keys = Keys(database, FallibleStore(key, die), clock)
    ledger = Ledger(database, keys, clock, "yinzheng.test/log")
    house = assemble(
        database=database, keys=keys, clock=clock, issuer=PUBLIC_URL, ledger=ledger
    ).verifications
    headers = bearing(INSPECTOR, **{"idempotency-key": "crash"})
    door(house, INSPECTOR).post(path, content=body.encode(), headers=headers)
