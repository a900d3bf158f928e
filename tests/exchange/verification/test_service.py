"""One question, one verdict, one entry: the whole way through real rooms."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import update

from certificates.models import FIELDS, certificates
from certificates.rules import State
from exchange import VerificationRequest
from exchange.verification.requests import BatchRequest
from foundation.actor import ANONYMOUS
from tests.exchange.conftest import BANKER, FOOD, FOOD_BASIS, INSPECTOR, LI, PERMIT, asking

PERSONAL = ("legal_representative", "registered_address")


def results(verdict):
    return {check.name: (check.result, check.code) for check in verdict.checks}


def test_a_licence_in_force_verifies_by_number(house, licence):
    verdict = house.ask(asking(licence.number))

    assert verdict.verdict == "valid"
    assert [(check.name, check.result) for check in verdict.checks] == [
        ("integrity", "pass"),
        ("seal", "pass"),
        ("authority", "pass"),
        ("time", "pass"),
        ("status", "pass"),
        ("validity", "pass"),
    ]
    assert verdict.fields["operator_name"] == FOOD["operator_name"]
    assert verdict.type == "food-business-licence"
    assert verdict.issuing_authority == licence.issuing_authority
    assert verdict.predicates == {"valid_today": True}


def test_the_national_identifier_is_as_good_as_the_number(house, licence):
    assert house.ask(asking(licence.identifier)).verdict == "valid"


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda number: f" {number[:4]} {number[4:]}\n",
        lambda number: "".join(chr(ord(character) + 0xFEE0) for character in number),
        lambda number: f"\u3000{number[:6]}\u00a0{number[6:]}",
    ],
    ids=["small letters", "spaces", "full width", "wide spaces"],
)
def test_a_number_is_found_however_it_is_typed(house, licence, typed):
    for number in (licence.number, licence.identifier):
        assert house.ask(asking(typed(number))).verdict == "valid"


def test_both_lanes_give_the_same_answer(house, licence):
    fast, slow = house.ask(asking(licence.number)), house.ask_now(asking(licence.number))

    different = {"entry_id", "receipt_id", "receipt"}
    names = set(type(fast).__dataclass_fields__) - different
    assert {n: getattr(fast, n) for n in names} == {n: getattr(slow, n) for n in names}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.SUSPENDED, "under_investigation"),
        (State.REVOKED, "serious_violation"),
        (State.WITHDRAWN, "wrongly_granted"),
        (State.CANCELLED, "holder_request"),
    ],
)
def test_the_verdict_follows_the_state_at_once(house, licence, state, reason):
    assert house.ask(asking(licence.number)).verdict == "valid"

    house.change(licence, state, reason)

    verdict = house.ask(asking(licence.number))
    assert verdict.verdict == state.value
    assert results(verdict)["status"] == ("fail", state.value)
    assert verdict.predicates == {"valid_today": False}
    assert verdict.next_step


def test_a_suspension_that_ends_makes_it_valid_again(house, licence):
    house.change(licence, State.SUSPENDED, "under_investigation")
    house.change(licence, State.ACTIVE, "suspension_lifted")

    assert house.ask(asking(licence.number)).verdict == "valid"


def test_a_licence_expires_by_itself(house, licence):
    house.clock.advance(timedelta(days=5 * 366))

    assert house.ask(asking(licence.number)).verdict == "expired"


def test_an_unknown_number_is_not_found_and_logged(house):
    verdict = house.ask(asking("JY00000000000000"))

    assert verdict.verdict == "not_found"
    assert {check.result for check in verdict.checks} == {"unknown"}
    file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)
    assert file["entries"][0]["openings"]["private.asked"]["value"] == "number:JY00000000000000"


def test_an_asker_sees_only_what_the_purpose_allows(house, licence):
    request = asking(
        licence.number,
        purpose="loan-application",
        legal_basis=house.catalogue["food-business-licence"]
        .purposes["loan-application"]
        .legal_basis,
    )

    verdict = house.ask(request, BANKER)

    assert verdict.verdict == "valid"
    allowed = set(house.catalogue["food-business-licence"].visible("loan-application"))
    assert set(verdict.fields) == allowed & set(licence.fields)
    assert not set(PERSONAL) & set(verdict.fields)


def test_a_purpose_of_another_department_is_not_permitted(house, licence):
    verdict = house.ask(asking(licence.number), BANKER)

    assert verdict.verdict == "not_permitted"
    assert verdict.reason == "purpose_not_held"
    assert verdict.fields == {}
    assert verdict.type == verdict.issuing_authority == verdict.authority_name == ""


def test_a_purpose_for_another_type_is_not_permitted(house):
    permit = house.issue("residence-permit")

    verdict = house.ask(asking(permit.number))

    assert (verdict.verdict, verdict.reason) == ("not_permitted", "purpose_not_for_this_type")


def test_a_legal_basis_nobody_registered_is_not_permitted(house, licence):
    verdict = house.ask(asking(licence.number, legal_basis="because I want to"))

    assert (verdict.verdict, verdict.reason) == ("not_permitted", "legal_basis_not_registered")


def test_the_holder_sees_who_looked_and_why(house, licence):
    house.ask(asking(licence.number))

    seen = house.looks(licence)[0]

    assert seen.organisation_name == "示例市食品安全局"
    assert seen.purpose == "food-inspection"
    assert seen.legal_basis == FOOD_BASIS
    assert seen.case_ref == "2026-检-0417"
    assert seen.verdict == "valid"
    assert "operator_name" in seen.disclosed
    assert seen.certificate == licence.identifier


def test_the_holder_sees_refused_attempts_too(house, licence):
    house.ask(asking(licence.number), BANKER)

    seen = house.looks(licence)[0]

    assert (seen.verdict, seen.organisation_name) == ("not_permitted", "示例银行")


def test_the_public_log_holds_no_personal_value(house, licence):
    verdict = house.ask(asking(licence.number))
    file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)

    leaf = file["entries"][0]["entry"]

    for value in (*FOOD.values(), licence.number, licence.identifier, licence.subject, "2026-检"):
        assert value not in leaf


def test_a_free_text_basis_of_a_refused_question_stays_out_of_the_public_log(house, licence):
    text = "about Zhang Jianguo, 13800000000"
    verdict = house.ask(asking(licence.number, legal_basis=text))

    file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)

    assert text not in file["entries"][0]["entry"]
    assert file["entries"][0]["openings"]["private.legal_basis"]["value"] == text


def test_a_record_changed_behind_our_back_is_tampered(house, licence):
    assert house.ask(asking(licence.number)).verdict == "valid"
    forged = {**licence.fields, "operator_name": "forged"}
    sealed = house.database.cipher.encrypt(orjson.dumps(forged), FIELDS)
    with house.database.write() as tx:
        tx.execute(update(certificates).values(fields=sealed))

    verdict = house.ask(asking(licence.number))

    assert verdict.verdict == "tampered"
    assert results(verdict)["integrity"] == ("fail", "record_altered")


def test_a_longer_validity_written_behind_our_back_is_tampered(house, licence):
    house.ask(asking(licence.number))
    with house.database.write() as tx:
        tx.execute(
            update(certificates).values(valid_until=licence.valid_until + timedelta(days=3650))
        )

    assert house.ask(asking(licence.number)).verdict == "tampered"


def test_another_owner_of_the_seal_is_noticed(house, licence):
    with house.database.write() as tx:
        tx.execute(update(certificates).values(issuing_authority="11990000MB1A00028X"))

    verdict = house.ask(asking(licence.number))

    assert verdict.verdict == "tampered"
    assert results(verdict)["authority"] == ("fail", "authority_differs")


def test_revoking_a_seal_does_not_reach_back(house, licence):
    house.clock.advance(timedelta(days=1))
    with house.database.write() as tx:
        house.seals.revoke(tx, licence.seal_id, by=LI, now=house.clock(), reason="lost")

    assert house.ask(asking(licence.number)).verdict == "valid"


def test_two_questions_at_once_share_one_read_and_are_both_right(house, licence, run):
    other = house.issue(operator_name="另一家面馆")
    house.change(other, State.REVOKED, "serious_violation")

    async def both():
        import asyncio

        numbers = [licence.number, other.number, "JY-none"] * 20
        asked = [house.verifications.verify(INSPECTOR, asking(number)) for number in numbers]
        return await asyncio.gather(*asked)

    verdicts = [verdict.verdict for verdict in run(both())]

    assert verdicts == ["valid", "revoked", "not_found"] * 20


def test_a_public_check_shows_public_fields_and_needs_no_case(house, licence):
    verdict = house.ask_now(
        VerificationRequest(number=licence.number, purpose="public-check"), ANONYMOUS
    )

    assert verdict.verdict == "valid"
    assert verdict.legal_basis
    assert not set(PERSONAL) & set(verdict.fields)


def test_a_public_check_of_a_permit_hides_the_resident_number(house):
    permit = house.issue("residence-permit")

    verdict = house.ask_now(
        VerificationRequest(number=permit.number, purpose="public-check"), ANONYMOUS
    )

    assert verdict.verdict == "valid"
    assert PERMIT["resident_number"] not in verdict.fields.values()


def test_a_batch_has_one_verdict_each_and_one_receipt(house, licence, run):
    other = house.issue(operator_name="另一家面馆")
    house.change(other, State.REVOKED, "serious_violation")
    numbers = (licence.number, other.number, "JY-none", licence.number)
    request = asking()
    batch = BatchRequest(numbers, request.purpose, request.legal_basis, request.case_ref)

    answer = run(house.verifications.verify_batch(INSPECTOR, batch))

    assert [item.verdict for item in answer.items] == ["valid", "revoked", "not_found", "valid"]
    assert len({item.entry_id for item in answer.items}) == 4
    assert answer.items[0].fields == house.ask(asking(licence.number)).fields
    assert [seen.verdict for seen in house.looks(other)] == ["revoked"]


def test_every_answer_says_the_same_things_in_the_same_shape(house, licence):
    permit = house.issue("residence-permit")
    missing = house.ask(asking("JY-none"))
    forbidden = house.ask(asking(permit.number))

    blank = {
        "verdict": "",
        "reason": "",
        "next_step": "",
        "entry_id": "",
        "receipt_id": "",
        "receipt": "",
    }
    assert replace(missing, **blank) == replace(forbidden, **blank)
