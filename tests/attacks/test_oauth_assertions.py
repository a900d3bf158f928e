"""Attacks 16 to 18 and 20 to 22 at what clients sign themselves: assertions, requests, proofs."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.idp.authorize.test_pushed import signing  # noqa: F401
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.proofs import Prover, certificate
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk

OWN = {"grant_type": "client_credentials"}


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.client("auth", token_endpoint_auth_method="private_key_jwt")


def answer(world: World, form: dict[str, str]) -> tuple[int, str]:
    response = world.http.post("/oauth/token", {**OWN, **form})
    return response.status_code, response.json().get("error", "")


GOOD = (200, "")
REFUSED = (401, "invalid_client")


def test_a_good_assertion_is_taken_so_that_the_refusals_below_mean_something(world, party):
    assert answer(world, party.assertion()) == GOOD


def by_rsa(key: rsa.RSAPrivateKey, party: RelyingParty, algorithm: str) -> dict[str, str]:
    form = party.assertion(jti=algorithm)
    claims = jwt.decode(form["client_assertion"], options={"verify_signature": False})
    return {**form, "client_assertion": jwt.encode(claims, key, algorithm, {"kid": "key-1"})}


def test_16_an_rsa_key_signs_as_fapi_says_and_in_no_other_way(world: World):
    key = rsa.generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = {"keys": [{**{name: jwk[name] for name in ("kty", "n", "e")}, "kid": "key-1"}]}
    party = world.client("rsa", token_endpoint_auth_method="private_key_jwt", jwks=keys)
    party.key = ec.generate_private_key(ec.SECP256R1())  # only to write the claims

    for algorithm in ("RS256", "RS384", "RS512", "PS384", "PS512"):
        assert answer(world, by_rsa(key, party, algorithm)) == REFUSED, algorithm
    assert answer(world, by_rsa(key, party, "PS256")) == GOOD


@pytest.mark.parametrize("kid", ["key-2", "../key-1", "' OR 1=1 --", "https://evil.example/", ""])
def test_17_a_kid_that_names_no_key_of_the_client_finds_none(world: World, party, kid: str):
    assert answer(world, party.assertion({"kid": kid})) == REFUSED


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
@pytest.mark.parametrize("kid", ["key-1", "mine"])
def test_18_a_client_cannot_bring_its_key_along(world: World, party, name: str, kid: str):
    mine = certificate("evil.example")
    party.key, own = mine.key, {"jwk": public_jwk(mine.key, "mine"), "x5c": mine.jwk["x5c"]}
    header = {"kid": kid, name: own.get(name, "https://evil.example/")}

    assert answer(world, party.assertion(header)) == REFUSED


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"}, {"iss": None}, {"iss": ISSUER}, {"sub": "other"}, {"aud": None},
        {"aud": [ISSUER]}, {"aud": f"{ISSUER}/oauth/par"}, {"aud": f"{ISSUER}/"},
        {"aud": "https://other.example"}, {"aud": [ISSUER, "https://other.example"]},
    ],
)  # fmt: skip
def test_20_an_assertion_for_somebody_else_or_about_somebody_else_is_none(world, party, changes):
    world.client("other", token_endpoint_auth_method="private_key_jwt")

    assert answer(world, party.assertion(**changes)) == REFUSED


def doubled(token: str, key: Any, name: str, value: str) -> str:
    """The same statement, saying one thing twice: first something else, then what was good."""
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    payload = f'{{"{name}":{json.dumps(value)},' + json.dumps(claims)[1:]
    return jwt.PyJWS().encode(payload.encode(), key, "ES256", headers=header)


@pytest.mark.parametrize("name", ["aud", "iss", "sub", "jti", "exp"])
def test_21_an_assertion_that_says_something_twice_is_refused(world: World, party, name: str):
    form = party.assertion()
    form["client_assertion"] = doubled(form["client_assertion"], party.key, name, "x")

    assert answer(world, form) == REFUSED


@pytest.mark.parametrize("name", ["redirect_uri", "scope", "client_id", "state"])
def test_21_a_request_that_says_something_twice_is_refused(world: World, signing, name: str):
    text = doubled(signing.request_object(), signing.key, name, "x")

    pushed = signing.post("/oauth/par", {"request": text})

    assert pushed.json()["error"] == "invalid_request_object"


@pytest.mark.parametrize("name", ["htu", "htm", "jti", "nonce"])
def test_21_a_proof_that_says_something_twice_is_refused(world: World, client, name: str):
    client.prover = Prover(world.clock)
    assert client.token(OWN).status_code == 200  # and learns the nonce
    form, headers = client.authenticated(OWN)
    proof = doubled(
        client.prover.proof("POST", f"{ISSUER}/oauth/token"), client.prover.key, name, "x"
    )

    response = world.http.post("/oauth/token", form, headers={**headers, "dpop": proof})

    assert response.json()["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None}, {"exp": 0}, {"exp": -1}, {"exp": "9999999999"}, {"exp": True},
        {"exp": 253402300799}, {"exp": 1e400}, {"exp": [1]}, {"iat": "x"}, {"iat": True},
        {"iat": 4102444800}, {"nbf": 4102444800}, {"nbf": -1}, {"jti": None}, {"jti": ""},
        {"jti": 7}, {"jti": "x" * 300},
    ],
)  # fmt: skip
def test_22_an_assertion_with_odd_dates_or_no_name_is_refused(world: World, party, changes):
    assert answer(world, party.assertion(**changes)) == REFUSED


@pytest.mark.parametrize(("seconds", "taken"), [(-1, False), (600, True), (660, False)])
def test_22_an_assertion_lives_ten_minutes_at_most(world: World, party, seconds: int, taken: bool):
    end = int(world.clock().timestamp()) + seconds

    assert answer(world, party.assertion(exp=end)) == (GOOD if taken else REFUSED)
