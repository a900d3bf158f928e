"""Leave to use a seal: two people, one purpose, so often, over both databases."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor
from signing import Approval, Permit, Seal
from signing.errors import (
    FourEyesViolated,
    NotTheKeeper,
    PermitExhausted,
    PermitNotUsable,
    UnknownPermit,
    UnknownSeal,
)
from signing.models import seal_permits
from tests.plans import statements
from tests.signing.conftest import BOX, KEEPER, House
from tests.signing.pages import page

CLERK = replace(KEEPER, id="clerk-1", roles=frozenset({"drafter"}))
STRANGER = replace(KEEPER, id="stranger-1", organisation="11350100003605199X")
PURPOSE = "年检通知"
DAY = timedelta(days=1)


@pytest.fixture
def house(house_on_each_database: House) -> House:
    return house_on_each_database


@pytest.fixture
def seal(house: House) -> Seal:
    return house.register()


def ask(house: House, seal: Seal, quota: int = 2, by: Actor = CLERK, purpose: str = PURPOSE) -> str:
    now = house.clock()
    with house.database.write() as tx:
        return house.seals.permits.ask(
            tx, seal.id, purpose=purpose, quota=quota, by=by, now=now, until=now + 30 * DAY
        )


def approve(house: House, permit: str, by: Actor = KEEPER) -> Permit:
    with house.database.write() as tx:
        return house.seals.permits.approve(tx, permit, by=by, now=house.clock())


def spend(
    house: House,
    seal: Seal,
    permit: str,
    purpose: str = PURPOSE,
    content_digest: str = "digest",
    by: Actor | None = None,
) -> Approval:
    now = house.clock()
    with house.database.write() as tx:
        return house.seals.permits.spend(
            tx, seal.id, permit, purpose=purpose, content_digest=content_digest, now=now, by=by
        )


def test_a_permit_of_two_people_seals_a_document(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    approve(house, permit)

    approval = spend(house, seal, permit, content_digest="content")
    sealed = house.signing.seal_pdf(
        seal, page(), approval, content_digest="content", now=house.clock(), box=BOX
    )

    assert house.signing.validate_pdf(sealed.data).indication == "valid"
    ((_, use),) = house.keys.uses_of(seal.use)
    assert (use.approval, use.drafter, use.approver) == (permit, "clerk-1", "keeper-1")


def test_a_permit_is_spent_as_often_as_it_was_granted(house: House, seal: Seal) -> None:
    permit = ask(house, seal, quota=2)
    approve(house, permit)
    spend(house, seal, permit)
    spend(house, seal, permit)

    with pytest.raises(PermitExhausted):
        spend(house, seal, permit)

    with house.database.read() as tx:
        (known,) = house.seals.permits.of(tx, seal.id)
    assert (known.used, known.quota) == (2, 2)


def test_who_asks_does_not_approve(house: House, seal: Seal) -> None:
    permit = ask(house, seal, by=KEEPER)

    with pytest.raises(FourEyesViolated):
        approve(house, permit, by=KEEPER)
    with pytest.raises(NotTheKeeper):
        approve(house, permit, by=CLERK)
    with pytest.raises(UnknownSeal):
        approve(house, permit, by=STRANGER)
    with pytest.raises(IntegrityError), house.database.write() as tx:
        tx.execute(update(seal_permits).values(approved_by="keeper-1"))
    with pytest.raises(PermitNotUsable, match="not approved"):
        spend(house, seal, permit)


def test_the_database_itself_holds_the_quota(house: House, seal: Seal) -> None:
    approve(house, ask(house, seal, quota=2))

    with pytest.raises(IntegrityError), house.database.write() as tx:
        tx.execute(update(seal_permits).values(used=3))


def test_a_permit_is_for_one_purpose_until_one_day(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    approve(house, permit)

    with pytest.raises(PermitNotUsable, match="another purpose"):
        spend(house, seal, permit, purpose="行政处罚")
    house.clock.advance(31 * DAY)
    with pytest.raises(PermitNotUsable, match="over"):
        spend(house, seal, permit)


def test_a_permit_is_for_one_seal_and_one_officer(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    approve(house, permit)
    other = house.register("临江市教育局", "3501000012346")

    with pytest.raises(UnknownPermit):
        spend(house, other, permit)
    with pytest.raises(PermitNotUsable, match="another officer"):
        spend(house, seal, permit, by=replace(CLERK, id="clerk-2"))

    with house.database.read() as tx:
        assert house.seals.permits.get(tx, seal.id, permit).used == 0
    assert spend(house, seal, permit, by=CLERK).drafter == CLERK.id


def test_using_a_permit_asks_for_it_once(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    approve(house, permit)

    asked = statements(
        house.database,
        lambda tx: house.seals.permits.spend(
            tx,
            seal.id,
            permit,
            purpose=PURPOSE,
            content_digest="digest",
            now=house.clock(),
            by=CLERK,
        ),
    )

    assert sum("FROM seal_permits" in statement for statement, _ in asked) == 1


def test_a_permit_can_be_withdrawn(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    approve(house, permit)
    with house.database.write() as tx:
        withdrawn = house.seals.permits.withdraw(tx, permit, by=KEEPER, now=house.clock())

    assert withdrawn.withdrawn_by == "keeper-1"
    with pytest.raises(PermitNotUsable, match="over"):
        spend(house, seal, permit)


def test_a_permit_is_approved_once(house: House, seal: Seal) -> None:
    permit = ask(house, seal)
    first = approve(house, permit)
    house.clock.advance(DAY)

    with pytest.raises(PermitNotUsable):
        approve(house, permit, by=replace(KEEPER, id="keeper-2"))

    with house.database.read() as tx:
        assert house.seals.permits.of(tx, seal.id) == [first]


def test_a_use_that_was_rolled_back_was_no_use(house: House, seal: Seal) -> None:
    permit = ask(house, seal, quota=1)
    approve(house, permit)
    with pytest.raises(RuntimeError), house.database.write() as tx:  # noqa: PT012
        house.seals.permits.spend(
            tx, seal.id, permit, purpose=PURPOSE, content_digest="x", now=house.clock()
        )
        raise RuntimeError

    assert spend(house, seal, permit).reference == permit


def test_ten_uses_are_ten_however_many_spend_at_once(house: House, seal: Seal) -> None:
    permit = ask(house, seal, quota=10)
    approve(house, permit)
    outcomes: list[str] = []

    def work() -> None:
        for _ in range(5):
            try:
                spend(house, seal, permit)
                outcomes.append("spent")
            except PermitExhausted:
                outcomes.append("exhausted")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["exhausted"] * 10 + ["spent"] * 10


@pytest.mark.parametrize(
    ("quota", "purpose"), [(0, PURPOSE), (-1, PURPOSE), (100_001, PURPOSE), (1, ""), (1, "x" * 61)]
)
def test_a_permit_that_makes_no_sense_is_refused(
    house: House, seal: Seal, quota: int, purpose: str
) -> None:
    with pytest.raises(PermitNotUsable):
        ask(house, seal, quota=quota, purpose=purpose)


def test_nobody_asks_for_the_seal_of_another_department(house: House, seal: Seal) -> None:
    with pytest.raises(UnknownSeal):
        ask(house, seal, by=STRANGER)
    with pytest.raises(UnknownPermit):
        spend(house, seal, "permit-0")
