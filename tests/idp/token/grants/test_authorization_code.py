"""Which code becomes tokens: plain values, then batches on a database and nothing around it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from foundation.ids import uuid7
from idp.models import token_families
from idp.protocol.errors import InvalidGrant, InvalidRequest, InvalidTarget
from idp.store import digests, families, people
from idp.store.families import StoredCode
from idp.token.grants import refresh
from idp.token.grants.authorization_code import (
    AuthorizationCode,
    CodeRequest,
    CodeVerdict,
    challenge_of,
    judge,
    new_code,
)
from idp.token.grants.grant_type import NotRedeemed
from tests.idp.values import (
    CHALLENGE,
    MINUTE,
    NOW,
    PERSON,
    RESOURCE,
    SECOND,
    THUMBPRINT,
    VERIFIER,
    a_client,
    a_family,
    an_authorization,
)
from tests.idp.world import REDIRECT_URI

FAMILY = uuid7(NOW)
CODE = new_code(FAMILY)
OTHER_KEY = "o" * 43
REFRESHING = a_client(grant_types=("authorization_code", "refresh_token"))
APP = a_client(profile="public", token_endpoint_auth_method="none")
GOOD = CodeRequest(a_client(), FAMILY, digests.sha256(CODE), REDIRECT_URI, CHALLENGE, NOW)
FORM = {"code": CODE, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}


def stored(authorization=None, **changes):
    family = a_family(authorization, id=FAMILY, code_hash=GOOD.code_hash, **changes)
    return StoredCode(family, REDIRECT_URI, CHALLENGE)


# ── judge ────────────────────────────────────────────────────────────────────────────────────


def test_a_request_that_fits_is_good():
    assert judge(GOOD, stored()) is CodeVerdict.GOOD
    assert judge(replace(GOOD, jkt=THUMBPRINT), stored()) is CodeVerdict.GOOD
    bound = stored(an_authorization(jkt=THUMBPRINT))
    assert judge(replace(GOOD, jkt=THUMBPRINT), bound) is CodeVerdict.GOOD
    narrow = stored(an_authorization(resources=(RESOURCE,)))
    assert judge(replace(GOOD, resources=(RESOURCE,)), narrow) is CodeVerdict.GOOD


@pytest.mark.parametrize(
    ("request_", "code", "verdict"),
    [
        ({}, None, "UNKNOWN"),
        ({"code_hash": "other"}, {}, "UNKNOWN"),
        ({"code_hash": "other"}, {"issued_at": NOW}, "UNKNOWN"),
        ({}, {"issued_at": NOW}, "USED"),
        ({}, {"issued_at": NOW, "expires_at": NOW, "revoked": True}, "USED"),
        ({"client": a_client(client_id="thief")}, {"issued_at": NOW}, "USED"),
        ({}, {"revoked": True}, "UNKNOWN"),
        ({}, {"expires_at": NOW}, "UNKNOWN"),
        ({}, {"expires_at": NOW + SECOND}, "GOOD"),
        ({"client": a_client(client_id="thief")}, {}, "FOREIGN"),
        ({"redirect_uri": REDIRECT_URI + "é"}, {}, "REDIRECT"),
        ({"redirect_uri": ""}, {}, "REDIRECT"),
        ({"code_challenge": ""}, {}, "VERIFIER"),
        ({"code_challenge": "c" * 43}, {}, "VERIFIER"),
        ({"resources": ("https://other.example",)}, {}, "TARGET"),
    ],
    ids=str,
)
def test_one_thing_that_does_not_fit_is_found(request_, code, verdict):
    found = None if code is None else stored(**code)

    assert judge(replace(GOOD, **request_), found) is CodeVerdict[verdict]


def test_a_verifier_without_a_challenge_is_as_wrong_as_a_challenge_without_a_verifier():
    without = replace(stored(), code_challenge="")

    assert judge(GOOD, without) is CodeVerdict.VERIFIER
    assert judge(replace(GOOD, code_challenge=""), without) is CodeVerdict.GOOD


@pytest.mark.parametrize("jkt", ["", OTHER_KEY])
def test_a_code_that_is_bound_to_a_key_comes_with_a_proof_by_it(jkt):
    bound = stored(an_authorization(jkt=THUMBPRINT))

    assert judge(replace(GOOD, jkt=jkt), bound) is CodeVerdict.KEY


def test_of_several_things_that_do_not_fit_the_first_is_told():
    """Nobody learns more of a code than that it is not theirs."""
    wrong = replace(
        GOOD,
        client=a_client(client_id="thief"),
        redirect_uri="",
        code_challenge="",
        resources=("https://other.example",),
    )
    code = stored(an_authorization(jkt=THUMBPRINT), revoked=True)
    found = []
    for request in ({}, {"client": GOOD.client}, {"redirect_uri": REDIRECT_URI},
                    {"code_challenge": CHALLENGE}, {"jkt": THUMBPRINT}):  # fmt: skip
        wrong = replace(wrong, **request)
        if not request:
            assert judge(wrong, code) is CodeVerdict.UNKNOWN
            code = replace(code, family=replace(code.family, revoked=False))
        found.append(judge(wrong, code).name)

    assert found == ["FOREIGN", "REDIRECT", "VERIFIER", "KEY", "TARGET"]


# ── check ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def grant(grant_type):
    return grant_type(AuthorizationCode)


def checked(grant, changes=None, confirmation=None):
    form = {name: value for name, value in (FORM | (changes or {})).items() if value is not None}
    return grant.check(form, GOOD.client, confirmation or {}, NOW)


def test_a_form_becomes_a_request(grant):
    assert checked(grant) == GOOD
    assert checked(grant, {"code_verifier": None}) == replace(GOOD, code_challenge="")
    assert checked(
        grant, {"resource": f"{RESOURCE} {RESOURCE}"}, {"jkt": THUMBPRINT, "x5t#S256": "x"}
    ) == replace(GOOD, resources=(RESOURCE,), jkt=THUMBPRINT)
    assert checked(grant, {"code": "x"}).family == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": None}, "code is missing"),
        ({"redirect_uri": ""}, "redirect_uri is missing"),
        ({"code_verifier": "v" * 42}, "code_verifier must be 43 to 128 unreserved characters"),
        ({"code_verifier": "v" * 129}, "code_verifier must be 43 to 128 unreserved characters"),
        ({"code_verifier": "v" * 42 + "é"}, "code_verifier must be 43 to 128"),
    ],
)
def test_a_form_that_is_not_well_formed_is_refused(grant, changes, why):
    with pytest.raises(InvalidRequest, match=why):
        checked(grant, changes)


def test_a_challenge_is_as_the_standard_s_example():
    """RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_names_its_family_and_holds_256_random_bits():
    code = new_code(FAMILY)

    assert code.startswith(FAMILY)
    assert len(code) == len(FAMILY) + 43
    assert new_code(FAMILY) != code


# ── redeem ───────────────────────────────────────────────────────────────────────────────────


def keep(database, *codes):
    with database.write() as tx:
        for code in codes:
            families.add_code(tx, code)


def redeemed(grant, database, *requests):
    with database.write() as tx:
        return grant.redeem(tx, requests)


def found(database):
    with database.read() as tx:
        return families.families(tx, {FAMILY})[FAMILY]


def reason(database):
    with database.read() as tx:
        query = select(token_families.c.revoked_reason).where(token_families.c.id == FAMILY)
        return tx.execute(query).scalar_one()


def is_ended(database):
    with database.read() as tx:
        return FAMILY in families.revoked(tx, {FAMILY})


def test_a_good_code_becomes_a_family_for_the_life_of_one_access_token(grant, sqlite_database):
    authorization = an_authorization(resources=(RESOURCE,), nonce="n")
    keep(sqlite_database, stored(authorization))

    [made] = redeemed(grant, sqlite_database, GOOD)

    assert (made.client, made.family, made.nonce) == (GOOD.client, FAMILY, "n")
    assert (made.scopes, made.resources) == (authorization.scopes, (RESOURCE,))
    assert (made.authorization, made.claims, made.refresh_token) == (authorization, {}, None)
    family = found(sqlite_database)
    assert (family.issued_at, family.expires_at) == (NOW, NOW + timedelta(minutes=15))
    assert (family.refresh_number, family.revoked) == (0, False)


def test_with_a_refresh_token_it_becomes_one_for_90_days(grant, sqlite_database):
    keep(sqlite_database, stored(an_authorization(scopes=("openid", "offline_access"))))

    [made] = redeemed(grant, sqlite_database, replace(GOOD, client=REFRESHING))

    family = found(sqlite_database)
    assert family.expires_at == NOW + timedelta(days=90)
    assert family.refresh_number == 1
    cipher = sqlite_database.cipher
    assert made.refresh_token == refresh.live_token(cipher, family)
    assert refresh.number_of(cipher, family, made.refresh_token) == 1


def test_without_offline_access_it_becomes_one_until_the_session_ends(grant, sqlite_database):
    keep(sqlite_database, stored())
    client = replace(REFRESHING, refresh_ends_with_session=True)

    [made, again] = redeemed(
        grant, sqlite_database, replace(GOOD, client=client), replace(GOOD, client=client)
    )

    assert made.ended == again.ended
    assert again.ended.expires_at == NOW + timedelta(hours=8)
    family = found(sqlite_database)
    assert (family.expires_at, family.refresh_number) == (NOW + timedelta(hours=8), 1)


def test_a_token_for_fewer_resources_is_for_those(grant, sqlite_database):
    keep(sqlite_database, stored(an_authorization(resources=(RESOURCE, f"{RESOURCE}/other"))))

    [made] = redeemed(grant, sqlite_database, replace(GOOD, resources=(RESOURCE,)))

    assert made.resources == (RESOURCE,)


@pytest.mark.parametrize(
    ("client", "jkt", "before", "after"),
    [
        (GOOD.client, THUMBPRINT, "", ""),
        (GOOD.client, THUMBPRINT, THUMBPRINT, ""),
        (APP, THUMBPRINT, "", THUMBPRINT),
        (APP, THUMBPRINT, THUMBPRINT, THUMBPRINT),
    ],
)
def test_the_refresh_tokens_of_an_app_are_bound_to_its_key(
    grant, sqlite_database, client, jkt, before, after
):
    keep(sqlite_database, stored(an_authorization(jkt=before)))

    [made] = redeemed(grant, sqlite_database, replace(GOOD, client=client, jkt=jkt))

    assert made.authorization.jkt == after
    assert found(sqlite_database).authorization == made.authorization


@pytest.mark.parametrize(
    ("changes", "burnt"),
    [
        ({"code_challenge": ""}, True),
        ({"client": a_client(client_id="thief")}, False),
        ({"redirect_uri": "https://other.example"}, False),
        ({"resources": ("https://other.example",)}, False),
    ],
)
def test_a_wrong_guess_burns_a_code_and_a_wrong_client_does_not(
    grant, sqlite_database, changes, burnt
):
    keep(sqlite_database, stored())

    [wrong] = redeemed(grant, sqlite_database, replace(GOOD, **changes))
    assert (found(sqlite_database).revoked, reason(sqlite_database)) == (
        (True, "code_burnt") if burnt else (False, None)
    )
    [then] = redeemed(grant, sqlite_database, GOOD)

    assert isinstance(wrong, NotRedeemed)
    assert isinstance(wrong.error, InvalidTarget if "resources" in changes else InvalidGrant)
    assert wrong.error.detail == judge(replace(GOOD, **changes), stored()).value
    assert wrong.ended is None
    assert isinstance(then, NotRedeemed) is burnt
    if burnt:
        assert then.error.detail == CodeVerdict.UNKNOWN.value


def test_a_burnt_code_is_worth_nothing_to_the_next_of_its_batch_and_burns_no_other(
    grant, sqlite_database
):
    other = uuid7(NOW)
    keep(sqlite_database, stored(), StoredCode(a_family(id=other), REDIRECT_URI, CHALLENGE))

    [wrong, then] = redeemed(grant, sqlite_database, replace(GOOD, code_challenge=""), GOOD)

    assert wrong.error.detail == CodeVerdict.VERIFIER.value
    assert then.error.detail == CodeVerdict.UNKNOWN.value
    with sqlite_database.read() as tx:
        assert not families.families(tx, {other})[other].revoked


def test_a_proof_by_another_key_burns_a_code(grant, sqlite_database):
    keep(sqlite_database, stored(an_authorization(jkt=THUMBPRINT)))

    [wrong] = redeemed(grant, sqlite_database, GOOD)
    [then] = redeemed(grant, sqlite_database, replace(GOOD, jkt=THUMBPRINT))

    assert wrong.error.detail == CodeVerdict.KEY.value
    assert then.error.detail == CodeVerdict.UNKNOWN.value


@pytest.mark.parametrize("together", [True, False])
def test_a_code_that_comes_twice_ends_its_family_be_it_in_one_batch(
    grant, sqlite_database, together
):
    keep(sqlite_database, stored())
    if together:
        first, second = redeemed(grant, sqlite_database, GOOD, GOOD)
        assert first.error.detail == CodeVerdict.USED.value
        assert first.ended.id == FAMILY
    else:
        [first] = redeemed(grant, sqlite_database, GOOD)
        assert first.family == FAMILY
        [second] = redeemed(grant, sqlite_database, replace(GOOD, now=NOW + 10 * MINUTE))

    assert (second.error.error, second.error.detail) == ("invalid_grant", CodeVerdict.USED.value)
    assert (second.ended.id, second.reason) == (FAMILY, "code_reuse")
    assert second.ended.expires_at == NOW + 15 * MINUTE
    assert (found(sqlite_database).revoked, reason(sqlite_database)) == (True, "code_reuse")
    assert is_ended(sqlite_database)


def test_what_is_ended_within_one_batch_was_to_last_as_long_as_it_would_have(
    grant, sqlite_database
):
    keep(sqlite_database, stored(an_authorization(scopes=("openid", "offline_access"))))
    refreshing = replace(GOOD, client=REFRESHING)

    first, second = redeemed(grant, sqlite_database, refreshing, refreshing)

    assert first.ended == second.ended
    assert second.ended.expires_at == NOW + timedelta(days=90)


def test_in_a_batch_each_request_gets_its_own_answer(grant, sqlite_database):
    other_id = uuid7(NOW)
    other_code = new_code(other_id)
    other = StoredCode(
        a_family(
            an_authorization(scopes=("openid", "offline_access")),
            id=other_id,
            code_hash=digests.sha256(other_code),
        ),
        REDIRECT_URI,
        CHALLENGE,
    )
    keep(sqlite_database, stored(), other)
    asks_other = replace(
        GOOD, client=REFRESHING, family=other_id, code_hash=digests.sha256(other_code)
    )

    answers = redeemed(
        grant, sqlite_database, replace(GOOD, family="", code_hash=""), asks_other, GOOD
    )

    assert isinstance(answers[0], NotRedeemed)
    assert [each.family for each in answers[1:]] == [other_id, FAMILY]
    assert [bool(each.refresh_token) for each in answers[1:]] == [True, False]
    assert found(sqlite_database).expires_at == NOW + timedelta(minutes=15)
    assert not is_ended(sqlite_database)


def test_a_code_twice_in_a_batch_ends_no_other_family(grant, sqlite_database):
    other_id = uuid7(NOW)
    other_code = new_code(other_id)
    family = a_family(id=other_id, code_hash=digests.sha256(other_code))
    keep(sqlite_database, stored(), StoredCode(family, REDIRECT_URI, CHALLENGE))
    asks_other = replace(GOOD, family=other_id, code_hash=digests.sha256(other_code))

    answers = redeemed(grant, sqlite_database, GOOD, asks_other, GOOD)

    assert [isinstance(each, NotRedeemed) for each in answers] == [True, False, True]


# ── claims of the ID token ───────────────────────────────────────────────────────────────────


@pytest.fixture
def chen(sqlite_database):
    with sqlite_database.write() as tx:
        people.add_person(tx, replace(PERSON, id_number="990001199003070028"), None, None, NOW)
    return PERSON.id


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(hours=1), {"name": PERSON.name, "id_number": "990001199003070028"}),
        (timedelta(hours=1, seconds=1), {"name": PERSON.name}),
    ],
)
def test_the_id_token_tells_what_was_allowed_and_is_recent_enough(
    grant, sqlite_database, chen, age, told
):
    signed_in = int((NOW - age).timestamp())
    asked = an_authorization(id_token_claims=("name", "id_number"), auth_time=signed_in)
    keep(sqlite_database, stored(asked))

    [refused, made] = redeemed(
        grant, sqlite_database, replace(GOOD, client=a_client(client_id="thief")), GOOD
    )

    assert made.claims == told
    assert isinstance(refused, NotRedeemed)


def test_where_no_id_token_is_given_nothing_is_read_for_one(grant, sqlite_database, chen):
    keep(sqlite_database, stored(an_authorization(scopes=("profile",), id_token_claims=("name",))))

    [made] = redeemed(grant, sqlite_database, GOOD)

    assert (made.id_token, made.claims) == (False, {})


def test_somebody_who_is_gone_is_told_nothing_of(grant, sqlite_database):
    keep(sqlite_database, stored(an_authorization(id_token_claims=("name",))))

    [made] = redeemed(grant, sqlite_database, GOOD)

    assert made.claims == {}
