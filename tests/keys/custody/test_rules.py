"""When keys change state, as plain values."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.custody.rules import (
    Act,
    Change,
    RotationPolicy,
    asked_rotation,
    next_states,
    policy_for,
)
from keys.models import KeyState

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = RotationPolicy(lifetime=90 * DAY, publish=DAY, overlap=30 * DAY)


@dataclass
class ADatedKey:
    kid: str
    state: KeyState
    created_at: datetime = START
    activated_at: datetime | None = None
    retiring_at: datetime | None = None


def active(at: datetime = START) -> ADatedKey:
    return ADatedKey("active", KeyState.ACTIVE, at, activated_at=at)


def staged(at: datetime) -> ADatedKey:
    return ADatedKey("staged", KeyState.STAGED, at)


def retiring(at: datetime) -> ADatedKey:
    return ADatedKey("old", KeyState.RETIRING, START, START, retiring_at=at)


def test_a_young_key_stays() -> None:
    assert next_states([active()], START + 88 * DAY, POLICY) == []


def test_a_successor_is_published_a_day_before_it_is_needed() -> None:
    assert next_states([active()], START + 89 * DAY, POLICY) == [Change(Act.STAGE)]


def test_a_published_successor_signs_when_the_active_key_is_due() -> None:
    keys = [active(), staged(START + 89 * DAY)]

    assert next_states(keys, START + 89.5 * DAY, POLICY) == []
    assert next_states(keys, START + 90 * DAY, POLICY) == [Change(Act.ACTIVATE, "staged")]


def test_a_successor_published_too_late_waits_its_day() -> None:
    keys = [active(), staged(START + 95 * DAY)]

    assert next_states(keys, START + 95.5 * DAY, POLICY) == []
    assert next_states(keys, START + 96 * DAY, POLICY) == [Change(Act.ACTIVATE, "staged")]


def test_a_retiring_key_is_kept_as_long_as_what_it_signed() -> None:
    keys = [active(START + 90 * DAY), retiring(START + 90 * DAY)]

    assert next_states(keys, START + 119 * DAY, POLICY) == []
    assert next_states(keys, START + 120 * DAY, POLICY) == [Change(Act.RETIRE, "old")]


def test_a_key_without_a_lifetime_turns_over_only_when_asked() -> None:
    policy = RotationPolicy(lifetime=None)

    assert next_states([active()], START + 9_000 * DAY, policy) == []
    assert asked_rotation([active()], START, policy) == [Change(Act.STAGE)]


def test_who_asks_gets_the_next_step_when_it_is_ripe() -> None:
    keys = [active(), staged(START)]

    assert asked_rotation([active()], START, POLICY) == [Change(Act.STAGE)]
    assert asked_rotation(keys, START + DAY / 2, POLICY) == []
    assert asked_rotation(keys, START + DAY, POLICY) == [Change(Act.ACTIVATE, "staged")]


def test_at_once_skips_the_waiting() -> None:
    both = [Change(Act.STAGE), Change(Act.ACTIVATE)]

    assert asked_rotation([active()], START, POLICY, at_once=True) == both
    assert asked_rotation([active(), staged(START)], START, POLICY, at_once=True) == [
        Change(Act.ACTIVATE, "staged")
    ]


@pytest.mark.parametrize(
    "use", ["ca.root", "ca.issuing", "ocsp/ca.issuing", "seal/4711", "tsa", "ledger.checkpoint"]
)
def test_keys_that_sign_for_decades_never_turn_over_by_themselves(use: str) -> None:
    assert policy_for(use) == RotationPolicy(lifetime=None, overlap=3650 * DAY)


@pytest.mark.parametrize("use", ["certificates.qr", "certificates.status"])
def test_keys_of_credentials_turn_over_each_year_and_are_published_for_ten(use: str) -> None:
    assert policy_for(use) == RotationPolicy(lifetime=365 * DAY, overlap=3650 * DAY)


@pytest.mark.parametrize("use", ["idp.tokens", "exchange.receipts"])
def test_other_keys_turn_over_each_quarter(use: str) -> None:
    assert policy_for(use) == RotationPolicy(90 * DAY, publish=DAY, overlap=30 * DAY)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_whatever_the_rhythm_of_the_job_there_is_one_active_key(days: list[int]) -> None:
    keys, now = [active()], START

    for pause in days:
        now += pause * DAY
        for change in next_states(keys, now, POLICY):
            keys = _applied(keys, change, now)

        assert [key.state for key in keys].count(KeyState.ACTIVE) == 1
        assert [key.state for key in keys].count(KeyState.STAGED) <= 1


def _applied(keys: list[ADatedKey], change: Change, now: datetime) -> list[ADatedKey]:
    if change.act == Act.STAGE:
        return [*keys, ADatedKey(f"key-{len(keys)}", KeyState.STAGED, now)]
    for key in keys:
        if change.act == Act.RETIRE and key.kid == change.kid:
            key.state = KeyState.RETIRED
        if change.act == Act.ACTIVATE and key.state == KeyState.ACTIVE:
            key.state, key.retiring_at = KeyState.RETIRING, now
    for key in keys:
        if change.act == Act.ACTIVATE and key.kid == change.kid:
            key.state, key.activated_at = KeyState.ACTIVE, now
    return keys
