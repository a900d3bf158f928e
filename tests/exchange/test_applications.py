"""How a department comes by a purpose: two people, one decision, and an end that is an end."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from exchange import PurposeApplications
from exchange.errors import (
    ApplicationDecided,
    ApplicationFourEyes,
    MayNotDecide,
    PurposeHeld,
    PurposeNotAllowed,
    ReasonMissing,
)
from exchange.models import purpose_applications
from exchange.verification.requests import BatchRequest
from foundation.actor import Actor, ActorKind
from foundation.errors import Conflict
from ledger.models import ledger_outbox
from tests.exchange.conftest import BANK, BANKER, FOOD_BASIS, FOOD_INSPECTION, asking

TYPE = "food-business-licence"


def person(name: str, *roles: str, organisation: str = "") -> Actor:
    return Actor(
        ActorKind.PERSON, name, name=name, organisation=organisation, roles=frozenset(roles)
    )


ONE, TWO, THREE = (person(name, "operator") for name in ("one", "two", "three"))
CLERK = person("clerk", "drafter", organisation=BANK)
BOSS = person("boss", "approver", organisation=BANK)
STRANGER = person("stranger", "approver", organisation="another")


@pytest.fixture
def desk(house) -> PurposeApplications:
    return PurposeApplications(house.purposes, house.ledger)


@pytest.fixture
def form(house):
    return house.purposes.form_of(BANK, TYPE, FOOD_INSPECTION)


@pytest.fixture
def take(house, desk):
    def take(act, *words, by):
        with house.database.write() as tx:
            return getattr(desk, act)(tx, *words, by=by, now=house.clock())

    return take


def state(house, desk, application):
    with house.database.read() as tx:
        return desk.get(tx, application).state


def verdict(house, licence):
    return house.ask(asking(licence.number, legal_basis=FOOD_BASIS), BANKER).verdict


def test_an_approved_purpose_is_answered_and_an_ended_one_is_not(house, desk, form, take, licence):
    applied = take("apply", form, by=CLERK)
    before = verdict(house, licence)
    take("approve", applied, by=ONE)
    during = verdict(house, licence)
    take("end", applied, "the service was closed", by=BOSS)

    assert (before, during, verdict(house, licence)) == ("not_permitted", "valid", "not_permitted")
    assert house.ask_now(asking(licence.number), BANKER).verdict == "not_permitted"
    assert house.purposes.of(BANK)[0].code == "loan-application"
    assert state(house, desk, applied) == "ended"


@pytest.mark.parametrize("act", [("approve",), ("refuse", "no")])
def test_who_applied_cannot_decide_about_it(house, desk, form, take, act):
    applied = take("apply", form, by=ONE)

    with pytest.raises(ApplicationFourEyes):
        take(act[0], applied, *act[1:], by=ONE)

    assert state(house, desk, applied) == "applied"


def test_the_database_refuses_one_person_for_two(house, form, take):
    applied = take("apply", form, by=ONE)
    table = purpose_applications

    for decided_by in ("one", None):
        one = update(table).where(table.c.id == applied)
        with pytest.raises(IntegrityError), house.database.write() as tx:
            tx.execute(one.values(state="approved", decided_by=decided_by))


@pytest.mark.parametrize(
    "by", [BOSS, STRANGER, BANKER, replace(BANKER, roles=frozenset({"operator"}))]
)
def test_only_an_operator_decides(form, take, by):
    applied = take("apply", form, by=CLERK)

    with pytest.raises(MayNotDecide):
        take("approve", applied, by=by)


def test_another_department_neither_applies_withdraws_nor_ends(form, take):
    applied = take("apply", form, by=CLERK)

    with pytest.raises(MayNotDecide):
        take("apply", form, by=STRANGER)
    with pytest.raises(MayNotDecide):
        take("withdraw", applied, by=STRANGER)
    take("approve", applied, by=ONE)
    with pytest.raises(MayNotDecide):
        take("end", applied, "because", by=STRANGER)


@pytest.mark.parametrize("last", [("refuse", "no"), ("withdraw",), ("approve",)])
def test_what_was_decided_is_decided_once(form, take, last):
    applied = take("apply", form, by=CLERK)
    take(last[0], applied, *last[1:], by=ONE)

    for again in (("approve",), ("refuse", "no"), ("withdraw",)):
        with pytest.raises(ApplicationDecided):
            take(again[0], applied, *again[1:], by=TWO)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_a_refusal_and_an_end_say_why(form, take, reason):
    applied = take("apply", form, by=CLERK)
    with pytest.raises(ReasonMissing):
        take("refuse", applied, reason, by=ONE)
    take("approve", applied, by=ONE)

    with pytest.raises(ReasonMissing):
        take("end", applied, reason, by=ONE)


def test_of_many_who_decide_at_once_one_is_first(house, desk, form, take):
    applied = take("apply", form, by=CLERK)
    done, start = [], threading.Barrier(4)

    def decide(act, *words, by):
        start.wait()
        with suppress(Conflict):
            take(act, applied, *words, by=by)
            done.append(act)

    acts = [("approve", ONE), ("approve", TWO), ("refuse", THREE), ("refuse", ONE)]
    threads = [
        threading.Thread(
            target=decide, args=(act, *(["no"] if act == "refuse" else [])), kwargs={"by": by}
        )
        for act, by in acts
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(done) == 1
    granted = FOOD_INSPECTION in [each.code for each in house.purposes.of(BANK)]
    assert granted == (done == ["approve"])
    assert state(house, desk, applied) == {"approve": "approved", "refuse": "refused"}[done[0]]


def test_two_applications_cannot_hold_one_purpose(house, desk, form, take, licence):
    first, second = (take("apply", form, by=CLERK) for _ in range(2))
    take("approve", first, by=ONE)

    with pytest.raises(PurposeHeld):
        take("approve", second, by=TWO)

    assert state(house, desk, second) == "applied"
    take("end", first, "replaced", by=TWO)
    take("approve", second, by=TWO)
    assert verdict(house, licence) == "valid"


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"organisation": "91990000MA1B00070"}, "/organisation"),
        ({"service_item": " "}, "/service_item"),
        ({"legal_bases": ("because",)}, "/legal_bases"),
        ({"legal_bases": ()}, "/legal_bases"),
        ({"types": ()}, "/types"),
        ({"types": ("no-such-type",)}, "/type"),
        ({"code": "curiosity"}, "/code"),
        ({"fields": ("shoe_size",)}, "/fields"),
        ({"fields": (), "predicates": ()}, "/fields"),
        ({"predicates": ("is_rich",)}, "/predicates"),
        ({"channel": "pigeon"}, "/channel"),
        ({"retention_days": -1}, "/retention_days"),
        ({"quota": 0}, "/quota"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_kept(house, desk, form, take, changed, pointer):
    with pytest.raises(PurposeNotAllowed) as refused:
        take("apply", replace(form, **changed), by=ONE)

    assert pointer in [each.pointer for each in refused.value.errors]
    assert all(each.detail for each in refused.value.errors)
    with house.database.read() as tx:
        assert desk.all(tx) == []


def test_an_ended_purpose_is_refused_in_batches_too(house, form, take, licence, run):
    applied = take("apply", form, by=CLERK)
    take("approve", applied, by=ONE)
    asked = BatchRequest((licence.number,), FOOD_INSPECTION, FOOD_BASIS, "1")
    during = run(house.verifications.verify_batch(BANKER, asked)).items[0].verdict
    take("end", applied, "over", by=ONE)

    after = run(house.verifications.verify_batch(BANKER, asked)).items[0].verdict
    assert (during, after) == ("valid", "not_permitted")


def test_what_was_written_as_a_reason_is_in_no_public_entry(house, form, take):
    applied = take("apply", form, by=CLERK)
    take("refuse", applied, "a reason about somebody", by=ONE)

    with house.database.read() as tx:
        leaves = [bytes(row.leaf).decode() for row in tx.execute(select(ledger_outbox.c.leaf))]
    acts = [leaf for leaf in leaves if applied in leaf]
    said = [("applied" in leaf, "refused" in leaf) for leaf in acts]
    assert sorted(said) == [(False, True), (True, False)], "an outbox has no order within a moment"
    assert all(BANK in leaf and "somebody" not in leaf for leaf in acts)
