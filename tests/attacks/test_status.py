"""Attacks on the status (54): somebody who can write into the tables, and has no key of ours."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Executable, Table, delete, select, update

from certificates.errors import StatusContradicted
from certificates.models import certificates, status_changes, status_lists
from certificates.rules import State
from exchange.verification.requests import BatchRequest
from foundation.actor import ANONYMOUS
from ledger.entries import certificate_index
from ledger.models import ledger_accesses, ledger_status_acts
from tests.exchange.conftest import (
    FOOD_BASIS,
    FOOD_INSPECTION,
    INSPECTOR,
    asking,
    house,
    licence,
    renderer,
    types,
)

__all__ = ["house", "licence", "renderer", "types"]  # fixtures of the exchange's own tests


def copied(house, table: Table, where: Any = None) -> list[dict[str, Any]]:
    """Rows as somebody has them in an old copy."""
    query = select(table) if where is None else select(table).where(where)
    with house.database.read() as tx:
        return [dict(row) for row in tx.execute(query).mappings()]


def of(licence, table: Table = certificates) -> Any:
    return (table.c.record if table is ledger_status_acts else table.c.id) == licence.id


def written(house, *statements: Any) -> None:
    with house.database.write() as tx:
        for statement in statements:
            assert tx.execute(statement).rowcount


def answers(house, licence) -> Sequence[Any]:
    """Every way to ask about a certificate."""
    pdf = house.certificates.pdf(house.holder(licence), licence.identifier)
    batch = BatchRequest((licence.number,), FOOD_INSPECTION, FOOD_BASIS, "2026-检-0417")
    return (
        house.ask(asking(licence.number)),
        house.ask(asking(licence.identifier)),
        house.ask_now(asking(licence.number)),
        house.ask(asking(document=pdf)),
        house.ask(asking(qr_text=f"/v/{licence.qr_token}")),
        house.verifications.open(licence.qr_token, ANONYMOUS),
        *asyncio.run(house.verifications.verify_batch(INSPECTOR, batch)).items,
    )


@pytest.fixture
def revoked(house, licence):
    house.change(licence, State.REVOKED, "serious_violation")
    return licence


def must_be_undecided(house, licence) -> None:
    for verdict in answers(house, licence):
        status = verdict.checks[4]
        assert (verdict.verdict, verdict.reason) == ("source_unavailable", "status_contradicted")
        assert (status.result, status.code) == ("unknown", "status_contradicted")
        assert not verdict.fields
        assert not verdict.predicates


def test_54_what_nobody_wrote_to_is_decided(house, licence):
    assert {verdict.verdict for verdict in answers(house, licence)} == {"valid"}

    for state, reason in (
        (State.SUSPENDED, "under_investigation"),
        (State.ACTIVE, "suspension_lifted"),
        (State.REVOKED, "serious_violation"),
    ):
        house.change(licence, state, reason)
        expected = "valid" if state is State.ACTIVE else str(state)
        assert {verdict.verdict for verdict in answers(house, licence)} == {expected}
    assert house.certificates.fsck().ok


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "active"},
        {"state": "active", "state_reason": ""},
        {"state": "suspended"},
        {"state_reason": "register_record"},
    ],
    ids=lambda changed: "-".join(changed.values()),
)
def test_54_one_update_makes_no_revoked_licence_valid(house, revoked, changed):
    written(house, update(certificates).where(of(revoked)).values(**changed))

    must_be_undecided(house, revoked)
    assert any(revoked.identifier in each for each in house.certificates.fsck().problems)


def test_54_an_old_row_that_is_put_back_is_noticed(house, licence):
    [old] = copied(house, certificates, of(licence))
    house.change(licence, State.REVOKED, "serious_violation")

    written(house, update(certificates).where(of(licence)).values(**old))

    must_be_undecided(house, licence)


def test_54_a_row_from_before_a_suspension_is_noticed_after_it_was_lifted_and_revoked(
    house, licence
):
    house.change(licence, State.SUSPENDED, "under_investigation")
    house.clock.advance(timedelta(days=1))
    house.change(licence, State.ACTIVE, "suspension_lifted")
    [old] = copied(house, certificates, of(licence))
    house.change(licence, State.REVOKED, "serious_violation")

    written(house, update(certificates).where(of(licence)).values(**old))

    must_be_undecided(house, licence)


@pytest.mark.parametrize("lost", ["deleted", "emptied"])
def test_54_without_its_act_no_status_counts(house, revoked, lost):
    acts = of(revoked, ledger_status_acts)
    gone: Executable = delete(ledger_status_acts).where(acts)
    if lost == "emptied":
        gone = update(ledger_status_acts).where(acts).values(tag="")
    written(house, gone, update(certificates).where(of(revoked)).values(state="active"))

    must_be_undecided(house, revoked)
    assert house.certificates.fsck().problems


def test_54_an_old_act_that_is_put_back_alone_is_noticed(house, licence):
    [old] = copied(house, ledger_status_acts, of(licence, ledger_status_acts))
    house.change(licence, State.REVOKED, "serious_violation")

    acts = of(licence, ledger_status_acts)
    written(house, update(ledger_status_acts).where(acts).values(**old))

    must_be_undecided(house, licence)


@pytest.mark.parametrize("with_row", [False, True], ids=["act", "act-and-row"])
def test_54_the_act_of_another_certificate_does_not_fit(house, revoked, with_row):
    other = house.issue()
    [theirs] = copied(house, ledger_status_acts, of(other, ledger_status_acts))
    row = {"state": "active", "state_reason": "", "state_since": other.state_since}
    written(
        house,
        update(ledger_status_acts)
        .where(of(revoked, ledger_status_acts))
        .values({**theirs, "record": revoked.id}),
        update(certificates).where(of(revoked)).values(row if with_row else {"state": "active"}),
    )

    must_be_undecided(house, revoked)
    assert house.ask(asking(other.number)).verdict == "valid"


def test_54_row_act_and_list_put_back_together_are_found_by_fsck(house, licence):
    """What no single read can see, and `docs/threats.md` says so: everything of an old copy."""
    tables = (certificates, ledger_status_acts, status_changes, status_lists)
    [old_row], [old_act], _, [old_list] = (copied(house, table) for table in tables)
    house.change(licence, State.REVOKED, "serious_violation")
    house.ledger.integrate_all()
    written(
        house,
        update(certificates).values(**old_row),
        update(ledger_status_acts).values(**old_act),
        delete(status_changes),
        update(status_lists).values(**old_list),
    )

    problems = house.certificates.fsck().problems

    assert any("the log's act 2 made it revoked" in problem for problem in problems)
    assert house.ledger.fsck().ok


def test_54_no_act_is_built_on_a_status_that_is_contradicted(house, revoked):
    written(house, update(certificates).where(of(revoked)).values(state="suspended"))

    with pytest.raises(StatusContradicted):
        house.change(revoked, State.ACTIVE, "suspension_lifted")

    must_be_undecided(house, revoked)


@pytest.mark.parametrize("lost", ["row", "act", "both"])
def test_54_settling_takes_the_log_s_word(house, revoked, lost):
    if lost in {"row", "both"}:
        written(house, update(certificates).where(of(revoked)).values(state="active"))
    if lost in {"act", "both"}:
        written(house, delete(ledger_status_acts))

    outcome = house.certificates.settle_statuses()

    said = "witnessed" if lost == "act" else "restored"
    assert outcome == {said: [revoked.identifier]}
    assert {verdict.verdict for verdict in answers(house, revoked)} == {"revoked"}
    kinds = [each.kind for each in house.ledger.history(revoked.identifier)]
    assert kinds.count("certificate.status_settled") == (lost != "act")
    assert house.certificates.fsck().ok
    assert house.certificates.settle_statuses() == {}


def test_54_settling_takes_nobody_s_word_that_a_licence_is_in_force(house, licence):
    """Another certificate's entries, filed under this one, prove nothing; nor does silence."""
    other = house.issue()
    house.change(licence, State.REVOKED, "serious_violation")
    mine, theirs = (
        ledger_accesses.c.certificate == certificate_index(house.database.cipher, each.identifier)
        for each in (licence, other)
    )
    rows = copied(house, ledger_accesses, mine) + copied(house, ledger_accesses, theirs)
    written(
        house,
        update(certificates).where(of(licence)).values(state="active", state_reason=""),
        delete(ledger_status_acts).where(of(licence, ledger_status_acts)),
        update(ledger_accesses).where(mine).values(certificate="hidden"),
        update(ledger_accesses).where(theirs).values(certificate=rows[0]["certificate"]),
    )

    assert house.certificates.settle_statuses() == {"unknown": [licence.identifier]}

    must_be_undecided(house, licence)
    for row in rows:
        same = ledger_accesses.c.entry_id == row["entry_id"]
        written(house, update(ledger_accesses).where(same).values(**row))
