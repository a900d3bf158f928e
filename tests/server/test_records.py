"""Every act on a seal is one ledger entry, in the transaction that takes it."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from foundation.database import Database
from keys import Keys
from ledger import Ledger
from ledger.models import ledger_outbox
from server import records
from signing import SealApplication, Seals
from signing.errors import FourEyesViolated
from tests.signing.conftest import APPROVER, KEEPER, NAME, OWNER
from tests.simulators.clock import MovableClock

WISH = SealApplication(
    OWNER, NAME, NAME, "3501000012345", keeper="keeper-1", keeper_name="印章管理员"
)
WHY = "公章被盗，见报案回执"


class Register:
    """The register of seals over a real ledger; each step is a transaction of its own."""

    def __init__(self, database: Database, keys: Keys, ledger: Ledger, clock: MovableClock) -> None:
        self.seals = Seals(database, keys, clock, records.ledger_sink(ledger))
        self.database, self._clock = database, clock

    def do(self, of: object, what: str, *about: object, by: Any = KEEPER, **more: Any) -> Any:
        self._clock.advance(timedelta(minutes=1))
        with self.database.write() as tx:
            return getattr(of, what)(tx, *about, by=by, now=self._clock(), **more)

    def leaves(self) -> list[dict[str, Any]]:
        with self.database.read() as tx:
            found = tx.execute(select(ledger_outbox.c.leaf)).scalars().all()
        return sorted(map(orjson.loads, found), key=lambda leaf: leaf["id"])


@pytest.fixture
def register(database: Database, keys: Keys, ledger: Ledger, clock: MovableClock) -> Register:
    keys.establish()
    return Register(database, keys, ledger, clock)


def test_the_whole_life_of_a_seal_is_in_the_ledger(register: Register, ledger: Ledger) -> None:
    seals = register.seals
    seal = register.do(seals, "apply", WISH, by=APPROVER)
    register.do(seals, "approve", seal)
    register.do(seals, "make", seal)
    register.do(seals, "file", seal, reference="公备2026-17")
    register.do(seals, "activate", seal)
    register.do(seals, "suspend", seal, reason=WHY)
    register.do(seals, "resume", seal, reason="找回")
    register.do(seals, "apply_for_version", seal, reason="旧图样磨损")
    register.do(seals, "reject", seal, by=APPROVER, note="尚可使用")
    register.do(seals, "revoke", seal, reason=WHY)
    register.do(seals, "destroy", seal, reason=WHY)

    leaves = register.leaves()
    assert [leaf["kind"].removeprefix("seal.") for leaf in leaves] == [
        *("applied", "approved", "made", "filed", "activated", "suspended", "resumed"),
        *("applied", "rejected", "revoked", "destroyed"),
    ]
    assert {leaf["details"]["seal"] for leaf in leaves} == {seal}
    assert {leaf["actor"]["organisation"] for leaf in leaves} == {OWNER}
    assert WHY not in str(leaves)
    assert "private.reason" in leaves[-1]["commitments"]
    ledger.integrate_all()
    assert ledger.fsck().ok


def test_asking_granting_using_and_ending_a_permit_is_in_the_ledger(
    register: Register, clock: MovableClock
) -> None:
    permits = register.seals.permits
    with register.database.write() as tx:
        seal = register.seals.register(
            tx, owner=OWNER, owner_name=NAME, name=NAME, code="3501000012345", by=KEEPER,
            now=clock(),
        )  # fmt: skip
    until = clock() + timedelta(days=3)
    permit = register.do(permits, "ask", seal.id, purpose="年检通知", quota=2, until=until)
    register.do(permits, "approve", permit, by=APPROVER)
    clock.advance(timedelta(minutes=1))
    with register.database.write() as tx:
        permits.spend(tx, seal.id, permit, purpose="年检通知", content_digest="digest", now=clock())
    register.do(permits, "withdraw", permit)
    register.do(permits, "withdraw", permit)

    used = [leaf for leaf in register.leaves() if "permit" in leaf["details"]]
    assert [leaf["kind"] for leaf in used] == [
        f"seal.permit_{act}" for act in ("asked", "approved", "spent", "withdrawn")
    ]
    assert {leaf["details"]["permit"] for leaf in used} == {permit}
    assert used[2]["details"]["content_digest"] == "digest"


def test_a_step_that_is_refused_leaves_no_entry(register: Register) -> None:
    seal = register.do(register.seals, "apply", WISH)

    with pytest.raises(FourEyesViolated):
        register.do(register.seals, "approve", seal)

    assert [leaf["kind"] for leaf in register.leaves()] == ["seal.applied"]
