"""What comes after a sound request: sign in, agree, a code or a refusal. Plain values."""

from dataclasses import replace
from datetime import timedelta

import pytest

from idp.authorize import rules
from idp.authorize.rules import Consent, Granted, Login, Logout, RequestRefused
from idp.protocol.acr import ACR_PASSWORD, ACR_TWO_FACTORS
from idp.protocol.claims import CLAIMS
from tests.idp.values import (
    MINUTE,
    NOW,
    PERSON,
    RESOURCE,
    SECOND,
    THUMBPRINT,
    a_client,
    a_request,
    a_session,
)
from tests.idp.world import ISSUER, LOGGED_OUT_URI, REDIRECT_URI

FRESH = a_session(authenticated_at=NOW + SECOND)  # they signed in for this very request
OLD = a_session()
LATER = NOW + 2 * SECOND
STRONG = {"acr": ACR_TWO_FACTORS}
LOGIN = Login("interaction-1")
CONSENT = Consent("interaction-1")
ANSWERED = ("openid",)


def decided(request, session, *, client=None, answered=ANSWERED, now=LATER, subject="sub-1"):
    return rules.decide(
        request,
        client or a_client(),
        session,
        answered,
        subject=subject,
        interaction_id="interaction-1",
        issuer=ISSUER,
        now=now,
    )


def refusal(error, description):
    """As the client hears it, whatever was wrong."""
    parameters = (
        ("error", error),
        ("error_description", description),
        ("state", "state-1"),
        ("iss", ISSUER),
    )
    return RequestRefused(
        error,
        description,
        REDIRECT_URI,
        parameters,
        "form_post",
        client_uri="https://food.example.gov.cn/start",
    )


# ── sign in ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("session", [FRESH, OLD])
def test_who_signed_in_and_agreed_needs_nothing_more(session):
    assert decided(a_request(), session) is None


@pytest.mark.parametrize(
    ("changes", "session"),
    [
        ({}, None),
        ({"prompt": ("login",)}, OLD),
        ({"prompt": ("select_account",)}, OLD),
        ({"prompt": ("login",)}, a_session(authenticated_at=NOW)),
        ({"max_age": 0}, OLD),
        ({"max_age": 60}, OLD),
        ({"acr_values": (ACR_TWO_FACTORS,)}, OLD),
        ({"essential_acr": (ACR_TWO_FACTORS,)}, OLD),
        ({"essential_acr": ("urn:somebody:gold",)}, OLD),
        ({"subject": "sub-2"}, OLD),
    ],
    ids=str,
)
def test_a_session_from_before_that_is_not_what_was_asked_signs_in_again(changes, session):
    assert decided(a_request(**changes), session) == LOGIN
    silent = {"prompt": ("none",), "response_mode": "form_post"}
    if "prompt" not in changes:
        assert decided(a_request(**changes | silent), session) == refusal(
            "login_required", "nobody is signed in"
        )


@pytest.mark.parametrize(
    ("changes", "session"),
    [
        ({"prompt": ("login",)}, FRESH),
        ({"prompt": ("select_account",)}, FRESH),
        ({"max_age": 0}, FRESH),
        ({"max_age": 62}, OLD),
        ({"acr_values": (ACR_TWO_FACTORS,)}, FRESH),
        ({"acr_values": (ACR_TWO_FACTORS,)}, replace(OLD, **STRONG)),
        ({"acr_values": ("urn:somebody:gold",)}, OLD),
        ({"essential_acr": (ACR_TWO_FACTORS,)}, replace(OLD, **STRONG)),
        ({"essential_acr": (ACR_PASSWORD,)}, OLD),
        ({"subject": "sub-1"}, OLD),
    ],
    ids=str,
)
def test_a_session_that_is_what_was_asked_goes_on(changes, session):
    assert decided(a_request(**changes), session) is None


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        (
            {"subject": "sub-2"},
            "login_required",
            "another person is signed in than the one that was asked for",
        ),
        (
            {"essential_acr": (ACR_TWO_FACTORS,)},
            "unmet_authentication_requirements",
            "the person did not authenticate as strongly as was asked",
        ),
    ],
)
def test_who_signed_in_just_now_and_will_not_do_is_not_asked_again_and_again(
    changes, error, description
):
    request = a_request(response_mode="form_post", **changes)

    assert decided(request, FRESH) == refusal(error, description)


def test_after_a_sign_in_for_this_request_there_are_five_minutes_to_read():
    request = a_request(max_age=1)
    fresh_until = FRESH.authenticated_at + 5 * MINUTE

    assert decided(request, FRESH, now=fresh_until) is None
    assert decided(request, FRESH, now=fresh_until + SECOND) == LOGIN
    assert decided(a_request(max_age=400), FRESH, now=fresh_until + SECOND) is None


def test_an_old_session_counts_until_its_age_is_reached_and_no_longer():
    request = a_request(max_age=100)

    assert decided(request, OLD, now=OLD.authenticated_at + 100 * SECOND) is None
    assert decided(request, OLD, now=OLD.authenticated_at + 101 * SECOND) == LOGIN


# ── agree ────────────────────────────────────────────────────────────────────────────────────

NAMES = {"userinfo_claims": {"name": None}, "id_token_claims": {"locale": {"essential": True}}}


@pytest.mark.parametrize(
    ("changes", "client", "answered", "asks"),
    [
        ({}, {}, None, True),
        ({}, {}, (), True),
        ({}, {}, ("openid", "name"), False),
        ({"scopes": ("openid", "profile")}, {}, ("openid", "profile"), True),
        (NAMES, {}, ("openid", "name"), True),
        (NAMES, {}, ("openid", "locale"), True),
        (NAMES, {}, ("openid", "locale", "name"), False),
        ({}, {"first_party": True}, None, False),
        ({"prompt": ("consent",)}, {"first_party": True}, ANSWERED, True),
        ({"prompt": ("consent",)}, {}, ANSWERED, True),
        ({"prompt": ("login",)}, {}, ANSWERED, False),
    ],
)
def test_a_person_is_asked_what_they_did_not_answer_before(changes, client, answered, asks):
    request, client = a_request(**changes), a_client(**client)

    assert decided(request, FRESH, client=client, answered=answered) == (CONSENT if asks else None)


def test_a_silent_request_is_told_that_nobody_agreed():
    request = a_request(prompt=("none",), response_mode="form_post")

    assert decided(request, OLD) is None
    assert decided(request, OLD, answered=None) == refusal(
        "consent_required", "the person has not agreed to this"
    )


def test_two_more_refusals_have_the_client_s_way_back():
    request = a_request(response_mode="form_post")

    assert rules.used_before(request, a_client(), ISSUER) == refusal(
        "invalid_request_uri", "this request_uri was used before"
    )
    assert rules.denied(request, a_client(), ISSUER) == refusal(
        "access_denied", "the person did not agree"
    )


def test_a_refusal_names_the_client_that_is_told():
    assert rules.denied(a_request(), a_client(), ISSUER).client == a_client()


def test_an_answer_goes_to_the_address_of_the_client_or_to_nobody():
    granted = Granted(REDIRECT_URI, (("code", "c"), ("iss", ISSUER)))
    refused = rules.denied(a_request(), a_client(), ISSUER)

    assert granted.redirect_to == f"{REDIRECT_URI}&code=c&iss=https%3A%2F%2Fid.example.gov.cn"
    assert refused.redirect_to is not None
    assert refused.redirect_to.startswith(f"{REDIRECT_URI}&error=access_denied&")
    assert RequestRefused("invalid_client", "no").redirect_to is None


# ── what was asked and granted ───────────────────────────────────────────────────────────────


def test_a_person_is_asked_about_scopes_and_claims_in_the_order_of_the_catalogue():
    request = a_request(
        scopes=("openid", "profile"),
        userinfo_claims={"id_number": None, "name": None},
        id_token_claims={"roles": None, "not-a-claim": None},
    )

    claims = rules.asked_claims(request)

    assert set(claims) >= {"name", "preferred_username", "locale", "id_number"}
    assert claims == tuple(name for name in CLAIMS if name in claims)
    assert "not-a-claim" not in claims
    assert rules.asked(request) == ("openid", "profile", *claims)


def test_claims_marked_essential_are_those_with_true():
    request = a_request(
        userinfo_claims={"name": {"essential": True}, "locale": None, "id_number": {}},
        id_token_claims={
            "preferred_username": {"essential": True},
            "roles": {"essential": "true"},
        },
    )

    assert rules.essential_claims(request) == {"name", "preferred_username"}


def test_who_asks_whether_an_address_was_verified_asks_for_the_address():
    request = a_request(userinfo_claims={"email_verified": {"essential": True}})

    assert rules.asked(request) == ("openid", "email")
    assert rules.essential_claims(request) == {"email"}
    made = rules.authorization_of(request, a_client(), a_session(), ["email"])
    assert made.userinfo_claims == ("email_verified",)


def test_what_is_granted_is_what_was_asked_and_allowed_and_no_more():
    request = a_request(
        scopes=("openid", "profile"),
        userinfo_claims={"id_number": None},
        id_token_claims={"name": None, "id_number": None, "locale": None},
        resources=(RESOURCE,),
        nonce="n",
        dpop_jkt=THUMBPRINT,
    )
    session = a_session(acr=ACR_TWO_FACTORS, amr=("pwd", "otp"))

    allowed = ["locale", "id_number", "preferred_username"]

    made = rules.authorization_of(request, a_client(), session, allowed)

    assert (made.person_id, made.subject, made.sid) == (PERSON.id, PERSON.subject, "sid-1")
    assert made.auth_time == int((NOW - MINUTE).timestamp())
    assert (made.acr, made.amr) == (ACR_TWO_FACTORS, ("pwd", "otp"))
    assert made.scopes == ("openid", "profile")
    assert made.resources == (RESOURCE,)
    assert made.userinfo_claims == ("preferred_username", "locale", "id_number")
    assert made.id_token_claims == ("locale", "id_number")
    assert (made.nonce, made.jkt) == ("n", THUMBPRINT)


def test_the_id_token_of_who_is_registered_so_tells_what_scopes_ask_for_too():
    client = a_client(claims_in_id_token=True)
    request = a_request(scopes=("openid", "profile"), id_token_claims={"id_number": None})

    made = rules.authorization_of(request, client, a_session(), ["name", "id_number"])

    assert set(made.userinfo_claims) == {"name", "updated_at"}
    assert set(made.id_token_claims) == {"name", "updated_at", "id_number"}


# ── sign out ─────────────────────────────────────────────────────────────────────────────────

CLIENT = a_client(post_logout_redirect_uris=(LOGGED_OUT_URI,))
HINT = {"aud": "food-office", "sid": "sid-1"}
GIVEN = {"id_token_hint": "x"}
BACK = {"post_logout_redirect_uri": LOGGED_OUT_URI}


@pytest.mark.parametrize(
    ("params", "hint", "session", "logout"),
    [
        ({}, None, None, Logout(None, at_once=True)),
        ({}, None, OLD, Logout(None, at_once=False)),
        (GIVEN, HINT, OLD, Logout(None, at_once=True)),
        (GIVEN, HINT | {"sid": "sid-2"}, OLD, Logout(None, at_once=False)),
        (GIVEN, HINT | {"sid": "sid-2"}, None, Logout(None, at_once=True)),
        (GIVEN | {"client_id": "food-office"}, HINT, OLD, Logout(None, at_once=True)),
        (BACK, None, OLD, Logout(LOGGED_OUT_URI, at_once=False)),
        (BACK | {"state": "s&"}, None, OLD, Logout(f"{LOGGED_OUT_URI}?state=s%26", at_once=False)),
        (BACK | {"state": ""}, None, OLD, Logout(LOGGED_OUT_URI, at_once=False)),
        ({"state": "s"}, None, OLD, Logout(None, at_once=False)),
        ({"id_token_hint": "", "client_id": ""}, None, OLD, Logout(None, at_once=False)),
    ],
)
def test_who_may_sign_a_browser_out_and_where_it_goes(params, hint, session, logout):
    assert rules.check_logout(params, hint, CLIENT, session, session) == logout


def test_a_hint_about_a_session_that_lives_asks_a_browser_without_one():
    assert rules.check_logout(GIVEN, HINT, CLIENT, None, OLD) == Logout(None, at_once=False)


def test_a_hint_that_cannot_be_checked_leads_nowhere_unless_client_id_names_the_client():
    given = GIVEN | BACK

    for asked in (given, GIVEN):
        assert rules.check_logout(asked, None, None, OLD, OLD) == Logout(None, at_once=False)
    assert rules.check_logout(given, None, CLIENT, OLD, OLD) == Logout(
        LOGGED_OUT_URI, at_once=False
    )


@pytest.mark.parametrize(
    ("params", "hint", "client", "why"),
    [
        (
            GIVEN | {"client_id": "other"},
            HINT,
            CLIENT,
            "client_id is not the client of id_token_hint",
        ),
        (BACK, None, None, "post_logout_redirect_uri is not one that the client registered"),
        (
            {"post_logout_redirect_uri": LOGGED_OUT_URI + "/"},
            HINT,
            CLIENT,
            "post_logout_redirect_uri is not one that the client registered",
        ),
    ],
)
def test_another_sign_out_is_refused_and_redirects_nowhere(params, hint, client, why):
    about_address = "post_logout_redirect_uri" in params

    assert rules.check_logout(params, hint, client, OLD, OLD) == RequestRefused(
        "invalid_request",
        why,
        client_uri=CLIENT.client_uri if client and about_address else "",
    )


def test_patience_is_five_minutes():
    assert timedelta(minutes=5) == rules.PATIENCE
