"""What a device gets: plain values, then batches of polls on a database and nothing around it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from idp.protocol.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    SlowDown,
    UnauthorizedClient,
)
from idp.store import devices, digests, families, people
from idp.store.devices import DeviceRequest, StoredDevice
from idp.token.grants import refresh
from idp.token.grants.device_code import (
    DeviceCode,
    DeviceCodeVerdict,
    Poll,
    check_authorization,
    judge,
)
from idp.token.grants.grant_type import NotRedeemed
from tests.idp.values import (
    MINUTE,
    NOW,
    PERSON,
    RESOURCE,
    SECOND,
    THUMBPRINT,
    a_client,
    an_authorization,
)

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT = a_client(grant_types=(DEVICE,))
REFRESHING = a_client(grant_types=(DEVICE, "refresh_token"))
CODE = "device-code-1"
HASH = digests.sha256(CODE)
POLL = Poll(CLIENT, HASH, NOW)
ASKED = DeviceRequest("food-office", ("openid", "profile"), (), NOW)
OFFLINE = an_authorization(scopes=("openid", "offline_access"), jkt=THUMBPRINT)
ALLOWED = StoredDevice(
    device_hash=HASH,
    request=ASKED,
    person_id="person-1",
    authorization=an_authorization(),
    denied=False,
    interval=timedelta(seconds=5),
    polled_at=None,
    expires_at=NOW + MINUTE,
)


# ── what a device may ask for ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "scopes", "resources"),
    [
        ({"scope": "openid"}, ("openid",), ()),
        ({"scope": "profile openid profile"}, ("profile", "openid"), ()),
        ({"scope": "openid", "resource": RESOURCE}, ("openid",), (RESOURCE,)),
    ],
)
def test_what_is_within_the_registration_may_be_asked_for(form, scopes, resources):
    expected = DeviceRequest("food-office", scopes, resources, NOW)

    assert check_authorization(form, CLIENT, NOW) == expected


@pytest.mark.parametrize(
    ("form", "client", "refusal", "why"),
    [
        (
            {"scope": "openid"},
            {"grant_types": ("authorization_code",)},
            UnauthorizedClient,
            "the client is not registered for the device grant",
        ),
        ({}, {}, InvalidScope, "scope is missing"),
        ({"scope": 'openid "'}, {}, InvalidScope, "not a space-separated list"),
        ({"scope": "openid email"}, {}, InvalidScope, "not registered for the scope email"),
        ({"scope": "XX"}, {}, InvalidScope, "no scope that is asked for is known here"),
        (
            {"scope": "openid profile"},
            {"claims": ("name",)},
            InvalidScope,
            "purpose does not cover the claim preferred_username",
        ),
        (
            {"scope": "openid", "resource": "https://other.example"},
            {},
            InvalidTarget,
            "the client is not registered for this resource",
        ),
    ],
)
def test_nothing_else_may(form, client, refusal, why):
    with pytest.raises(refusal, match=why):
        check_authorization(form, replace(CLIENT, **client), NOW)


# ── judge ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "GOOD"),
        ({"polled_at": NOW - 5 * SECOND}, "GOOD"),
        ({"authorization": None}, "PENDING"),
        ({"authorization": None, "denied": True}, "DENIED"),
        ({"denied": True}, "DENIED"),
        ({"polled_at": NOW - 4 * SECOND}, "SLOW"),
        ({"polled_at": NOW - 4 * SECOND, "denied": True}, "SLOW"),
        ({"polled_at": NOW, "expires_at": NOW}, "EXPIRED"),
        ({"expires_at": NOW}, "EXPIRED"),
        ({"expires_at": NOW + SECOND}, "GOOD"),
        ({"request": replace(ASKED, client_id="other"), "expires_at": NOW}, "FOREIGN"),
    ],
    ids=str,
)
def test_a_poll_is_judged_by_what_is_stored(changes, verdict):
    assert judge(POLL, replace(ALLOWED, **changes)) is DeviceCodeVerdict[verdict]


def test_a_code_that_nobody_knows_is_unknown():
    assert judge(POLL, None) is DeviceCodeVerdict.UNKNOWN


# ── check and redeem ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def grant(grant_type):
    return grant_type(DeviceCode)


def test_a_form_becomes_a_poll(grant):
    assert grant.check({"device_code": CODE}, CLIENT, {}, NOW) == POLL
    bound = grant.check({"device_code": CODE}, CLIENT, {"jkt": THUMBPRINT, "x": "y"}, NOW)
    assert bound == replace(POLL, jkt=THUMBPRINT)
    with pytest.raises(InvalidRequest, match="device_code is missing"):
        grant.check({}, CLIENT, {}, NOW)


def waits(database, authorization=None, *, code=CODE, answered=True, polled_at=None):
    """A device whose person has answered, unless not."""
    hashed = digests.sha256(code)
    with database.write() as tx:
        devices.add(tx, hashed, f"user code of {code}", ASKED, 5, NOW + MINUTE)
        if answered:
            devices.answer(tx, hashed, authorization, NOW)
        if polled_at is not None:
            devices.polled(tx, hashed, polled_at, 0)
    return replace(POLL, device_hash=hashed)


def redeemed(grant, database, *polls):
    with database.write() as tx:
        return grant.redeem(tx, polls)


def found(database, poll=POLL):
    with database.read() as tx:
        return devices.devices(tx, {poll.device_hash}).get(poll.device_hash)


def family(database, made):
    with database.read() as tx:
        return families.families(tx, {made.family})[made.family]


def test_what_was_allowed_is_handed_out_once(grant, sqlite_database):
    waits(sqlite_database, an_authorization(resources=(RESOURCE,)))

    [made] = redeemed(grant, sqlite_database, POLL)
    [again] = redeemed(grant, sqlite_database, POLL)

    assert (made.client, made.scopes, made.resources) == (
        CLIENT,
        ("openid", "profile"),
        (RESOURCE,),
    )
    assert made.authorization == an_authorization(resources=(RESOURCE,))
    assert made.refresh_token is None
    kept = family(sqlite_database, made)
    assert (kept.client_id, kept.code_hash) == ("food-office", HASH)
    assert (kept.issued_at, kept.expires_at) == (NOW, NOW + 15 * MINUTE)
    assert kept.refresh_number == 0
    assert isinstance(again.error, InvalidGrant)
    assert again.error.detail == DeviceCodeVerdict.UNKNOWN.value


def test_with_a_refresh_token_for_90_days_that_its_client_s_authentication_binds(
    grant, sqlite_database
):
    waits(sqlite_database, OFFLINE)

    [made] = redeemed(grant, sqlite_database, replace(POLL, client=REFRESHING, jkt="o" * 43))

    kept = family(sqlite_database, made)
    assert kept.expires_at == NOW + timedelta(days=90)
    assert kept.refresh_number == 1
    assert refresh.number_of(sqlite_database.cipher, kept, made.refresh_token) == 1
    assert made.authorization.jkt == kept.authorization.jkt == ""


def test_without_offline_access_until_the_session_ends(grant, sqlite_database):
    waits(sqlite_database, an_authorization())
    client = replace(REFRESHING, refresh_ends_with_session=True)

    [made] = redeemed(grant, sqlite_database, replace(POLL, client=client))

    assert family(sqlite_database, made).expires_at == NOW + timedelta(hours=8)


def test_the_id_token_of_a_device_tells_what_was_allowed(grant, sqlite_database):
    with sqlite_database.write() as tx:
        people.add_person(tx, PERSON, None, None, NOW)
    waits(sqlite_database, an_authorization(id_token_claims=("name",)))

    [made] = redeemed(grant, sqlite_database, POLL)

    assert made.claims == {"name": PERSON.name}


def test_an_app_s_refresh_tokens_are_bound_to_its_key(grant, sqlite_database):
    app = a_client(
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=(DEVICE, "refresh_token"),
    )
    waits(sqlite_database, OFFLINE)

    [made] = redeemed(grant, sqlite_database, replace(POLL, client=app, jkt="o" * 43))

    assert made.authorization.jkt == "o" * 43
    assert family(sqlite_database, made).authorization == made.authorization


def test_who_waits_is_told_so_and_who_asks_too_soon_waits_longer_for_good(grant, sqlite_database):
    waits(sqlite_database, answered=False)

    [first] = redeemed(grant, sqlite_database, POLL)
    assert (type(first.error), first.error.detail) == (
        AuthorizationPending,
        DeviceCodeVerdict.PENDING.value,
    )
    assert found(sqlite_database).interval == 5 * SECOND
    assert found(sqlite_database).polled_at == NOW

    [hasty] = redeemed(grant, sqlite_database, replace(POLL, now=NOW + 4 * SECOND))
    assert (type(hasty.error), hasty.error.detail) == (SlowDown, DeviceCodeVerdict.SLOW.value)
    assert found(sqlite_database).interval == 10 * SECOND
    assert found(sqlite_database).polled_at == NOW + 4 * SECOND

    [patient] = redeemed(grant, sqlite_database, replace(POLL, now=NOW + 14 * SECOND))
    assert isinstance(patient.error, AuthorizationPending)


@pytest.mark.parametrize(
    ("changes", "refusal", "verdict"),
    [
        ({"now": NOW + MINUTE}, ExpiredToken, "EXPIRED"),
        ({"client": replace(CLIENT, client_id="thief")}, InvalidGrant, "FOREIGN"),
        ({"device_hash": "other"}, InvalidGrant, "UNKNOWN"),
    ],
)
def test_a_poll_that_gets_nothing_changes_nothing(
    grant, sqlite_database, changes, refusal, verdict
):
    waits(sqlite_database, an_authorization())
    before = found(sqlite_database)

    [answer] = redeemed(grant, sqlite_database, replace(POLL, **changes))

    assert (type(answer.error), answer.error.detail) == (refusal, DeviceCodeVerdict[verdict].value)
    assert answer.ended is None
    assert found(sqlite_database) == before


def test_who_was_refused_hears_it(grant, sqlite_database):
    waits(sqlite_database)

    [answer] = redeemed(grant, sqlite_database, POLL)

    assert (type(answer.error), answer.error.detail) == (
        AccessDenied,
        DeviceCodeVerdict.DENIED.value,
    )


def test_of_several_polls_in_a_batch_the_first_counts_and_each_device_gets_its_own(
    grant, sqlite_database
):
    waits(sqlite_database, an_authorization())
    other = waits(sqlite_database, OFFLINE, code="device-code-2")
    waiting = waits(sqlite_database, code="device-code-3", answered=False)

    first, second, third, fourth = redeemed(grant, sqlite_database, POLL, POLL, waiting, other)

    assert first.scopes == ("openid", "profile")
    assert isinstance(second, NotRedeemed)
    assert isinstance(second.error, SlowDown)
    assert isinstance(third.error, AuthorizationPending)
    assert fourth.authorization.scopes == OFFLINE.scopes
    assert found(sqlite_database, waiting).interval == 5 * SECOND


def test_who_is_hasty_within_one_batch_waits_longer(grant, sqlite_database):
    waits(sqlite_database, answered=False)

    redeemed(grant, sqlite_database, POLL, POLL)

    assert found(sqlite_database).interval == 10 * SECOND
