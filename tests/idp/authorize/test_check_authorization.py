"""Which authorization requests obey: plain values, one changed at a time."""

import json

import pytest

from idp.authorize.authorization import check_authorization
from idp.authorize.rules import RequestRefused
from idp.protocol.acr import ACR_TWO_FACTORS
from idp.protocol.authorizations import AuthorizationRequest
from idp.protocol.profiles import rules_of
from tests.idp.values import CHALLENGE, NOW, RESOURCE, THUMBPRINT, a_client
from tests.idp.world import ISSUER, REDIRECT_URI

SOUND = {
    "response_type": "code",
    "client_id": "food-office",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid",
    "state": "state-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
BARE = AuthorizationRequest(
    client_id="food-office",
    redirect_uri=REDIRECT_URI,
    scopes=("openid",),
    created_at=NOW,
    code_challenge=CHALLENGE,
    state="state-1",
)
APP = "cn.gov.example.app:/cb"
NO_CHALLENGE = {"code_challenge": None, "code_challenge_method": None}


def checked(changes, *, client=None, **options):
    params = {name: value for name, value in (SOUND | changes).items() if value is not None}
    return check_authorization(
        params,
        a_client(**client) if client is not None else a_client(),
        issuer=ISSUER,
        now=NOW,
        **options,
    )


def told(error, description, **changes):
    """The refusal that goes to the client, with its state and our name."""
    parameters = (
        ("error", error),
        ("error_description", description),
        ("state", "state-1"),
        ("iss", ISSUER),
    )
    fields = {
        "redirect_uri": REDIRECT_URI,
        "parameters": parameters,
        "client_uri": "https://food.example.gov.cn/start",
        **changes,
    }
    return RequestRefused(error, description, **fields)


# ── sound requests ───────────────────────────────────────────────────────────────────────────


def test_the_least_that_is_asked_becomes_a_request():
    assert checked({}) == BARE


def test_all_that_can_be_asked_becomes_a_request():
    claims = {
        "userinfo": {"name": {"essential": True}},
        "id_token": {"locale": None, "acr": {"essential": True, "value": ACR_TWO_FACTORS}},
    }

    request = checked(
        {
            "scope": "openid profile openid",
            "response_mode": "form_post",
            "nonce": "n",
            "resource": f"{RESOURCE} {RESOURCE}",
            "claims": json.dumps(claims),
            "prompt": "login consent",
            "max_age": "123456789",
            "acr_values": "urn:a urn:b",
            "id_token_hint": "x",
            "login_hint": "chen",
            "ui_locales": "zh-Hans en",
            "dpop_jkt": THUMBPRINT,
            "colour": "blue",
        },
        hint={"aud": "food-office", "sub": "sub-1"},
    )

    assert request == AuthorizationRequest(
        client_id="food-office",
        redirect_uri=REDIRECT_URI,
        scopes=("openid", "profile"),
        created_at=NOW,
        code_challenge=CHALLENGE,
        response_mode="form_post",
        state="state-1",
        nonce="n",
        resources=(RESOURCE,),
        userinfo_claims={"name": {"essential": True}},
        id_token_claims={"locale": None},
        prompt=("login", "consent"),
        max_age=123456789,
        acr_values=("urn:a", "urn:b", ACR_TWO_FACTORS),
        essential_acr=(ACR_TWO_FACTORS,),
        subject="sub-1",
        login_hint="chen",
        ui_locales=("zh-Hans", "en"),
        dpop_jkt=THUMBPRINT,
    )


@pytest.mark.parametrize(
    "name",
    ["nonce", "claims", "prompt", "max_age", "request", "dpop_jkt", "resource", "response_mode"],
)
def test_an_empty_value_is_none(name):
    assert checked({name: ""}) == BARE


@pytest.mark.parametrize("prompt", ["none", "login", "consent", "select_account"])
def test_each_prompt_of_the_standard_is_known(prompt):
    assert checked({"prompt": prompt}).prompt == (prompt,)


def test_a_value_has_at_most_4096_characters():
    assert checked({"state": "s" * 4096}).state == "s" * 4096
    assert checked({"nonce": "n" * 4097}) == told("invalid_request", "nonce is longer than 4096")
    assert checked({"n" * 50: "n" * 4097}).description == "n" * 40 + " is longer than 4096"


# ── no redirect ──────────────────────────────────────────────────────────────────────────────


def test_an_unknown_client_is_sent_nowhere():
    assert check_authorization(SOUND, None, issuer=ISSUER, now=NOW) == RequestRefused(
        "invalid_client", "client_id is not a client registered here"
    )


@pytest.mark.parametrize(
    "uri", [None, "", REDIRECT_URI + "&", REDIRECT_URI.upper(), "https://food.example.gov.cn/"]
)
def test_an_address_that_is_not_registered_is_sent_nowhere(uri):
    assert checked({"redirect_uri": uri}) == RequestRefused(
        "invalid_request",
        "redirect_uri is not one of those the client registered, compared exactly",
        client_uri="https://food.example.gov.cn/start",
    )


# ── the way, the flow ────────────────────────────────────────────────────────────────────────

MUST_PUSH = {"require_pushed_authorization_requests": True}
MUST_SIGN = {"require_signed_request_object": True}


def test_who_must_push_or_sign_does():
    assert checked({}, client=MUST_PUSH, pushed=True) == BARE
    assert checked({}, client=MUST_SIGN, signed=True) == BARE
    assert checked({}, client=MUST_PUSH, signed=True) == told(
        "invalid_request", "this client must push its requests to /oauth/par (RFC 9126)"
    )
    assert checked({}, client=MUST_SIGN, pushed=True) == told(
        "invalid_request", "this client must sign its requests (RFC 9101)"
    )


@pytest.mark.parametrize("name", ["request", "request_uri", "registration"])
def test_what_is_left_to_open_is_not_supported(name):
    assert checked({name: "x"}, pushed=True, signed=True) == told(
        f"{name}_not_supported", f"{name} is not supported here"
    )


@pytest.mark.parametrize(
    ("changes", "client", "error", "description"),
    [
        ({"response_type": None}, {}, "invalid_request", "response_type is missing"),
        (
            {"response_type": "token"},
            {},
            "unsupported_response_type",
            "response_type must be code",
        ),
        (
            {"response_type": "code token"},
            {},
            "unsupported_response_type",
            "response_type must be code",
        ),
        (
            {},
            {"grant_types": ("client_credentials",)},
            "unauthorized_client",
            "the client is not registered for authorization_code",
        ),
    ],
)
def test_only_the_code_flow_and_for_who_is_registered_for_it(changes, client, error, description):
    assert checked(changes, client=client) == told(error, description)


# ── how it is answered ───────────────────────────────────────────────────────────────────────


def test_an_answer_by_form_is_a_registered_mode_to_an_http_address():
    local = {"redirect_uris": ("http://127.0.0.1:8080/cb",)}
    local_form = {"response_mode": "form_post", "redirect_uri": "http://127.0.0.1:8080/cb"}

    assert checked({"response_mode": "query"}) == BARE
    assert checked({"response_mode": "form_post"}).response_mode == "form_post"
    assert checked(local_form, client=local).response_mode == "form_post"


@pytest.mark.parametrize(
    ("changes", "client", "uri"),
    [
        ({"response_mode": "fragment"}, {}, REDIRECT_URI),
        ({"response_mode": "form_post", "redirect_uri": APP}, {"redirect_uris": (APP,)}, APP),
        (
            {"response_mode": "form_post"},
            {"profile": "public", "token_endpoint_auth_method": "none"},
            REDIRECT_URI,
        ),
    ],
)
def test_a_mode_that_cannot_be_is_refused_in_the_query(changes, client, uri):
    allowed = " or ".join(rules_of(a_client(**client)).response_modes)
    said = f"response_mode must be {allowed}, and a form needs an http address"

    assert checked(changes, client=client) == told("invalid_request", said, redirect_uri=uri)


def test_an_app_that_asks_for_a_signed_form_is_refused_in_a_signed_query():
    changes = {"response_mode": "form_post.jwt", "redirect_uri": APP}

    refused = checked(changes, client={"redirect_uris": (APP,)})

    assert (refused.error, refused.response_mode) == ("invalid_request", "query.jwt")
    assert checked({"response_mode": "form_post.jwt"}).response_mode == "form_post.jwt"


def test_a_refusal_that_is_told_to_the_client_names_it():
    assert checked({"scope": None}).client == a_client()
    assert checked({"redirect_uri": None}).client is None


def test_a_refusal_goes_the_way_that_was_asked_for():
    refused = checked({"response_mode": "form_post", "scope": None})

    assert refused == told("invalid_scope", "scope is missing", response_mode="form_post")


# ── PKCE ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"code_challenge": None}, "code_challenge is missing (PKCE)"),
        (NO_CHALLENGE, "code_challenge is missing (PKCE)"),
        ({"code_challenge_method": None}, "code_challenge_method must be S256"),
        ({"code_challenge_method": "plain"}, "code_challenge_method must be S256"),
        ({"code_challenge_method": "s256"}, "code_challenge_method must be S256"),
        ({"code_challenge": "a" * 42}, "code_challenge must be 43 base64url characters"),
        ({"code_challenge": "a" * 44}, "code_challenge must be 43 base64url characters"),
        ({"code_challenge": "a" * 42 + "="}, "code_challenge must be 43 base64url characters"),
    ],
)
def test_a_challenge_is_a_digest(changes, description):
    assert checked(changes) == told("invalid_request", description)


def test_a_nonce_is_enough_for_who_is_registered_to_rely_on_it():
    relying = {"relies_on_nonce": True}

    by_nonce = checked(NO_CHALLENGE | {"nonce": "n", "scope": "profile openid"}, client=relying)

    assert (by_nonce.code_challenge, by_nonce.nonce) == ("", "n")
    assert checked({"nonce": "n"}, client=relying).code_challenge == CHALLENGE


@pytest.mark.parametrize(
    ("changes", "relies"),
    [
        ({"nonce": "n"}, False),
        ({}, True),
        ({"nonce": "n", "scope": "profile"}, True),
        ({"nonce": "n", "scope": None}, True),
        ({"nonce": "n", "code_challenge_method": "S256"}, True),
    ],
)
def test_a_nonce_is_not_enough_for_others_or_when_half_of_pkce_is_there(changes, relies):
    refused = checked(NO_CHALLENGE | changes, client={"relies_on_nonce": relies})

    assert refused == told("invalid_request", "code_challenge is missing (PKCE)")


def test_the_profile_basic_needs_neither_and_what_it_sends_counts():
    basic = {"profile": "basic"}

    assert checked(NO_CHALLENGE, client=basic).code_challenge == ""
    assert checked({}, client=basic).code_challenge == CHALLENGE
    for half in ({"code_challenge": None}, {"code_challenge_method": None}):
        assert isinstance(checked(half, client=basic), RequestRefused)


# ── scopes, claims, resources ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scope", "description"),
    [
        (None, "scope is missing"),
        (" ", "scope is missing"),
        ('openid "', "scope is not a space-separated list"),
        ("openid organisation", "the client is not registered for the scope organisation"),
        ("XX", "no scope that is asked for is known here; see scopes_supported"),
    ],
)
def test_scopes_are_a_list_within_the_registration(scope, description):
    assert checked({"scope": scope}) == told("invalid_scope", description)


def test_a_scope_that_nobody_knows_is_ignored():
    assert checked({"scope": "openid  XX"}) == BARE


def test_the_claims_of_a_scope_are_within_the_purpose():
    assert checked({"scope": "openid profile"}, client={"claims": ("name",)}) == told(
        "invalid_scope",
        "the client's registered purpose does not cover the claim preferred_username",
    )


def test_claims_and_hints_are_read_for_this_client_and_these_scopes():
    assert checked({"scope": "profile", "claims": "{}"}) == told(
        "invalid_request", "claims needs the scope openid"
    )
    assert checked({"id_token_hint": "x"}, hint={"aud": "other", "sub": "s"}) == told(
        "invalid_request", "id_token_hint is not an ID token of this provider for this client"
    )


def test_resources_are_within_the_registration():
    both = f"{RESOURCE} {RESOURCE}/other"

    assert checked({"resource": both}).resources == tuple(both.split())
    assert checked({"resource": f"{RESOURCE} https://other.example"}) == told(
        "invalid_target", "the client is not registered for this resource"
    )


# ── prompt, max_age, dpop_jkt ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"prompt": "magic"}, "prompt has a value that does not exist"),
        ({"prompt": "login NONE"}, "prompt has a value that does not exist"),
        ({"prompt": "none login"}, "prompt=none stands alone"),
        ({"prompt": "consent none"}, "prompt=none stands alone"),
        ({"max_age": "-1"}, "max_age is not a number of seconds"),
        ({"max_age": "1.5"}, "max_age is not a number of seconds"),
        ({"max_age": "１"}, "max_age is not a number of seconds"),
        ({"max_age": "1234567890"}, "max_age is not a number of seconds"),
        ({"dpop_jkt": "t" * 42}, "dpop_jkt must be 43 base64url characters"),
        ({"dpop_jkt": "t" * 44}, "dpop_jkt must be 43 base64url characters"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, description):
    assert checked(changes) == told("invalid_request", description)


def test_a_request_without_a_state_is_refused_without_one():
    refused = checked({"state": None, "scope": None})

    assert "state" not in dict(refused.parameters)
    assert checked({"state": None}).state is None


def test_the_request_s_max_age_counts_before_the_registration_s():
    registered = {"default_max_age": 60}

    assert checked({"max_age": "0"}).max_age == 0
    assert checked({}, client=registered).max_age == 60
    assert checked({"max_age": "0"}, client=registered).max_age == 0
