"""What a key may do, decided from plain values."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from keys.errors import KeyMayNotSign, OrderRefused
from keys.policy import EARLY, LATE, KeyPolicy, SigningRequest, must_allow
from tests.keys.orders import order

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SEAL = KeyPolicy("seal/4711", 1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows UTC+8."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


def test_an_ordered_signature_is_allowed() -> None:
    must_allow(SEAL, [SigningRequest(b"message", order(NOW))], NOW)


def test_a_token_key_needs_no_order() -> None:
    must_allow(KeyPolicy("idp.tokens", 1), [SigningRequest(b"message")], NOW)


def test_one_missing_order_refuses_the_whole_batch() -> None:
    with pytest.raises(OrderRefused, match="by order only"):
        must_allow(SEAL, [SigningRequest(b"1", order(NOW)), SigningRequest(b"2")], NOW)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"approver": "wang"}, "same person"),
        ({"approver": ""}, "lacks"),
        ({"drafter": ""}, "lacks"),
        ({"document": ""}, "lacks"),
        ({"approval": ""}, "lacks"),
        ({"actor": ""}, "lacks"),
        ({"actor": "x" * 201}, "lacks"),
        ({"purpose": "x" * 201}, "lacks"),
        ({"signed_at": NOW - LATE - timedelta(seconds=1)}, "not now"),
        ({"signed_at": NOW + EARLY + timedelta(seconds=1)}, "not now"),
        ({"approved_at": NOW + 2 * MINUTE}, "after the signature"),
    ],
    ids=str,
)
def test_an_order_that_is_not_by_two_people_now_is_refused(
    changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(OrderRefused, match=why):
        must_allow(SEAL, [SigningRequest(b"message", order(NOW, **changed))], NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"drafter": "w", "actor": "l", "approver": "l", "document": "d", "approval": "a"},
        {"document": "x" * 200, "purpose": "x" * 200},
        {"purpose": ""},
        {"signed_at": NOW - LATE},
        {"signed_at": NOW + EARLY, "approved_at": NOW + 2 * EARLY},
    ],
    ids=str,
)
def test_an_order_at_its_limits_is_allowed(changed: dict[str, Any]) -> None:
    must_allow(SEAL, [SigningRequest(b"message", order(NOW, **changed))], NOW)


def test_a_key_does_not_sign_after_its_last_day() -> None:
    policy = KeyPolicy("certificates.qr", 1, not_after=NOW)

    must_allow(policy, [SigningRequest(b"message")], NOW)
    with pytest.raises(KeyMayNotSign, match="2026-11-24"):
        must_allow(policy, [SigningRequest(b"message")], NOW + timedelta(seconds=1))


def test_every_part_of_a_policy_changes_what_a_key_is_bound_to() -> None:
    policies = [
        KeyPolicy("seal/1", 11),
        KeyPolicy("seal/11", 1),
        KeyPolicy("seal/1", 11, NOW),
        KeyPolicy("seal/1", 11, None, 60),
        KeyPolicy("seal/1", 11, NOW, 60),
    ]

    assert len({each.binding("kid", "ES256") for each in policies}) == len(policies)
    assert len({each.mark("ES256") for each in policies}) == len(policies)


def test_what_a_key_was_bound_to_is_the_same_on_every_machine_and_in_later_versions(
    in_shanghai: None,
) -> None:
    """Envelopes and labels in hardware modules hold these bytes: nobody may write others."""
    in_utc_8 = NOW.astimezone(timezone(timedelta(hours=8)))
    policy = KeyPolicy("seal/1", 11, in_utc_8, 60)

    assert policy.binding("kid", "ES256") == (
        b'["kid","ES256","seal/1",11,"2026-11-24T08:00:00+00:00",60]'
    )
    assert policy.mark("ES256") == "e9c9bb77471e7034"
    assert KeyPolicy("tsa", 1).mark("ES256") == "0311f546f67060c3"
