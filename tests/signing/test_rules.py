"""What a seal may be called, who decides about it, and when it signs: plain values."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from foundation.actor import SYSTEM
from signing import rules
from signing.errors import (
    ApprovalFromFuture,
    ContentNotApproved,
    DocumentTooLarge,
    FourEyesViolated,
    IllegalSealChange,
    NotTheKeeper,
    SealNameRefused,
    SealNotUsable,
    SealNotUsableNow,
    UnknownSeal,
)
from signing.models import Approval, Permit, Seal, SealApplication, SealKind, SealState
from tests.signing.conftest import APPROVER, KEEPER, NAME, OWNER

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
APPLICATION = SealApplication(OWNER, NAME, NAME, "3501000012345")
SEAL = Seal(
    id="seal-1",
    name=NAME,
    owner=OWNER,
    owner_name=NAME,
    code="3501000012345",
    state=SealState.ACTIVE,
    version=1,
    use="seal/seal-1",
    kid="kid",
    certificate_digest="digest",
    valid_from=NOW,
    valid_until=NOW + timedelta(days=365),
    picture=b"",
    svg="",
)
PERMIT = Permit(
    id="permit-1",
    seal_id="seal-1",
    purpose="notices",
    quota=2,
    used=1,
    asked_by="wang",
    asked_at=NOW,
    approved_by="li",
    approved_at=NOW,
    valid_until=NOW,
    withdrawn_by=None,
    withdrawn_at=None,
)
APPROVAL = Approval("digest", "wang", "li", NOW)


# ── words on a seal ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", [NAME, "局", "局" * 60, "Office No. 3 (北)", "№ 3", "Région", "A+B", "a " * 29 + "a"]
)
def test_a_name_is_one_line_of_characters_that_people_see(name):
    rules.must_be_a_name(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 60"),
        (" ", "1 to 60"),
        ("局" * 61, "1 to 60"),
        (unicodedata.normalize("NFD", "Région"), "normal form C"),
        ("市\u202e局", r"U\+202E"),
        ("市\n局", r"U\+000A"),
        ("市\u0000局", r"U\+0000"),
        ("市\ue000局", r"U\+E000"),
        ("市\u00a0局", r"U\+00A0"),
        ("市\u3000局", r"U\+3000"),
    ],
)
def test_another_name_is_refused_and_told_why(name, why):
    with pytest.raises(SealNameRefused, match=why):
        rules.must_be_a_name(name)


@pytest.mark.parametrize("code", ["123456", "A" * 20, "3501000012345"])
def test_a_code_has_6_to_20_digits_or_capitals(code):
    rules.must_be_a_code(code)


@pytest.mark.parametrize(
    "code", ["", "12345", "A" * 21, "12345a", "12 3456", "123456\n", "１２３４５６"]
)
def test_another_code_is_refused(code):
    with pytest.raises(SealNameRefused):
        rules.must_be_a_code(code)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (SealKind.STATUTORY, ""),
        (SealKind.DEPARTMENT, "注"),
        (SealKind.BUSINESS, "行政审批专用章"),
        (SealKind.BUSINESS, "章" * 14),
    ],
)
def test_an_application_has_the_line_that_its_kind_has(kind, line):
    rules.must_be_an_application(replace(APPLICATION, kind=kind, line=line))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"code": "1"},
        {"line": "专用章"},
        {"kind": SealKind.BUSINESS},
        {"kind": SealKind.DEPARTMENT, "line": "章" * 15},
        {"kind": SealKind.BUSINESS, "line": " "},
        {"kind": SealKind.BUSINESS, "line": "专\u200b章"},
    ],
    ids=str,
)
def test_another_application_is_refused(changed):
    with pytest.raises(SealNameRefused):
        rules.must_be_an_application(replace(APPLICATION, **changed))


# ── who decides ──────────────────────────────────────────────────────────────────────────────


def test_a_department_s_seals_do_not_exist_for_others():
    rules.must_work_for(KEEPER, OWNER)
    rules.must_work_for(SYSTEM, OWNER)
    with pytest.raises(UnknownSeal):
        rules.must_work_for(KEEPER, "another")
    with pytest.raises(UnknownSeal):
        rules.must_decide_for(KEEPER, "another")


def test_keepers_and_approvers_decide_and_nobody_else():
    rules.must_decide_for(KEEPER, OWNER)
    rules.must_decide_for(APPROVER, OWNER)
    rules.must_decide_for(SYSTEM, OWNER)
    with pytest.raises(NotTheKeeper):
        rules.must_decide_for(
            replace(KEEPER, roles=frozenset({"drafter", "auditor", "operator"})), OWNER
        )


# ── the life of a seal ───────────────────────────────────────────────────────────────────────

# 国办发〔2025〕33号, written out: from each state the states that may follow.
FOLLOW = {
    "applied": "approved rejected",
    "approved": "made",
    "made": "filed",
    "filed": "active",
    "active": "suspended revoked",
    "suspended": "active revoked",
    "revoked": "destroyed",
}


@pytest.mark.parametrize("now", SealState)
@pytest.mark.parametrize("to", SealState)
def test_a_seal_lives_as_the_rules_say(now, to):
    if to in FOLLOW.get(now, "").split():
        rules.must_be_next(now, to)
    else:
        with pytest.raises(IllegalSealChange):
            rules.must_be_next(now, to)


@pytest.mark.parametrize("state", [each for each in SealState if each != SealState.ACTIVE])
def test_only_an_active_seal_signs(state):
    rules.must_be_usable(SEAL, NOW)
    with pytest.raises(SealNotUsable, match=f"is {state}") as refused:
        rules.must_be_usable(replace(SEAL, state=state), NOW)

    assert not isinstance(refused.value, SealNotUsableNow)


def test_a_seal_signs_from_the_first_to_the_last_moment_of_its_certificate():
    for moment in (SEAL.valid_from, SEAL.valid_until):
        rules.must_be_usable(SEAL, moment)
    for moment in (SEAL.valid_from - SECOND, SEAL.valid_until + SECOND):
        with pytest.raises(SealNotUsableNow):
            rules.must_be_usable(SEAL, moment)


def test_a_key_that_was_stopped_is_told_with_the_seal_s_name():
    assert NAME in str(rules.stopped(SEAL))
    assert rules.stopped(SEAL).next_step


@pytest.mark.parametrize(
    ("changed", "now", "state"),
    [
        ({}, NOW, "in_force"),
        ({"used": 2}, NOW, "used_up"),
        ({"approved_at": None}, NOW, "asked"),
        ({"approved_at": None, "used": 2}, NOW, "asked"),
        ({}, NOW + SECOND, "over"),
        ({"approved_at": None}, NOW + SECOND, "over"),
        ({"withdrawn_at": NOW}, NOW, "withdrawn"),
        ({"withdrawn_at": NOW}, NOW + SECOND, "withdrawn"),
    ],
    ids=str,
)
def test_a_permit_is_in_one_state(changed, now, state):
    assert rules.permit_state(replace(PERMIT, **changed), now) == state


# ── what is sealed ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"drafter": ""}, FourEyesViolated),
        ({"approver": ""}, FourEyesViolated),
        ({"approver": "wang"}, FourEyesViolated),
        ({"content_digest": ""}, ContentNotApproved),
        ({"content_digest": "another"}, ContentNotApproved),
        ({"approved_at": NOW + timedelta(seconds=61)}, ApprovalFromFuture),
    ],
    ids=str,
)
def test_two_people_approved_this_content_before_now(changed, refusal):
    rules.must_be_approved(APPROVAL, "digest", NOW)
    with pytest.raises(refusal):
        rules.must_be_approved(replace(APPROVAL, **changed), "digest", NOW)


def test_nothing_is_not_the_content_that_was_approved():
    with pytest.raises(ContentNotApproved):
        rules.must_be_approved(replace(APPROVAL, content_digest=""), "", NOW)


def test_a_clock_may_be_a_minute_ahead():
    rules.must_be_approved(replace(APPROVAL, approved_at=NOW + 60 * SECOND), "digest", NOW)


def test_a_document_has_at_most_50_megabytes():
    rules.must_be_small(bytes(rules.MAX_DOCUMENT))
    with pytest.raises(DocumentTooLarge):
        rules.must_be_small(bytes(rules.MAX_DOCUMENT + 1))
