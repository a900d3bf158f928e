"""A worker process that issues a batch until somebody kills it."""

from datetime import datetime

from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from tests.certificates.conftest import PUBLIC_URL
from tests.simulators.clock import MovableClock


def worker(url: str, master_key: str, batch_id: str, now: str) -> None:
    key, clock = bytes.fromhex(master_key), MovableClock(datetime.fromisoformat(now))
    database = Database(url, FieldCipher(key))
    keys = Keys(database, SoftwareBackend(key), clock)
    ledger = Ledger(database, keys, clock, "yinzheng.test/log")
    batches = assemble(
        database=database, keys=keys, clock=clock, issuer=PUBLIC_URL, ledger=ledger
    ).batches
    for first in (2, 102, 202):
        batches.issue_chunk(batch_id, first)
