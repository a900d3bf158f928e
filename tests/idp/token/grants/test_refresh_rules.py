"""Which refresh token gets new tokens: plain values, then batches on a database."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from foundation.encryption import FieldCipher
from foundation.ids import uuid7
from idp.models import revocations, token_families
from idp.protocol.errors import InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget
from idp.protocol.policy import Policy
from idp.store import families, people
from idp.token.grants import GRANTS, refresh
from idp.token.grants.grant_type import NotRedeemed
from idp.token.grants.refresh import RefreshRequest, RefreshToken, RefreshVerdict, judge
from tests.idp.values import (
    MINUTE,
    NOW,
    PERSON,
    RESOURCE,
    SECOND,
    THUMBPRINT,
    a_client,
    a_family,
    an_authorization,
)

CIPHER = FieldCipher(b"k" * 32)
FAMILY = uuid7(NOW)
BOTH = ("authorization_code", "refresh_token")
CLIENT = a_client(grant_types=BOTH)
APP = replace(CLIENT, profile="public", token_endpoint_auth_method="none")
STRICT = replace(CLIENT, profile="fapi2", token_endpoint_auth_method="private_key_jwt")
ASKS = RefreshRequest(CLIENT, FAMILY, "", None, (), NOW)
GRANTED = an_authorization(scopes=("openid", "profile", "offline_access"))


def lives(authorization=GRANTED, **changes):
    """A family whose third refresh token is the live one, made a day ago."""
    given = {
        "id": FAMILY,
        "refresh_number": 3,
        "issued_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=30),
    }
    return a_family(authorization, **given | changes)


# ── which token it is ────────────────────────────────────────────────────────────────────────


def test_a_token_names_its_family_its_number_and_a_secret_only_we_can_make():
    family = lives()
    token = refresh.live_token(CIPHER, family)

    assert token.startswith(f"{FAMILY}00000003")
    assert len(token) == 36 + 8 + 64
    assert refresh.number_of(CIPHER, family, token) == 3
    secret = CIPHER.blind_index(f"{FAMILY}00000003hash", "refresh token")
    assert token == f"{FAMILY}00000003{secret}"
    thirtieth = refresh.live_token(CIPHER, replace(family, refresh_number=30))
    assert thirtieth.startswith(f"{FAMILY}0000001e")
    assert refresh.number_of(CIPHER, family, thirtieth) == 30


def test_anything_else_is_none_of_its_tokens():
    family = lives()
    token = refresh.live_token(CIPHER, family)

    assert refresh.number_of(CIPHER, None, token) == 0
    for other in (
        "",
        FAMILY,
        token[:-1],
        token + "x",
        token[:43] + "4" + token[44:],
        token[:36] + "0000000g" + token[44:],
        "é" * 108,
    ):
        assert refresh.number_of(CIPHER, family, other) == 0, other
    assert refresh.number_of(FieldCipher(b"o" * 32), family, token) == 0
    assert refresh.number_of(CIPHER, replace(family, code_hash="other"), token) == 0
    assert refresh.number_of(CIPHER, replace(family, id=uuid7(NOW)), token) == 0


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        ({"issued_at": NOW}, NOW + timedelta(days=14)),
        ({"issued_at": NOW, "expires_at": NOW + timedelta(days=3)}, NOW + timedelta(days=3)),
        ({"issued_at": None, "expires_at": NOW + MINUTE}, NOW + MINUTE),
    ],
)
def test_a_token_lives_until_it_was_idle_for_a_fortnight_or_its_family_ends(changes, until):
    assert refresh.live_until(lives(**changes)) == until


@pytest.mark.parametrize(
    ("grant_types", "scopes", "follows"),
    [
        (BOTH, ("openid", "offline_access"), True),
        (BOTH, ("openid",), False),
        (BOTH, ("verifications",), True),
        (("authorization_code",), ("openid", "offline_access"), False),
    ],
)
def test_a_refresh_token_follows_where_it_is_registered_and_allowed(grant_types, scopes, follows):
    client = a_client(grant_types=grant_types)

    assert refresh.may_follow(client, an_authorization(scopes=scopes)) is follows


@pytest.mark.parametrize(
    "member",
    [{"backchannel_logout_uri": "https://food.example/out"}, {"refresh_ends_with_session": True}],
)
def test_without_offline_access_it_follows_where_the_client_lets_it_end_with_the_session(member):
    client = replace(CLIENT, **member)

    assert refresh.may_follow(client, an_authorization(scopes=("openid",))) is True
    alone = replace(client, grant_types=("authorization_code",))
    assert refresh.may_follow(alone, an_authorization(scopes=("openid",))) is False


@pytest.mark.parametrize(
    ("scopes", "signed_in", "end"),
    [
        (("openid", "offline_access"), NOW, NOW + timedelta(days=90)),
        (("verifications",), NOW, NOW + timedelta(days=90)),
        (("openid",), NOW, NOW + timedelta(hours=8)),
        (("openid", "profile"), NOW - timedelta(hours=7), NOW + timedelta(hours=1)),
        (("openid",), NOW + timedelta(days=100), NOW + timedelta(days=90)),
    ],
)
def test_a_family_ends_after_90_days_and_with_its_session_where_nobody_said_yes_to_more(
    scopes, signed_in, end
):
    authorization = an_authorization(scopes=scopes, auth_time=int(signed_in.timestamp()))

    assert refresh.ends_at(authorization, NOW) == end


def test_it_is_registered_beside_a_grant_type_that_gives_one_out():
    assert RefreshToken.objection(CLIENT, GRANTS) == ""
    alone = RefreshToken.objection(replace(CLIENT, grant_types=("refresh_token",)), GRANTS)
    assert alone == "refresh_token needs authorization_code or device_code"


# ── judge ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "family", "asked", "verdict"),
    [
        (3, {}, {}, "ROTATE"),
        (1, {"refresh_number": 1}, {}, "ROTATE"),
        (0, {}, {}, "UNKNOWN"),
        (4, {}, {}, "UNKNOWN"),
        (3, {"issued_at": NOW - timedelta(days=14)}, {}, "UNKNOWN"),
        (3, {"expires_at": NOW}, {}, "UNKNOWN"),
        (3, {"expires_at": NOW + SECOND}, {}, "ROTATE"),
        (3, {"revoked": True}, {}, "UNKNOWN"),
        (1, {"revoked": True}, {}, "UNKNOWN"),
        (3, {"revoked": True}, {"client": replace(CLIENT, client_id="thief")}, "FOREIGN"),
        (1, {}, {"client": replace(CLIENT, client_id="thief")}, "FOREIGN"),
        (2, {"issued_at": NOW}, {}, "REPEAT"),
        (2, {"issued_at": NOW - 10 * SECOND}, {}, "REPEAT"),
        (2, {"issued_at": NOW - 11 * SECOND}, {"client": APP}, "REUSED"),
        (2, {"issued_at": NOW - 11 * SECOND}, {}, "LATE"),
        (2, {"issued_at": NOW - 11 * SECOND}, {"scopes": ("other",)}, "SCOPE"),
        (3, {}, {"client": STRICT}, "KEEP"),
        (2, {"issued_at": NOW}, {"client": STRICT}, "REUSED"),
        (1, {"issued_at": NOW}, {}, "REUSED"),
        (1, {"issued_at": NOW}, {"scopes": ("other",)}, "REUSED"),
        (3, {}, {"scopes": ("openid",)}, "ROTATE"),
        (3, {}, {"scopes": ("openid", "other")}, "SCOPE"),
        (2, {"issued_at": NOW}, {"scopes": ("other",)}, "SCOPE"),
        (3, {}, {"scopes": ("other",), "resources": ("https://other.example",)}, "SCOPE"),
        (3, {}, {"resources": (RESOURCE,)}, "ROTATE"),
        (3, {}, {"resources": ("https://other.example",)}, "TARGET"),
    ],
    ids=str,
)
def test_a_request_is_judged_by_what_is_stored(number, family, asked, verdict):
    assert judge(replace(ASKS, **asked), lives(**family), number) is RefreshVerdict[verdict]


def test_without_a_family_it_is_unknown():
    assert judge(ASKS, None, 1) is RefreshVerdict.UNKNOWN


@pytest.mark.parametrize(
    ("jkt", "number", "verdict"),
    [(THUMBPRINT, 3, "ROTATE"), ("", 3, "KEY"), ("o" * 43, 3, "KEY"), ("o" * 43, 1, "KEY")],
)
def test_a_token_that_is_bound_to_a_key_comes_with_a_proof_by_it(jkt, number, verdict):
    bound = lives(replace(GRANTED, jkt=THUMBPRINT))

    assert judge(replace(ASKS, jkt=jkt), bound, number) is RefreshVerdict[verdict]


def test_an_app_that_proves_its_key_is_the_app():
    bound = lives(replace(GRANTED, jkt=THUMBPRINT), issued_at=NOW - timedelta(days=3))
    with_key = replace(ASKS, client=APP, jkt=THUMBPRINT)

    assert judge(with_key, bound, 2) is RefreshVerdict.LATE


def test_the_grace_is_the_operator_s():
    request, family = replace(ASKS, client=APP), lives(issued_at=NOW - MINUTE)

    assert judge(request, family, 2, MINUTE) is RefreshVerdict.REPEAT
    assert judge(request, family, 2, MINUTE - SECOND) is RefreshVerdict.REUSED


def test_a_token_that_is_not_bound_may_come_with_any_proof():
    assert judge(replace(ASKS, jkt=THUMBPRINT), lives(), 3) is RefreshVerdict.ROTATE


# ── check ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def grant(grant_type):
    return grant_type(RefreshToken)


def test_a_form_becomes_a_request(grant):
    token = f"{FAMILY}00000001x"

    assert grant.check({"refresh_token": token}, CLIENT, {}, NOW) == replace(ASKS, token=token)
    form = {"refresh_token": "x", "scope": "openid profile openid", "resource": RESOURCE}
    asked = grant.check(form, CLIENT, {"jkt": THUMBPRINT, "x5t#S256": "y"}, NOW)
    assert asked == RefreshRequest(
        CLIENT, "", "x", ("openid", "profile"), (RESOURCE,), NOW, THUMBPRINT
    )


def test_a_form_that_is_not_well_formed_is_refused(grant):
    with pytest.raises(InvalidRequest, match="refresh_token is missing"):
        grant.check({"refresh_token": ""}, CLIENT, {}, NOW)
    with pytest.raises(InvalidScope, match="not a space-separated list"):
        grant.check({"refresh_token": "x", "scope": 'openid "'}, CLIENT, {}, NOW)


# ── redeem ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def kept(sqlite_database):
    """Keeps families."""

    def keep(*kept):
        with sqlite_database.write() as tx:
            for family in kept:
                families.add_family(tx, family)

    return keep


def asks(database, family, number, **changes):
    """A request with the token of this number."""
    token = refresh.live_token(database.cipher, replace(family, refresh_number=number))
    return replace(ASKS, family=family.id, token=token, **changes)


def redeemed(grant, database, *requests):
    with database.write() as tx:
        return grant.redeem(tx, requests)


def found(database, family):
    with database.read() as tx:
        return families.families(tx, {family.id})[family.id]


def ended(database, family):
    """Why it was ended, and whether its access tokens are too."""
    with database.read() as tx:
        reason = select(token_families.c.revoked_reason).where(token_families.c.id == family.id)
        return tx.execute(reason).scalar_one(), family.id in families.revoked(tx, {family.id})


def test_the_live_token_becomes_the_next_one(grant, sqlite_database, kept):
    family = lives(replace(GRANTED, resources=(RESOURCE, f"{RESOURCE}/other")))
    kept(family)

    [made] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 3))

    assert (made.client, made.family) == (CLIENT, FAMILY)
    assert (made.scopes, made.resources) == (GRANTED.scopes, (RESOURCE, f"{RESOURCE}/other"))
    assert made.authorization == family.authorization
    after = found(sqlite_database, family)
    assert (after.refresh_number, after.issued_at) == (4, NOW)
    assert after.expires_at == family.expires_at
    assert refresh.number_of(sqlite_database.cipher, after, made.refresh_token) == 4


def test_tokens_for_less_are_for_less(grant, sqlite_database, kept):
    family = lives(replace(GRANTED, resources=(RESOURCE, f"{RESOURCE}/other")))
    kept(family)
    asked = {"scopes": ("openid",), "resources": (RESOURCE,)}

    [made] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 3, **asked))

    assert (made.scopes, made.resources) == (("openid",), (RESOURCE,))
    assert made.authorization == family.authorization


def test_the_id_token_of_a_refresh_tells_what_was_allowed(grant, sqlite_database, kept):
    family = lives(replace(GRANTED, id_token_claims=("name",)))
    kept(family)
    with sqlite_database.write() as tx:
        people.add_person(tx, PERSON, None, None, NOW)

    [made] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 3))

    assert made.claims == {"name": PERSON.name}


def test_a_lost_answer_is_given_again_within_the_grace(grant, sqlite_database, kept):
    family = lives()
    kept(family)
    [first] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 3))
    before = found(sqlite_database, family)

    again = asks(sqlite_database, family, 3, now=NOW + 10 * SECOND)
    [second] = redeemed(grant, sqlite_database, again)

    assert second.refresh_token == first.refresh_token
    assert found(sqlite_database, family) == before


def test_the_same_token_twice_in_a_batch_is_one_rotation(grant, sqlite_database, kept):
    family = lives()
    kept(family)
    request = asks(sqlite_database, family, 3)

    first, second = redeemed(grant, sqlite_database, request, request)

    assert first.refresh_token == second.refresh_token
    assert (first.late, second.late) == (False, False)
    assert found(sqlite_database, family).refresh_number == 4


def test_the_grace_of_a_batch_is_the_operator_s(grant_type, sqlite_database, kept):
    family = lives(issued_at=NOW - MINUTE)
    kept(family)
    grant = grant_type(RefreshToken, policy=Policy(refresh_grace=MINUTE))

    [again] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 2))

    assert again.late is False


def test_the_answer_after_the_grace_is_the_same_with_one_more_entry(grant, sqlite_database, kept):
    family = lives()
    kept(family)
    request = asks(sqlite_database, family, 3)
    [first] = redeemed(grant, sqlite_database, request)
    late = replace(request, now=NOW + 11 * SECOND)
    before = found(sqlite_database, family)

    [second] = redeemed(grant, sqlite_database, late)

    assert second.refresh_token == first.refresh_token
    assert (first.late, second.late) == (False, True)
    assert found(sqlite_database, family) == before
    [issued] = grant.entries(request, first)
    entries = grant.entries(late, second)
    assert entries[0] == replace(issued, at=late.now)
    [told] = entries[1:]
    assert (told.kind, told.verdict) == ("idp.refresh_repeated", "refresh_token_repeated")
    assert (told.actor, told.at) == (CLIENT.actor, late.now)
    assert (told.subject, told.details) == (GRANTED.subject, {"family": FAMILY})


def test_a_refusal_that_ends_a_family_is_one_entry(grant, sqlite_database, kept):
    family = lives()
    kept(family)
    request = asks(sqlite_database, family, 1)

    [refused] = redeemed(grant, sqlite_database, request)

    assert [each.kind for each in grant.entries(request, refused)] == ["idp.family_revoked"]


def test_where_nothing_rotates_the_token_stays_and_lives_on(grant, sqlite_database, kept):
    family, other = lives(), lives(id=uuid7(NOW))
    kept(family, other)
    request = asks(sqlite_database, family, 3, client=STRICT)

    [made] = redeemed(grant, sqlite_database, request)

    assert made.refresh_token == request.token
    after = found(sqlite_database, family)
    assert (after.refresh_number, after.issued_at) == (3, NOW)
    assert found(sqlite_database, other) == other


def test_requests_of_a_batch_are_judged_as_those_before_left_their_family(
    grant, sqlite_database, kept
):
    family = lives()
    kept(family)
    live, older = (asks(sqlite_database, family, number) for number in (3, 2))

    made, refused, then = redeemed(grant, sqlite_database, live, older, live)

    assert made.family == FAMILY
    assert refused.error.detail == RefreshVerdict.REUSED.value
    assert then.error.detail == RefreshVerdict.UNKNOWN.value
    assert ended(sqlite_database, family) == ("refresh_token_reuse", True)


@pytest.mark.parametrize(("number", "later"), [(1, 0), (2, 0), (3, 11)])
def test_an_older_token_ends_its_family_and_no_other(grant, sqlite_database, kept, number, later):
    family, other = lives(), lives(id=uuid7(NOW))
    kept(family, other)
    if later:
        redeemed(grant, sqlite_database, asks(sqlite_database, family, 3, client=APP))
    now = NOW + later * SECOND
    stolen = asks(sqlite_database, family, number, client=APP, now=now)

    refused, made = redeemed(
        grant, sqlite_database, stolen, asks(sqlite_database, other, 3, client=APP, now=now)
    )

    assert isinstance(refused.error, InvalidGrant)
    assert refused.error.detail == RefreshVerdict.REUSED.value
    assert (refused.ended.id, refused.reason) == (FAMILY, "refresh_token_reuse")
    assert ended(sqlite_database, family) == ("refresh_token_reuse", True)
    assert made.family == other.id
    assert ended(sqlite_database, other) == (None, False)


@pytest.mark.parametrize(
    ("changes", "error", "verdict"),
    [
        ({"client": replace(CLIENT, client_id="thief")}, InvalidGrant, "FOREIGN"),
        ({"scopes": ("other",)}, InvalidScope, "SCOPE"),
        ({"resources": ("https://other.example",)}, InvalidTarget, "TARGET"),
        ({"token": "x"}, InvalidGrant, "UNKNOWN"),
        ({"family": ""}, InvalidGrant, "UNKNOWN"),
        ({"family": uuid7(NOW)}, InvalidGrant, "UNKNOWN"),
        ({"now": NOW + timedelta(days=13)}, InvalidGrant, "UNKNOWN"),
    ],
)
def test_what_is_refused_changes_nothing(grant, sqlite_database, kept, changes, error, verdict):
    family = lives()
    kept(family)
    before = found(sqlite_database, family)

    request = replace(asks(sqlite_database, family, 3), **changes)
    [refused] = redeemed(grant, sqlite_database, request)

    assert isinstance(refused, NotRedeemed)
    assert type(refused.error) is error
    assert refused.error.detail == RefreshVerdict[verdict].value
    assert refused.ended is None
    assert found(sqlite_database, family) == before
    assert ended(sqlite_database, family) == (None, False)


def test_a_family_that_was_ended_gives_nothing(grant, sqlite_database, kept):
    family = lives()
    kept(family)
    with sqlite_database.write() as tx:
        tx.execute(update(token_families).values(revoked_at=NOW))

    [refused] = redeemed(grant, sqlite_database, asks(sqlite_database, family, 3))

    assert refused.error.detail == RefreshVerdict.UNKNOWN.value


def test_access_tokens_of_an_ended_family_stay_refused_until_they_would_have_ended(
    grant, sqlite_database, kept
):
    family = lives()
    kept(family)
    redeemed(grant, sqlite_database, asks(sqlite_database, family, 1))

    with sqlite_database.read() as tx:
        until = tx.execute(select(revocations.c.expires_at)).scalar_one()
    assert until == NOW + 11 * MINUTE
