"""A key store that can be made to fail, and a department's server that dies of it.

    python -c "from tests.exchange.crash import main; main()" URL MASTER_KEY NOW PATH BODY WHEN

asks its own house once with the Idempotency-Key "crash" and is killed, WHEN "committed", after the
commit of the entry and before the answer, or, WHEN "signing", as soon as the receipt is signed.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from exchange.receipts import writing
from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.custody.backends import Signer
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import Algorithm
from keys.policy import KeyPolicy
from ledger import EntryRef, Ledger
from ledger.models import ledger_outbox
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


class LastLedger(Ledger):
    """Commits once, and that was all its process did."""

    async def commit(self, *arguments: Any) -> list[EntryRef]:
        await super().commit(*arguments)
        die()
        return []


def waiting(database: Database) -> int:
    with database.read() as tx:
        return len(tx.execute(ledger_outbox.select()).all())


def main() -> None:
    url, master_key, now, path, body, when = sys.argv[1:]
    key, clock = bytes.fromhex(master_key), MovableClock(datetime.fromisoformat(now))
    database = Database(url, FieldCipher(key))
    before = waiting(database)

    def sign() -> None:
        """Where receipts are signed after the commit, this is after the commit too."""
        if when == "signing" or waiting(database) > before:
            die()

    keys = Keys(database, FallibleStore(key, sign), clock)
    ledger = LastLedger(database, keys, clock, "yinzheng.test/log")
    house = assemble(
        database=database, keys=keys, clock=clock, issuer=PUBLIC_URL, ledger=ledger
    ).verifications
    headers = bearing(INSPECTOR, **{"idempotency-key": "crash"})
    door(house, INSPECTOR).post(path, content=body.encode(), headers=headers)
