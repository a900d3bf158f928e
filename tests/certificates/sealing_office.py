"""An authority with a seal and the certificate room over given keys, from draft to sealed file."""

from datetime import timedelta

from sqlalchemy import func, select

from certificates.issuing.rendering import Renderer
from certificates.models import certificates as certificate_rows
from certificates.models import renditions
from certificates.rules import DraftState
from foundation.clock import system_clock
from foundation.database import Database
from foundation.jobs import Jobs, open_jobs
from keys import Keys
from ledger import Ledger
from server.services import assemble
from tests.certificates.conftest import AUTHORITY, FOOD, LI, PUBLIC_URL, WANG
from tests.simulators.clock import MovableClock


class Office:
    """An authority with a seal, and the certificate room over given keys."""

    def __init__(self, database: Database, keys: Keys, renderer: Renderer) -> None:
        self.clock = MovableClock(system_clock())  # the queue's clock; waiting is moving it
        self.database = database
        self.keys = keys
        keys.establish()
        self.ledger = Ledger(database, keys, system_clock, "yinzheng.test/log")
        self.jobs: Jobs = open_jobs(database, self.clock)
        services = assemble(
            database=database,
            keys=keys,
            clock=system_clock,
            issuer=PUBLIC_URL,
            ledger=self.ledger,
            jobs=self.jobs,
            renderer=renderer,
        )
        self.seals, self.signing = services.seals, services.signing
        with database.write() as tx:
            self.seal = self.seals.register(
                tx,
                owner=AUTHORITY,
                owner_name="示例市市场监督管理局",
                name="示例市市场监督管理局",
                code="9900010000000",
                by=LI,
                now=system_clock() - timedelta(minutes=1),  # signatures tell whole seconds
            )
        self.certificates = services.certificates

    def approved(self) -> str:
        """A draft that two people have agreed to; sealing it is in the queue."""
        room = self.certificates
        draft = room.submit(WANG, room.draft(WANG, "food-business-licence", FOOD).id)
        room.approve(LI, draft.id, draft.content_digest)
        return draft.id

    def work(self, *, after: timedelta = timedelta(0)) -> None:
        self.clock.advance(after)
        self.jobs.run_pending()

    def state(self, draft_id: str) -> DraftState:
        return self.certificates.find_draft(LI, draft_id).state

    def issued(self) -> int:
        with self.database.read() as tx:
            return tx.execute(select(func.count()).select_from(certificate_rows)).scalar_one()

    def pdf(self) -> bytes:
        with self.database.read() as tx:
            query = select(renditions.c.data).where(renditions.c.format == "pdf")
            return bytes(tx.execute(query).scalar_one())

    def close(self) -> None:
        self.certificates.close()
        self.ledger.close()
