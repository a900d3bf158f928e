"""Authorization responses as signed tokens, read by other people's libraries (JARM)."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from idp.protocol.errors import InvalidClientMetadata
from tests.idp.authorize.test_pushed import Fields
from tests.idp.protocol.test_encryption import opened
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World, public_jwk

TYPE = "oauth-authz-resp+jwt"


def told(world: World, client: RelyingParty, token: str) -> dict:
    """What a response says, after what every client must check (§2.4)."""
    assert jwt.get_unverified_header(token)["typ"] == TYPE
    claims = world.verify(token, audience=client.id, issuer=ISSUER)
    assert 0 < claims["exp"] - world.clock().timestamp() <= 600
    return claims


def asked(world: World, client: RelyingParty, **changes):
    """What comes back to a browser in which Chen has agreed before."""
    browser = world.browser()
    client.code(browser)
    return browser.get("/oauth/authorize", client.request(**changes))


def in_address(response) -> str:
    """The one parameter; nothing stands beside it."""
    location = response.headers["location"]
    assert "#" not in location
    params = dict(parse_qsl(urlsplit(location).query))
    assert params.keys() == {"from", "response"}, "`from` is of the registered address"
    return params["response"]


@pytest.mark.parametrize("mode", ["jwt", "query.jwt"])
def test_a_code_comes_in_a_signed_token(world: World, client: RelyingParty, mode: str):
    claims = told(world, client, in_address(asked(world, client, response_mode=mode)))

    assert claims.keys() == {"iss", "aud", "exp", "iat", "code", "state"}
    assert claims["state"] == client.state
    assert client.exchange(claims["code"]).status_code == 200


def test_without_state_none_comes_back(world: World, client: RelyingParty):
    token = in_address(asked(world, client, response_mode="jwt", state=None))

    assert "state" not in told(world, client, token)


def test_a_form_carries_the_token(world: World, client: RelyingParty):
    form = Fields(asked(world, client, response_mode="form_post.jwt").text)

    assert form.action == REDIRECT_URI
    assert form.values.keys() == {"response"}
    claims = told(world, client, form.values["response"])
    assert client.exchange(claims["code"]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "openid identity"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"code_challenge": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"nonce": "n" * 5000}, "invalid_request"),
        ({"resource": "https://else.example/"}, "invalid_target"),
        ({"request_uri": "https://a.example/r"}, "request_uri_not_supported"),
    ],
)
@pytest.mark.parametrize("by", ["get", "post"])
def test_every_refusal_is_in_the_token(world: World, client: RelyingParty, changes, error, by):
    browser = world.browser()
    params = client.request(response_mode="jwt", **changes)

    response = getattr(browser, by)("/oauth/authorize", params)
    if "/oauth/authorize?" in response.headers["location"]:  # kept, to be judged with our cookies
        response = browser.get(response.headers["location"])
    claims = told(world, client, in_address(response))

    assert claims["error"] == error
    assert claims["error_description"]
    assert claims["state"] == client.state


def test_a_person_who_says_no_is_told_in_the_token(world: World, client: RelyingParty):
    browser = world.browser()
    answer = browser.authorize(client.request(response_mode="jwt"))
    browser.sign_in(answer.interaction_id)
    refused: Any = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, False, browser=browser.id
    )

    secured = world.idp.jwt_responses.secured(refused)

    claims = told(world, client, dict(secured.parameters)["response"])
    assert claims["error"] == "access_denied"


def test_a_refused_form_carries_the_token_too(world: World, client: RelyingParty):
    response = asked(world, client, response_mode="form_post.jwt", scope="openid identity")

    form = Fields(response.text)
    assert told(world, client, form.values["response"])["error"] == "invalid_scope"


def test_an_app_that_no_form_can_reach_is_told_so_in_a_token(world: World):
    app = "com.example.app:/callback"
    client = world.client(redirect_uris=(app,))
    params = client.request(redirect_uri=app, response_mode="form_post.jwt")

    answer = world.browser().authorize(params)

    assert answer.location.startswith(app)
    assert told(world, client, answer.params["response"])["error"] == "invalid_request"


def test_fragment_jwt_is_not_for_codes(world: World, client: RelyingParty):
    answer = world.browser().authorize(client.request(response_mode="fragment.jwt"))

    assert answer.params["error"] == "invalid_request"
    assert "#" not in answer.location


def fapi(world: World, **changes) -> RelyingParty:
    fields = {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt", **changes}
    return world.client("fapi", **fields)


@pytest.mark.parametrize("signed", [False, True])
def test_a_strict_client_pushes_and_is_answered_by_a_token(world: World, signed: bool):
    client = fapi(world)
    browser = world.browser()
    client.code(browser)
    params = client.request(response_mode="jwt")
    if signed:
        request = client.request_object(response_mode="jwt")
        params = {"client_id": client.id, "request": request}

    response = browser.get("/oauth/authorize", client.push(params))

    claims = told(world, client, in_address(response))
    assert client.exchange(claims["code"]).status_code == 200


def test_a_strict_client_gets_no_form(world: World):
    client = fapi(world)

    response = client.post("/oauth/par", client.request(response_mode="form_post.jwt"))

    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA", "RS256"])
def test_the_registered_algorithm_signs(world: World, alg: str):
    client = world.client("own", profile="basic", authorization_signed_response_alg=alg)

    token = in_address(asked(world, client, response_mode="jwt"))

    assert jwt.get_unverified_header(token)["alg"] == alg
    assert told(world, client, token)["code"]


def test_otherwise_what_signs_the_id_tokens_does(world: World):
    client = world.client("own", id_token_signed_response_alg="PS256")

    token = in_address(asked(world, client, response_mode="jwt"))

    assert jwt.get_unverified_header(token)["alg"] == "PS256"


@pytest.mark.parametrize("alg", ["ECDH-ES", "ECDH-ES+A256KW"])
def test_a_response_can_be_for_the_clients_eyes_only(world: World, alg: str):
    key = ec.generate_private_key(ec.SECP256R1())
    jwks = {"keys": [public_jwk(key, "enc-1", use="enc")]}
    client = world.client("reader", jwks=jwks, authorization_encrypted_response_alg=alg)

    header, inner = opened(in_address(asked(world, client, response_mode="jwt")), key)

    assert (header["alg"], header["enc"], header["cty"]) == (alg, "A256GCM", "JWT")
    assert told(world, client, inner)["code"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"authorization_signed_response_alg": "none"}, "/authorization_signed_response_alg"),
        ({"authorization_signed_response_alg": "HS256"}, "/authorization_signed_response_alg"),
        ({"authorization_signed_response_alg": "RS256"}, "/authorization_signed_response_alg"),
        ({"authorization_encrypted_response_alg": "dir"}, "/authorization_encrypted_response_alg"),
        ({"authorization_encrypted_response_alg": "ECDH-ES"}, "/jwks"),
    ],
)
def test_a_registration_that_could_not_be_kept_is_refused(world: World, changes, pointer):
    with pytest.raises(InvalidClientMetadata) as refused:
        world.client("wrong", **changes)

    assert pointer in {problem.pointer for problem in refused.value.errors}
