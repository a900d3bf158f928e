"""States, offices, days and names, decided from plain values."""

from datetime import UTC, date, datetime, timedelta

import pytest

from certificates import rules
from certificates.errors import (
    IllegalTransition,
    InvalidReason,
    OtherAuthority,
    OwnDraft,
    RoleMissing,
)
from certificates.rules import REASONS, STATES, State
from foundation.actor import ANONYMOUS, SYSTEM, Actor, ActorKind
from tests.certificates.conftest import AUTHORITY, LI, OTHER, STRANGER, WANG, officer

SECOND = timedelta(seconds=1)
DAY = date(2026, 11, 24)
MIDNIGHT = datetime(2026, 11, 23, 16, tzinfo=UTC)  # when 24 November begins in UTC+8
FINAL = (State.WITHDRAWN, State.REVOKED, State.CANCELLED, State.SUPERSEDED)


# ── offices ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", ["drafter", "approver", "auditor"])
def test_an_officer_of_an_authority_looks_into_the_register(role):
    assert rules.holds_office(officer("wang", role)) is True


@pytest.mark.parametrize(
    "actor",
    [
        officer("clerk"),
        officer("guard", "keeper", "operator"),
        officer("of nobody", "drafter", organisation=""),
        Actor(ActorKind.CLIENT, "program", organisation=AUTHORITY, roles=frozenset({"auditor"})),
        SYSTEM,
        ANONYMOUS,
    ],
    ids=lambda actor: actor.id,
)
def test_nobody_else_does(actor):
    assert rules.holds_office(actor) is False


def test_an_act_needs_its_own_office_at_an_authority():
    rules.check_role(WANG, "drafter")
    with pytest.raises(RoleMissing) as refused:
        rules.check_role(WANG, "approver")
    with pytest.raises(RoleMissing):
        rules.check_role(officer("of nobody", "drafter", organisation=""), "drafter")

    assert refused.value.params["role"] == "approver"


@pytest.mark.parametrize(
    ("approver", "drafter", "authority", "refusal"),
    [
        (LI, "wang", AUTHORITY, None),
        (WANG, "li", AUTHORITY, RoleMissing),
        (LI, "wang", OTHER, OtherAuthority),
        (STRANGER, "wang", AUTHORITY, OtherAuthority),
        (LI, "li", AUTHORITY, OwnDraft),
    ],
)
def test_the_approver_holds_the_office_serves_there_and_did_not_draft(
    approver, drafter, authority, refusal
):
    assert rules.may_approve(approver, drafter, authority) is (refusal is None)
    if refusal is not None:
        with pytest.raises(refusal):
            rules.check_approval(approver, drafter, authority)


# ── acts ─────────────────────────────────────────────────────────────────────────────────────

# 暂扣 and its end, and what ends a certificate for ever: written out, not derived from the table.
LEGAL = {
    (State.ACTIVE, State.SUSPENDED),
    (State.SUSPENDED, State.ACTIVE),
    *((present, final) for present in (State.ACTIVE, State.SUSPENDED) for final in FINAL),
}


@pytest.mark.parametrize("present", State)
@pytest.mark.parametrize("wanted", State)
def test_the_law_knows_these_changes_of_state_and_no_others(present, wanted):
    if (present, wanted) in LEGAL:
        for reason in REASONS[wanted]:
            assert rules.check_transition(present, wanted, reason.code) is reason
    else:
        with pytest.raises(IllegalTransition) as refused:
            rules.check_transition(present, wanted, "holder_request")
        assert refused.value.params == {"present": present, "wanted": wanted}


@pytest.mark.parametrize("reason", ["", "holder_request", "serious_violation "])
def test_each_act_has_reasons_of_its_own(reason):
    with pytest.raises(InvalidReason, match="serious_violation, register_record"):
        rules.check_transition(State.ACTIVE, State.REVOKED, reason)


@pytest.mark.parametrize(
    ("state", "national_code", "status_value", "english"),
    [
        (State.ACTIVE, "01", 0, "Valid"),
        (State.SUSPENDED, "02", 2, "Suspended"),
        (State.WITHDRAWN, "03", 1, "Withdrawn"),
        (State.CANCELLED, "04", 1, "Cancelled"),
        (State.EXPIRED, "05", 0, "Expired"),
        (State.SUPERSEDED, "05", 1, "Superseded"),
        (State.REVOKED, "07", 1, "Revoked"),
    ],
)
def test_a_state_has_its_national_number_its_value_in_the_list_and_three_names(
    state, national_code, status_value, english
):
    facts = STATES[state]

    assert (facts.national_code, facts.status_value) == (national_code, status_value)
    assert set(facts.labels) == {"zh-Hans", "zh-Hant", "en"}
    assert facts.labels["en"] == english


def test_a_reason_says_its_words_in_three_languages_and_its_law():
    [reason] = REASONS[State.SUPERSEDED]

    assert reason.labels == {
        "zh-Hans": "已换发新证",
        "zh-Hant": "已換發新證",
        "en": "Replaced by a new certificate",
    }
    assert reason.legal_basis == "《中华人民共和国行政许可法》第四十九条"


# ── days ─────────────────────────────────────────────────────────────────────────────────────


def test_a_day_is_that_of_the_clocks_in_utc_8():
    assert rules.civil_date(MIDNIGHT) == DAY
    assert rules.civil_date(MIDNIGHT - SECOND) == date(2026, 11, 23)
    assert rules.starts(DAY) == MIDNIGHT
    assert rules.ends(DAY) == MIDNIGHT + timedelta(days=1)


def test_the_last_day_of_the_calendar_never_ends():
    assert rules.ends(date.max) == datetime.max.replace(tzinfo=rules.LOCAL)
    assert rules.ends(date(9999, 12, 30)) == datetime(9999, 12, 30, 16, tzinfo=UTC)


@pytest.mark.parametrize("stored", [State.ACTIVE, State.SUSPENDED])
def test_what_was_not_ended_runs_out_after_its_last_day(stored):
    over = MIDNIGHT + timedelta(days=1)

    assert rules.state_at(stored, None, DAY, over - SECOND) == stored
    assert rules.state_at(stored, None, DAY, over) == State.EXPIRED
    assert rules.state_at(stored, DAY, None, datetime(9998, 1, 1, tzinfo=UTC)) == stored


@pytest.mark.parametrize("stored", FINAL)
def test_what_was_ended_by_an_act_stays_so_after_its_last_day(stored):
    assert rules.state_at(stored, None, DAY, MIDNIGHT + timedelta(days=400)) == stored


# ── names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("陈静怡", "person", "陈**"),
        ("陈静", "person", "陈*"),
        ("陈", "person", "陈"),
        ("", "person", ""),
        ("示例市老街面馆有限公司", "organisation", "示例市老街面馆有限公司"),
    ],
)
def test_lists_show_the_first_character_of_a_person_and_all_of_an_organisation(name, kind, shown):
    assert rules.masked_name(name, kind) == shown
