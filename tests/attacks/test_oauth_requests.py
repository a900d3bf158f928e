"""Attack 30, with 5, 7 and 20 where they meet it: requests that are not what they say."""

import re
from datetime import timedelta
from html import escape

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from idp import Granted, RequestRefused
from tests.idp.authorize.test_pushed import signing, strict  # noqa: F401
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.proofs import Prover
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World


def refused_on_a_page(world: World, params: dict[str, str]) -> str:
    response = world.http.get("/oauth/authorize", params)
    assert response.status_code == 400, response.headers.get("location")
    assert "location" not in response.headers
    return response.json()["detail"]


def test_30_a_pushed_request_is_of_no_use_to_another_client(world: World, strict: RelyingParty):
    carried = strict.push(strict.request())
    thief = world.client("thief")

    assert refused_on_a_page(world, {**carried, "client_id": thief.id})
    assert refused_on_a_page(world, {"request_uri": carried["request_uri"]})
    assert world.browser().authorize(carried).path.startswith("/signin/")


def test_30_a_pushed_request_expires(world: World, strict: RelyingParty, clock):
    carried = strict.push(strict.request())
    clock.advance(timedelta(seconds=91))

    assert "expired" in refused_on_a_page(world, carried)


@pytest.mark.parametrize("tail", ["", "x", "x" * 43, "' OR 1=1 --", "%00"])
def test_30_a_made_up_reference_is_nobodys(world: World, strict: RelyingParty, tail):
    strict.push(strict.request())
    made_up = "urn:ietf:params:oauth:request_uri:" + tail

    assert refused_on_a_page(world, {"client_id": strict.id, "request_uri": made_up})


def test_30_a_pushed_request_authorizes_once(world: World, strict: RelyingParty):
    carried = strict.push(strict.request())
    browsers = [world.browser(), world.browser()]
    pages = [browser.authorize(carried) for browser in browsers]  # both load it in time

    decisions = []
    for browser, page in zip(browsers, pages, strict=True):
        browser.sign_in(page.interaction_id)
        decisions.append(
            world.idp.decide_consent(
                page.interaction_id, browser.session_id, True, browser=browser.id
            )
        )

    first, second = decisions
    assert isinstance(first, Granted)
    assert isinstance(second, RequestRefused)
    assert second.error == "invalid_request_uri"
    assert "used" in refused_on_a_page(world, carried)


def test_30_who_must_push_cannot_send_the_browser_with_a_request_instead(world, strict, signing):
    pushing = world.client("pushing", require_pushed_authorization_requests=True)
    signed_too = world.client(
        "both", token_endpoint_auth_method="private_key_jwt", profile="fapi2",
        grant_types=("authorization_code",),
    )  # fmt: skip

    for party in (strict, pushing):
        answer = world.browser().authorize(party.request())
        assert answer.params["error"] == "invalid_request", party.id
    by_object = {"client_id": "both", "request": signed_too.request_object()}
    assert world.browser().authorize(by_object).params["error"] == "invalid_request"


def test_30_what_the_browser_adds_to_a_pushed_request_is_not_looked_at(world, strict):
    carried = strict.push(strict.request())
    evil = {"redirect_uri": "https://evil.example/", "scope": "openid identity", "state": "evil"}
    browser = world.browser()

    answer = browser.authorize({**carried, **evil})
    browser.sign_in(answer.interaction_id)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, browser=browser.id
    )

    assert granted.redirect_uri == REDIRECT_URI
    assert dict(granted.parameters)["state"] == strict.state


def test_30_an_unsigned_request_is_refused_where_a_signed_one_is_required(world, signing):
    answer = world.browser().authorize(signing.request())
    pushed = signing.post("/oauth/par", signing.request())

    assert answer.params["error"] == "invalid_request"
    assert pushed.json()["error"] == "invalid_request"


def test_30_a_claim_outside_the_object_is_not_looked_at(world: World, signing: RelyingParty):
    text = signing.request_object(scope=None)
    outside = {"client_id": "signing", "request": text, "scope": "openid profile"}

    answer = world.browser().authorize(outside)

    assert answer.params["error"] == "invalid_scope"


def test_30_the_redirect_uri_outside_the_object_is_not_followed(world: World, signing):
    text = signing.request_object(redirect_uri=None)

    assert refused_on_a_page(
        world, {"client_id": "signing", "request": text, "redirect_uri": REDIRECT_URI}
    )


WRONG = {
    "another audience": {"aud": "https://other.example"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "somebody"},
    "no issuer": {"iss": None},
    "another client": {"client_id": "somebody"},
    "no client": {"client_id": None},
    "a subject, as a client assertion has": {"sub": "signing"},
    "an end in the year 9999": {"exp": 253402300799},
    "an end long ago": {"exp": 1, "nbf": 0},
    "a start in the future": {"nbf": 4102444800, "exp": 4102444900},
    "an object in the object": {"request": "x"},
    "a reference in the object": {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
    "a list for a scope": {"scope": ["openid", "profile"]},
    "a truth value for a state": {"state": True},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_30_a_request_object_that_says_something_else_is_refused(world, signing, changes):
    text = signing.request_object(**changes)

    assert refused_on_a_page(world, {"client_id": "signing", "request": text})
    pushed = signing.post("/oauth/par", {"request": text})
    assert pushed.json()["error"] == "invalid_request_object"


@pytest.mark.parametrize("missing", ["nbf", "exp"])
@pytest.mark.parametrize(("profile", "taken"), [("standard", True), ("fapi2", False)])
def test_30_a_signed_request_says_from_when_to_when_where_the_profile_is_strict(
    world: World, missing, profile, taken
):
    """FAPI Message Signing §5.3.1 demands both; OpenID Connect Core §6.1 neither."""
    signs = world.client(
        "dated", token_endpoint_auth_method="private_key_jwt", profile=profile,
        grant_types=("authorization_code",),
    )  # fmt: skip

    pushed = signs.post("/oauth/par", {"request": signs.request_object(**{missing: None})})

    assert pushed.status_code == (201 if taken else 400)
    assert taken or missing in pushed.json()["error_description"]


@pytest.mark.parametrize(("seconds", "taken"), [(-1, False), (3600, True), (3601, False)])
def test_30_a_request_object_lives_an_hour_at_most(world: World, signing, seconds, taken):
    end = int(world.clock().timestamp()) + seconds

    answer = world.browser().authorize(
        {"client_id": "signing", "request": signing.request_object(exp=end)}
    )

    assert answer.path.startswith("/signin/") == taken


def test_30_a_request_beside_a_reference_is_neither(world: World, signing, strict):
    carried = strict.push(strict.request())

    both = signing.post(
        "/oauth/par", {"request": signing.request_object(), "request_uri": carried["request_uri"]}
    )
    params = {"client_id": "signing", "request": signing.request_object()}

    assert both.json()["error"] == "invalid_request"
    assert refused_on_a_page(world, {**params, "request_uri": "https://evil.example/"})
    assert refused_on_a_page(world, {**params, "request_uri": carried["request_uri"]})


def test_30_only_the_clients_own_signature_counts(world: World, signing: RelyingParty):
    claims = jwt.decode(signing.request_object(), options={"verify_signature": False})
    stranger = ec.generate_private_key(ec.SECP256R1())
    typ = "oauth-authz-req+jwt"
    tokens = {
        "unsigned": jwt.encode(claims, None, "none", headers={"typ": typ}),
        "a stranger's": jwt.encode(claims, stranger, "ES256", headers={"typ": typ}),
        "a shared secret": jwt.encode(claims, "s" * 64, "HS256", headers={"typ": typ}),
        "of another kind": signing.request_object(header={"typ": "dpop+jwt"}),
        "a token of ours": world.idp.keys.jws("idp.tokens", claims, typ=typ),
    }
    for name, text in tokens.items():
        assert refused_on_a_page(world, {"client_id": "signing", "request": text}), name


def test_20_a_client_assertion_is_no_request_and_a_request_no_assertion(world, signing):
    assertion = signing.assertion()["client_assertion"]
    form = {"grant_type": "client_credentials", **signing.assertion()}
    form["client_assertion"] = signing.request_object(jti="j", aud=ISSUER)

    assert refused_on_a_page(world, {"client_id": "signing", "request": assertion})
    response = world.http.post("/oauth/token", form)
    assert response.json()["error"] == "invalid_client"


def test_07_an_answer_by_form_goes_to_a_registered_address_or_nowhere(world: World, client):
    params = client.request(response_mode="form_post", redirect_uri="https://evil.example/")

    assert refused_on_a_page(world, params)


def test_07_an_answer_by_form_carries_no_form_of_somebody_else(world: World, client):
    """The state is the client's, or whoever wrote the link's: text, wherever it stands."""
    state = '"></form><form action="https://evil.example/">'
    params = client.request(response_mode="form_post", scope="beyond", state=state)

    page = world.http.get("/oauth/authorize", params)

    assert page.status_code == 200
    assert page.text.count("<form") == 1
    assert f'value="{escape(state)}"' in page.text
    assert re.findall(r'<form[^>]* action="([^"]*)"', page.text) == [REDIRECT_URI]
    policy = page.headers["content-security-policy"]
    assert "form-action" not in policy, "it would also end the client's own redirects"
    assert "base-uri 'none'" in policy


def test_05_a_nonce_stands_in_for_pkce_only_where_it_is_registered_to(world: World, client):
    without = {"code_challenge": None, "code_challenge_method": None}
    relying = world.client("relying", relies_on_nonce=True)
    browser = world.browser()

    assert world.browser().authorize(client.request(**without)).params["error"]
    assert world.browser().authorize(relying.request(**without, nonce=None)).params["error"]
    code = relying.code(browser, **without)
    injected = relying.exchange(code, code_verifier="v" * 43)
    assert injected.json()["error"] == "invalid_grant", "a verifier nobody asked for"
    again = browser.authorize(relying.request(**without))
    exchanged = relying.exchange(again.params["code"], code_verifier=None)
    said = world.verify(exchanged.json()["id_token"], audience="relying")
    assert said["nonce"] == "n-" + relying.state, "without it the client could compare nothing"


def test_14_a_proof_at_the_push_binds_the_code(world: World, strict: RelyingParty):
    code = strict.code()  # pushed with a proof, without dpop_jkt
    strict.prover = Prover(world.clock)

    stolen = strict.exchange(code)

    assert stolen.json()["error"] == "invalid_grant"


def test_14_a_push_cannot_bind_to_two_keys(world: World, strict: RelyingParty):
    response = strict.post("/oauth/par", strict.request(dpop_jkt="A" * 43))

    assert response.json()["error"] == "invalid_request"
    assert "dpop_jkt" in response.json()["error_description"]


CLAIMS = {
    "said twice": '{"id_token":{"acr":{"essential":true,"value":"x"}},"id_token":{}}',
    "said twice inside": '{"id_token":{"acr":{"essential":true,"essential":false,"value":"x"}}}',
    "half a character": '{"userinfo":{"name":{"value":"\\ud800"}}}',
    "half a character for a person": '{"userinfo":{"sub":{"value":"\\ud800"}}}',
    "no number": '{"userinfo":{"name":{"value":NaN}}}',
    "deeper than anybody reads": "[" * 2000 + "]" * 2000,
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS.keys())
def test_30_claims_that_two_readers_could_read_differently_are_refused(world, client, claims):
    answer = world.browser().authorize(client.request(claims=claims))

    assert answer.params["error"] == "invalid_request"
    assert "claims" in answer.params["error_description"]
