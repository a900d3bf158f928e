"""Six checks and one verdict, as plain values: no database, no clock."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from certificates.identifier import resident_check
from certificates.models import Certificate
from certificates.rules import State
from exchange import rules
from exchange.rules import Outcome, RecordEvidence
from foundation.encryption import FieldCipher

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
GOOD = RecordEvidence(intact=True, witnessed=True, seal_in_force=True, seal_owner="authority")
RECORD = Certificate(
    id="1",
    identifier="1.2.156.3005.2.X",
    number="JY1",
    type="food-business-licence",
    type_version=1,
    issuing_authority="authority",
    authority_name="Authority",
    holder_kind="organisation",
    subject="s" * 64,
    issued_on=date(2026, 3, 2),
    valid_from=date(2026, 3, 2),
    valid_until=date(2031, 3, 1),
    state=State.ACTIVE,
    state_since=AT,
    state_reason="",
    issued_at=AT - timedelta(days=200),
    status_list=1,
    status_index=1,
    qr_token="t",
    record_digest="",
    content_digest="",
    seal_id="seal",
    drafter="wang",
    approver="li",
    approved_at=AT,
    credential_format="dc+sd-jwt",
    credential="",
    sealed_fields=b"",
    sealed_holder_code=b"",
    sealed_holder_name=b"",
    act_ordinal=None,
    act_entry=None,
    act_tag=None,
    cipher=FieldCipher(b"k" * 32),
)


def outcome(at=AT, evidence=GOOD, **changed):
    return rules.assess(replace(RECORD, **changed), at, evidence).outcome


def test_everything_in_order_is_valid():
    assessment = rules.assess(RECORD, AT, GOOD)

    assert assessment.outcome is Outcome.VALID
    assert [check.name for check in assessment.checks] == [
        "integrity",
        "seal",
        "authority",
        "time",
        "status",
        "validity",
    ]


@pytest.mark.parametrize("state", ["suspended", "revoked", "withdrawn", "cancelled", "superseded"])
def test_a_state_of_the_law_is_the_verdict(state):
    assessment = rules.assess(replace(RECORD, state=State(state)), AT, GOOD)

    assert assessment.outcome == state
    assert assessment.checks[4].code == state


@pytest.mark.parametrize(
    ("evidence", "check", "code"),
    [
        (replace(GOOD, intact=False), 0, "record_altered"),
        (replace(GOOD, seal_in_force=False), 1, "seal_not_in_force"),
        (replace(GOOD, seal_owner="somebody else"), 2, "authority_differs"),
    ],
)
def test_what_is_not_genuine_is_tampered_whatever_its_state(evidence, check, code):
    for state in (State.ACTIVE, State.REVOKED):
        assessment = rules.assess(replace(RECORD, state=state), AT, evidence)

        assert assessment.outcome is Outcome.TAMPERED
        assert (assessment.checks[check].result, assessment.checks[check].code) == ("fail", code)


def test_a_certificate_sealed_in_the_future_is_not_believed():
    sealed_ahead = replace(RECORD, issued_at=AT + timedelta(hours=1))
    assessment = rules.assess(sealed_ahead, AT, GOOD)

    assert assessment.outcome is Outcome.SOURCE_UNAVAILABLE
    assert (assessment.checks[3].result, assessment.checks[3].code) == ("unknown", "time_in_future")


@pytest.mark.parametrize("document", ["time_confirmed", "time_not_confirmed"])
def test_a_document_does_not_make_a_time_in_the_future_good(document):
    checks = [rules.PASS.get(document) or rules.UNKNOWN["time", document]]
    sealed_ahead = replace(RECORD, issued_at=AT + timedelta(hours=1))

    for record, expected in ((sealed_ahead, "source_unavailable"), (RECORD, "valid")):
        assert rules.assess(record, AT, GOOD, {"time": checks[0]}).outcome == expected


def test_a_wrong_clock_says_nothing_about_today_but_revoked_is_revoked():
    ahead = AT + timedelta(days=400)
    over = {"valid_until": date(2026, 11, 1), "issued_at": ahead}
    begun = {"valid_from": date(2027, 11, 1), "issued_at": ahead}

    assert outcome(**over) is outcome(**begun) is Outcome.SOURCE_UNAVAILABLE
    assert outcome(state=State.REVOKED, issued_at=ahead) is Outcome.REVOKED
    assert outcome(evidence=replace(GOOD, intact=False), issued_at=ahead) is Outcome.TAMPERED


def test_a_time_outside_the_seals_period_is_undecided_and_a_stopped_seal_is_not():
    outside = rules.assess(RECORD, AT, replace(GOOD, seal_in_force=None))

    assert (outside.outcome, outside.checks[1].code) == (
        "source_unavailable",
        "seal_outside_period",
    )
    assert outcome(evidence=replace(GOOD, seal_in_force=False)) is Outcome.TAMPERED


def test_a_contradicted_status_is_undecided_whatever_else_is_wrong_in_time():
    doubted = replace(GOOD, witnessed=False)
    for changed in ({}, {"state": State.REVOKED}, {"valid_until": date(2026, 11, 1)}):
        assert outcome(evidence=doubted, **changed) is Outcome.SOURCE_UNAVAILABLE
    assert outcome(evidence=replace(doubted, intact=False)) is Outcome.TAMPERED


def test_a_clock_that_differs_by_two_minutes_is_forgiven():
    assert outcome(issued_at=AT + timedelta(minutes=2)) is Outcome.VALID
    late = AT + timedelta(minutes=2, microseconds=1)
    assert outcome(issued_at=late) is Outcome.SOURCE_UNAVAILABLE


@pytest.mark.parametrize(
    ("place", "check"),
    [
        (0, rules.FAIL["integrity", "document_altered"]),
        (1, rules.FAIL["seal", "seal_not_ours"]),
        (2, rules.UNKNOWN["authority", "authority_unknown"]),
        (3, rules.UNKNOWN["time", "time_not_confirmed"]),
    ],
)
def test_what_a_document_says_of_itself_replaces_what_the_register_says(place, check):
    """Each check in its own place, and no other check with it."""
    ours = rules.assess(RECORD, AT, GOOD).checks
    seen = rules.assess(RECORD, AT, GOOD, {check.name: check}).checks

    assert seen == (*ours[:place], check, *ours[place + 1 :])


@pytest.mark.parametrize("name", ["status", "validity"])
def test_no_document_speaks_of_status_and_validity(name):
    claimed = {name: rules.UNKNOWN[name, rules.NOT_CHECKED]}

    assert rules.assess(RECORD, AT, GOOD, claimed) == rules.assess(RECORD, AT, GOOD)


def test_a_seal_that_is_not_known_is_not_called_one_outside_its_period():
    nobody = replace(GOOD, seal_in_force=None, seal_owner=None)

    assert rules.assess(RECORD, AT, nobody).checks[1].code == "seal_unknown"


@pytest.mark.parametrize("table", [rules.PASS, rules.FAIL, rules.UNKNOWN])
def test_every_check_says_what_its_code_means(table):
    for key, check in table.items():
        said = rules.REASONS[check.name].get(check.code, "This was not checked.")
        assert key in (check.code, (check.name, check.code))
        assert check.detail == said


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC), Outcome.NOT_YET_VALID),
        (datetime(2026, 3, 1, 16, 0, tzinfo=UTC), Outcome.VALID),
        (datetime(2031, 3, 1, 15, 59, 59, tzinfo=UTC), Outcome.VALID),
        (datetime(2031, 3, 1, 16, 0, tzinfo=UTC), Outcome.EXPIRED),
    ],
)
def test_the_first_and_last_day_are_whole_days_where_it_was_issued(at, expected):
    assert outcome(at, issued_at=datetime(2026, 2, 1, tzinfo=UTC)) is expected


def test_a_certificate_without_end_does_not_expire():
    assert outcome(datetime(2126, 1, 1, tzinfo=UTC), valid_until=None) is Outcome.VALID


def test_revoked_outweighs_expired_and_expired_outweighs_suspended():
    later = datetime(2032, 1, 1, tzinfo=UTC)

    assert outcome(later, state=State.REVOKED) is Outcome.REVOKED
    assert outcome(later, state=State.SUSPENDED) is Outcome.EXPIRED


def test_without_evidence_nothing_is_called_valid():
    assert outcome(evidence=RecordEvidence(witnessed=True)) is Outcome.SOURCE_UNAVAILABLE
    assert outcome(evidence=RecordEvidence(True, True)) is Outcome.SOURCE_UNAVAILABLE


def test_silent_verdicts_are_six_unknown_checks():
    for silent in rules.SILENT:
        checks = rules.silent(silent).checks
        assert {check.result for check in checks} == {"unknown"}
        assert len(checks) == 6


def test_only_what_purpose_and_catalogue_both_allow_is_shown():
    assert rules.disclose(("a", "b"), ("b", "c")) == ("b",)
    assert rules.select({"b": "1"}, ("b", "c")) == {"b": "1"}


def test_every_verdict_has_a_next_step_and_an_exit_code():
    assert set(rules.NEXT_STEPS) == set(Outcome)
    codes = {each: rules.exit_code(each) for each in Outcome}
    assert codes[Outcome.VALID] == codes[Outcome.VALID_AS_OF] == 0
    assert codes[Outcome.REVOKED] == codes[Outcome.NOT_FOUND] == 3
    assert codes[Outcome.SOURCE_UNAVAILABLE] == 4
    assert codes[Outcome.NOT_PERMITTED] == 5


def test_every_state_but_active_has_its_own_reason_code():
    for state in State:
        if state is not State.ACTIVE:
            assert state.value in rules.REASONS["status"]
            assert Outcome(state.value)


@pytest.mark.parametrize(
    ("at", "adult"),
    [
        (datetime(2008, 3, 6, 15, 59, tzinfo=UTC), False),
        (datetime(2008, 3, 6, 16, 0, tzinfo=UTC), True),
    ],
)
def test_of_age_is_answered_without_the_birth_date(at, adult):
    number = "110101199003070011"
    number = number[:17] + resident_check(number[:17])
    assessment = rules.assess(RECORD, AT, GOOD)

    answers = rules.answer_predicates(("holder_is_adult",), assessment, number, at)

    assert answers == {"holder_is_adult": adult}


def test_a_question_that_cannot_be_answered_is_left_out():
    assessment = rules.assess(RECORD, AT, GOOD)

    for code in ("283340", "", "11010119900307001A", "110101199003070010"):
        assert rules.answer_predicates(("holder_is_adult",), assessment, code, AT) == {}


def test_valid_today_is_the_verdict_and_nothing_else():
    def answer(**changed):
        assessment = rules.assess(replace(RECORD, **changed), AT, GOOD)
        return rules.answer_predicates(("valid_today",), assessment, "", AT)

    assert answer() == {"valid_today": True}
    assert answer(state=State.SUSPENDED) == answer(valid_until=date(2026, 11, 1))
    assert answer(state=State.SUSPENDED) == {"valid_today": False}
