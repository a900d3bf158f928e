"""A process that is born to be killed: records entries, integrates, says what was acknowledged.

python writer.py DATABASE ACKNOWLEDGED        (the master key on stdin)
"""

import asyncio
import os
import sys
import threading

from foundation.actor import SYSTEM
from foundation.clock import system_clock
from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Entry, Ledger


def main(path: str, said: str) -> None:
    master_key = sys.stdin.buffer.read()
    database = Database(f"sqlite:///{path}", FieldCipher(master_key))
    keys = Keys(database, SoftwareBackend(master_key), system_clock)
    ledger = Ledger(database, keys, system_clock, "kill.test")
    threading.Thread(target=integrate_for_ever, args=[ledger], daemon=True).start()
    asyncio.run(record_for_ever(ledger, os.open(said, os.O_CREAT | os.O_APPEND | os.O_WRONLY)))


def integrate_for_ever(ledger: Ledger) -> None:
    while True:
        ledger.integrate(limit=100)


async def record_for_ever(ledger: Ledger, said: int) -> None:
    async def record() -> None:
        while True:
            entry = Entry(kind="verification", actor=SYSTEM, at=system_clock(), subject="5b" * 32)
            ref = await ledger.record(entry)
            os.write(said, f"{ref.id}\n".encode())

    await asyncio.gather(*(record() for _ in range(32)))


if __name__ == "__main__":
    main(*sys.argv[1:])
