"""What may be answered to whom, as plain values: no database, no file, no clock."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from certificates.models import FIELDS, HOLDER_CODE
from exchange import VerificationRequest
from exchange.models import EVERYONE, PUBLIC_CHECK, Purpose, Verdict
from exchange.rules import FAIL, NOT_CHECKED, PASS, UNKNOWN, RecordEvidence
from exchange.verification.decisions import (
    CheckedQuestion,
    Decision,
    Facts,
    HandedIn,
    answer,
    decide,
    entry_of,
    verdict_of,
)
from foundation.actor import SYSTEM
from ledger import EntryRef
from signing.formats.credential import CredentialReading
from tests.exchange.conftest import PERMIT as PERMIT_FIELDS
from tests.exchange.test_rules import AT, GOOD
from tests.exchange.test_rules import RECORD as BARE

LICENCE, PERMIT = "food-business-licence", "residence-permit"
FOOD_LAW, LOAN_LAW = "Food Safety Law, article 110", "Commercial Bank Law, article 35"
ADULT = PERMIT_FIELDS["resident_number"]
RECORD = replace(
    BARE,
    sealed_fields=BARE.cipher.encrypt(orjson.dumps({"name": "Zhang", "home": "Suzhou"}), FIELDS),
    sealed_holder_code=BARE.cipher.encrypt(ADULT.encode(), HOLDER_CODE),
)
FILE = {name: PASS[code] for name, code in (
    ("integrity", "document_intact"), ("seal", "seal_valid"),
    ("authority", "authority_confirmed"), ("time", "time_confirmed"),
)}  # fmt: skip
GENUINE = replace(RECORD, credential="signed~a~b", credential_format="dc+sd-jwt")


def credential(text: str) -> CredentialReading:
    return CredentialReading("dc+sd-jwt", text.encode(), GENUINE.identifier)


def code_saying(**facts: str) -> CredentialReading:
    return CredentialReading("cwt-qr", b"", GENUINE.identifier, facts=facts)


WHOLE = HandedIn(FILE, GENUINE.identifier, credential("signed~a~b"), "seal")


def purpose(type_name: str, basis: str, **changed: Any) -> Purpose:
    granted = Purpose("bureau", type_name, "loan-application", {}, (basis,), ())
    return replace(granted, **changed)


GRANTS = {LICENCE: purpose(LICENCE, FOOD_LAW), PERMIT: purpose(PERMIT, LOAN_LAW)}


def answered(
    basis: str = FOOD_LAW,
    *,
    grants: Mapping[str, Purpose] = GRANTS,
    record: Any = RECORD,
    evidence: RecordEvidence = GOOD,
    handed_in: HandedIn | None = None,
    shown: tuple[str, ...] = (),
    code: str = "loan-application",
) -> Decision:
    request = VerificationRequest(number="JY1", purpose=code, legal_basis=basis, case_ref="7")
    facts = Facts(grants, record, evidence, purpose_known=True)
    return decide(request, facts, AT, visible=lambda _: shown, handed_in=handed_in)


def said(decision: Decision) -> tuple[str, str]:
    return str(decision.assessment.outcome), decision.reason


# ── the basis and the type ───────────────────────────────────────────────────────────────────


def test_the_legal_basis_of_another_type_does_not_open_this_one():
    """One purpose, two types, two laws: what opens the permit does not open the licence."""
    assert said(answered(FOOD_LAW)) == ("valid", "")

    refused = answered(LOAN_LAW)

    assert said(refused) == ("not_permitted", "legal_basis_not_registered")
    assert (refused.fields, refused.predicates) == ({}, {})
    assert refused.basis_registered  # for the permit: so it is a word of ours, and may be public
    assert refused.record is RECORD  # the holder of the licence reads who asked


@pytest.mark.parametrize(
    ("grants", "basis", "reason", "of_form"),
    [
        ({}, FOOD_LAW, "purpose_not_held", True),
        (GRANTS, "because I want to", "legal_basis_not_registered", True),
        ({PERMIT: GRANTS[PERMIT]}, LOAN_LAW, "purpose_not_for_this_type", False),
        (GRANTS, LOAN_LAW, "legal_basis_not_registered", False),
    ],
)
def test_only_what_is_refused_before_the_register_is_asked_costs_a_guesser_nothing(
    grants, basis, reason, of_form
):
    refused = answered(basis, grants=grants)

    assert said(refused) == ("not_permitted", reason)
    assert (refused.of_form, refused.is_miss) == (of_form, not of_form)
    nowhere = answered(basis, grants=grants, record=None)
    assert said(nowhere) == (("not_permitted", reason) if of_form else ("not_found", ""))


def test_a_number_that_is_not_there_is_a_miss_and_an_answer_is_none():
    assert answered(record=None).is_miss
    assert not answered().is_miss


def test_an_open_purpose_stands_on_the_basis_of_the_type_whatever_was_said():
    """Nobody who checks a paper in hand is asked for a law, and none of theirs is repeated."""
    everyone = purpose(LICENCE, FOOD_LAW, organisation=EVERYONE, code=PUBLIC_CHECK)

    for claimed in ("", FOOD_LAW, "because I want to"):
        decision = answered(claimed, grants={LICENCE: everyone}, code=PUBLIC_CHECK)
        assert said(decision) == ("valid", "")
        assert decision.legal_basis == FOOD_LAW


# ── a file, against the register ─────────────────────────────────────────────────────────────


def handing_in(file: HandedIn = WHOLE, *, evidence: RecordEvidence = GOOD, **changed: Any):
    record = replace(GENUINE, **changed)
    return said(answered(handed_in=file, record=record, evidence=evidence))


def test_a_genuine_file_that_says_what_the_register_says_is_valid():
    assert handing_in() == ("valid", "")


@pytest.mark.parametrize("text", ["signed~a~b", "signed~b", "signed"])
def test_a_holder_may_disclose_less(text):
    assert handing_in(replace(WHOLE, said=credential(text))) == ("valid", "")


@pytest.mark.parametrize(
    "reading",
    [
        credential("other~a~b"),
        credential("signed~a~c"),
        None,
        code_saying(),
        code_saying(number="JY2"),
        code_saying(number="JY1", authority_name="Another"),
    ],
    ids=["another", "one disclosure more", "nothing", "no fact", "a number", "both, one wrong"],
)
def test_a_genuine_seal_over_something_else_is_tampered(reading):
    assert handing_in(replace(WHOLE, said=reading)) == ("tampered", "document_differs")


def test_a_code_is_compared_by_what_it_says():
    reading = code_saying(number="JY1", valid_until="2031-03-01")
    code = HandedIn({"integrity": PASS["code_intact"]}, GENUINE.identifier, reading)

    assert handing_in(code) == ("valid", "")
    assert handing_in(code, valid_until=None) == ("tampered", "document_differs")


def test_a_genuine_file_does_not_hide_a_record_that_was_altered():
    assert handing_in(evidence=replace(GOOD, intact=False)) == ("tampered", "record_altered")
    assert handing_in(evidence=replace(GOOD, intact=None)) == ("valid", "")


def test_another_seal_than_the_registered_one_is_tampered():
    assert handing_in(replace(WHOLE, seal_id="stolen")) == ("tampered", "seal_not_ours")


def test_a_seal_of_another_authority_is_tampered():
    someone = replace(GOOD, seal_owner="another authority")

    assert handing_in(evidence=someone) == ("tampered", "authority_differs")


@pytest.mark.parametrize(
    ("name", "code"),
    [("integrity", NOT_CHECKED), ("seal", "seal_unknown"), ("authority", "authority_unknown")],
)
def test_what_the_file_leaves_open_is_not_made_worse_by_the_register(name, code):
    """Nothing was read, so nothing differs: undecided is not forged."""
    file = replace(WHOLE, seal_id="", checks={**FILE, name: UNKNOWN[name, code]})
    if name != "seal":
        file = replace(file, seal_id="seal")

    outcome, reason = handing_in(file, evidence=replace(GOOD, seal_owner="authority"))

    assert (outcome, reason) == ("source_unavailable", code)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (HandedIn({"integrity": UNKNOWN["integrity", "no_document"]}, ours=False),
         ("not_a_certificate", "")),
        (HandedIn({"integrity": FAIL["integrity", "document_altered"]}),
         ("tampered", "document_altered")),
        (HandedIn({**FILE, "seal": FAIL["seal", "seal_not_in_force"]}),
         ("tampered", "seal_not_in_force")),
        (HandedIn(FILE), ("not_found", "")),
        (HandedIn({"integrity": UNKNOWN["integrity", NOT_CHECKED]}),
         ("source_unavailable", NOT_CHECKED)),
    ],
    ids=["a letter", "altered", "a stopped seal", "unknown here", "not read"],
)  # fmt: skip
def test_a_file_without_a_record_is_judged_by_what_it_says_of_itself(file, expected):
    assert said(answered(record=None, handed_in=file)) == expected


# ── what is shown, and what is kept ──────────────────────────────────────────────────────────


def test_only_what_purpose_and_catalogue_both_allow_is_shown():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name", "home", "shoe_size"))}

    assert answered(grants=wide, shown=("name", "shoe_size")).fields == {"name": "Zhang"}
    assert answered(grants=wide, shown=()).fields == {}


def test_an_undecided_answer_shows_nothing():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name",), predicates=("valid_today",))}
    doubted = replace(GOOD, witnessed=False)

    decision = answered(grants=wide, shown=("name",), evidence=doubted)

    assert said(decision) == ("source_unavailable", "status_contradicted")
    assert (decision.fields, decision.predicates) == ({}, {})


def test_yes_or_no_is_answered_only_when_the_purpose_asks():
    asked = {LICENCE: purpose(LICENCE, FOOD_LAW, predicates=("holder_is_adult", "valid_today"))}

    assert answered(grants=asked).predicates == {"holder_is_adult": True, "valid_today": True}
    none = {LICENCE: purpose(LICENCE, FOOD_LAW, predicates=())}
    assert answered(grants=none).predicates == {}


REF = EntryRef("e1", b"", b"", {})
REQUEST = VerificationRequest(
    number="JY1", purpose="loan-application", legal_basis=FOOD_LAW, case_ref="7"
)


def entry(decision: Decision, basis: str = FOOD_LAW, **more: str) -> Any:
    return entry_of(replace(REQUEST, legal_basis=basis), decision, SYSTEM, AT, **more)


def test_the_entry_of_a_refusal_names_the_holder_and_of_a_miss_nobody():
    refused, missed = entry(answered(LOAN_LAW), LOAN_LAW), entry(answered(record=None))

    assert (refused.subject, refused.certificate) == (RECORD.subject, RECORD.identifier)
    assert missed.subject != entry(answered(record=None)).subject
    assert missed.subject != missed.certificate
    assert len(missed.subject) == len(missed.certificate) == 64


def test_a_basis_of_ours_is_public_and_a_word_of_the_askers_own_is_committed_to():
    ours = entry(answered(LOAN_LAW), LOAN_LAW)
    theirs = entry(answered("on the quiet"), "on the quiet")

    assert (ours.legal_basis, "legal_basis" in ours.private) == (LOAN_LAW, False)
    assert (theirs.legal_basis, theirs.private["legal_basis"]) == ("", "on the quiet")
    assert "legal_basis" not in entry(answered(""), "").private


def test_a_purpose_that_the_catalogue_does_not_know_is_committed_to():
    known = answered()
    assert (entry(known).purpose, "purpose" in entry(known).private) == ("loan-application", False)

    unknown = entry(replace(known, purpose_known=False))

    assert (unknown.purpose, unknown.private["purpose"]) == ("", "loan-application")


def test_the_public_checks_open_nobodys_number():
    """Only who asks for the age has the holder's number decrypted."""
    unreadable = replace(RECORD, sealed_holder_code=b"")
    asked = {LICENCE: purpose(LICENCE, FOOD_LAW, predicates=("valid_today",))}

    assert answered(grants=asked, record=unreadable).predicates == {"valid_today": True}


def test_of_two_open_checks_the_one_that_decided_is_named():
    both = replace(GOOD, intact=None, witnessed=False)

    assert said(answered(evidence=both)) == ("source_unavailable", "status_contradicted")
    assert said(answered(evidence=replace(GOOD, intact=None)))[1] == NOT_CHECKED


def test_what_was_shown_is_kept_in_one_order_whatever_the_purpose_says():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name", "home"))}
    kept = entry(answered(grants=wide, shown=("name", "home")))

    assert kept.disclosed == ("name", "home")
    assert kept.private["shown"] == '{"home":"Suzhou","name":"Zhang"}'


def test_an_answer_is_kept_whole_and_its_values_only_committed_to():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name",), predicates=("valid_today",))}
    kept = entry(answered(grants=wide, shown=("name",)), batch="b1")

    assert (kept.kind, kept.actor, kept.at) == ("exchange.verified", SYSTEM, AT)
    assert (kept.verdict, kept.case_ref) == ("valid", "7")
    assert kept.disclosed == ("name", "valid_today")
    assert kept.details == {
        "checks": "pass:record_intact pass:seal_valid pass:authority_confirmed "
        "pass:time_confirmed pass:active pass:within_validity",
        "batch": "b1",
    }
    assert kept.private == {"asked": "number:JY1", "shown": '{"name":"Zhang","valid_today":true}'}


def test_of_what_was_not_answered_only_the_question_and_the_reason_are_kept():
    kept = entry(answered(LOAN_LAW), LOAN_LAW)

    assert kept.verdict == "not_permitted"
    assert kept.details["reason"] == "legal_basis_not_registered"
    assert "batch" not in kept.details
    assert kept.private == {"asked": "number:JY1"}
    assert kept.disclosed == ()
    assert "reason" not in entry(answered()).details
    for alone in ({"fields": {"name": "Zhang"}}, {"predicates": {"valid_today": True}}):
        assert "shown" in entry(replace(answered(), **alone)).private


def test_a_verdict_tells_what_was_decided():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name",), predicates=("valid_today",))}
    decision = answered(grants=wide, shown=("name",))

    verdict = verdict_of(REQUEST, decision, AT, REF, "r1", "signed")

    assert verdict.identifier == RECORD.identifier  # two verdicts may differ in it and be equal
    assert verdict == Verdict(
        verdict="valid",
        checks=decision.assessment.checks,
        fields={"name": "Zhang"},
        predicates={"valid_today": True},
        type=LICENCE,
        issuing_authority="authority",
        authority_name="Authority",
        purpose="loan-application",
        legal_basis=FOOD_LAW,
        case_ref="7",
        checked_at=AT,
        entry_id=REF.id,
        receipt_id="r1",
        receipt="signed",
        reason="",
        next_step="",
        identifier=RECORD.identifier,
    )


@pytest.mark.parametrize("doubted", [replace(GOOD, witnessed=False), None])
def test_a_silent_verdict_does_not_name_the_certificate_it_is_silent_about(doubted):
    """`decision.record` is there, for the ledger alone."""
    decision = answered(evidence=doubted) if doubted else answered(LOAN_LAW)
    verdict = verdict_of(REQUEST, decision, AT, REF, "r1", "")

    assert decision.record is RECORD
    assert (verdict.type, verdict.issuing_authority, verdict.authority_name) == ("", "", "")
    assert verdict.identifier == ""
    assert verdict.reason == decision.reason
    assert verdict.next_step


# ── questions together ───────────────────────────────────────────────────────────────────────


def asked(number: str, **more: Any) -> CheckedQuestion:
    request = VerificationRequest(
        number=number, purpose="loan-application", legal_basis=FOOD_LAW, case_ref="7"
    )
    return CheckedQuestion(request, ("bureau", "loan-application", "number", number), **more)


def test_questions_are_answered_in_their_order_each_by_what_was_found_for_it():
    wide = {LICENCE: purpose(LICENCE, FOOD_LAW, fields=("name",))}
    known, forbidden, unknown = asked("JY1"), asked("JY2"), asked("JY3")
    facts = {
        forbidden.key: Facts(GRANTS | {LICENCE: GRANTS[PERMIT]}, RECORD, GOOD),
        known.key: Facts(wide, RECORD, GOOD, purpose_known=True),
    }

    decisions = answer([known, forbidden, unknown], facts, AT, visible=lambda _: ("name",))

    assert [str(each.assessment.outcome) for each in decisions] == [
        "valid",
        "not_permitted",
        "not_permitted",
    ]
    assert decisions[0].fields == {"name": "Zhang"}
    assert [each.of_form for each in decisions] == [False, True, True]
    assert [each.record for each in decisions] == [RECORD, RECORD, None]


def test_what_was_handed_in_is_held_against_the_register():
    """Bytes that are another's are no proof of this record."""
    other = replace(WHOLE, said=credential("signed~other"))
    facts = Facts(GRANTS, GENUINE, GOOD, purpose_known=True)
    questions = [asked("JY1", handed_in=WHOLE), asked("JY1", handed_in=other)]

    decisions = answer(questions, {questions[0].key: facts}, AT, visible=lambda _: ())

    assert [each.assessment.checks[0].result for each in decisions] == ["pass", "fail"]


def test_a_show_code_that_is_over_opens_nothing_and_counts_as_a_guess():
    question = asked("JY1", code_over=True, handed_in=WHOLE)
    facts = Facts(GRANTS, RECORD, GOOD, purpose_known=True)

    [over] = answer([question], {question.key: facts}, AT, visible=lambda _: ("name",))

    assert said(over) == ("not_permitted", "show_code_expired")
    assert (over.fields, over.predicates) == ({}, {})
    assert (over.record, over.purpose_known) == (RECORD, True)
    assert over.of_form is False
