"""A worker process that issues a batch until somebody kills it."""

from datetime import datetime

from certificates import Batches, Catalogue, Certificates
from foundation.database import Database
from foundation.encryption import FieldCipher
from foundation.jobs import open_jobs
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server import records
from signing.seals.registry import Seals
from signing.service import Signing
from tests.certificates.conftest import PUBLIC_URL
from tests.simulators.clock import MovableClock


def worker(url: str, master_key: str, batch_id: str, now: str) -> None:
    key, clock = bytes.fromhex(master_key), MovableClock(datetime.fromisoformat(now))
    database = Database(url, FieldCipher(key))
    keys = Keys(database, SoftwareBackend(key), clock)
    ledger = Ledger(database, keys, clock, "yinzheng.test/log")
    signing = Signing(Seals(database, keys, clock, records.ledger_sink(ledger)), keys, clock)
    jobs = open_jobs(database, clock)
    room = Certificates(database, keys, signing, ledger, jobs, clock, Catalogue.load(), PUBLIC_URL)
    batches = Batches(room)
    for first in (2, 102, 202):
        batches.issue_chunk(batch_id, first)
