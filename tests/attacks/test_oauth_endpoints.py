"""Attacks 19, 20 and 26 at the endpoints that take or give tokens back."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from idp.clients import ASSERTION_TYPE
from idp.errors import InvalidClientMetadata
from tests.attacks.test_oauth_tokens import api_answers
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk


def jwe_header(token: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


@pytest.fixture
def two_keys(world: World) -> tuple[RelyingParty, ec.EllipticCurvePrivateKey]:
    """A client with one key to sign with and one to be encrypted to, and the latter."""
    signing, encryption = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    jwks = {"keys": [public_jwk(signing, "key-1"), public_jwk(encryption, "enc-1", use="enc")]}
    client = world.client(
        "two-keys",
        token_endpoint_auth_method="private_key_jwt",
        jwks=jwks,
        id_token_encrypted_response_alg="ECDH-ES",
    )
    client.key = signing
    return client, encryption


def test_19_an_encryption_key_never_proves_who_somebody_is(world: World, two_keys):
    client, encryption = two_keys
    good = client.assertion({"kid": "key-1"})
    client.key = encryption
    forged = [client.assertion({"kid": kid}) for kid in ("enc-1", "key-1")]
    request = {"grant_type": "client_credentials"}

    for each in forged:
        answer = world.http.post("/oauth/token", {**request, **each})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert world.http.post("/oauth/token", {**request, **good}).status_code == 200


def test_19_nothing_is_ever_encrypted_to_a_signature_key(world: World, two_keys):
    client, _ = two_keys

    id_token = client.tokens()["id_token"]

    assert jwe_header(id_token)["kid"] == "enc-1"
    only_signing = public_jwk(ec.generate_private_key(ec.SECP256R1()), "sig-1", use="sig")
    unmarked = public_jwk(ec.generate_private_key(ec.SECP256R1()), "any")
    for jwk in (only_signing, unmarked):
        with pytest.raises(InvalidClientMetadata):
            world.client("wrong", jwks={"keys": [jwk]}, id_token_encrypted_response_alg="ECDH-ES")


def test_20_a_signed_introspection_answer_or_userinfo_is_no_other_kind_of_token(world, client):
    server = world.client("signed", userinfo_signed_response_alg="ES256")
    access_token = server.tokens()["access_token"]
    form, headers = server.authenticated({"token": access_token})
    headers["accept"] = "application/token-introspection+jwt"
    told = world.http.post("/oauth/introspect", form, headers=headers).text

    for statement in (told, server.userinfo(access_token).text):
        assert not api_answers(world, statement)
        assert server.introspect(statement) == {"active": False}
        assert world.idp.tokens.read_id_token(statement) is None
        assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": statement}
        refused = world.http.post("/oauth/token", {"grant_type": "client_credentials", **assertion})
        assert refused.status_code == 401
    assert world.verify(told, audience="signed")["iss"] == ISSUER
