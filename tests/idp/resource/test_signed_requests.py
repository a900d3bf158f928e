"""Clients that are registered to sign their requests: keys, memory, and the doors inside."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from httpx import Request
from starlette.requests import Request as ServerRequest

from foundation.actor import SYSTEM
from foundation.batching.routes import HotRequest
from idp.clients.metadata import written
from idp.protocol.errors import InvalidClientMetadata, RequestSignatureRefused
from idp.resource.signed_requests import message_of
from keys.encoding.algorithms import PS256
from keys.encoding.http_signatures import sign
from server.web.access import AccessTokens
from tests.idp.clients.test_remote_metadata import Shelf, registration, shelf
from tests.idp.clients.test_remote_metadata import world as outgoing_world
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk

__all__ = ["outgoing_world", "shelf"]  # fixtures: a provider that may talk to a client's server

USERINFO = "/oauth/userinfo"
ALWAYS = ("@method", "@target-uri", "authorization")


def signing_client(world: World, **changes: Any) -> RelyingParty:
    key = ec.generate_private_key(ec.SECP256R1())
    fields = {"jwks": {"keys": [public_jwk(key, "key-1")]}, **changes}
    party = world.client(require_signed_requests=True, **fields)
    party.key = key
    return party


def signed(party: RelyingParty, token: str, path: str = USERINFO, **changes: Any) -> dict[str, str]:
    """The headers of a signed GET, made by somebody else's library."""
    request = Request("GET", ISSUER + path, headers={"authorization": f"Bearer {token}"})
    keyid = changes.get("keyid", "key-1")
    resolver = MappingKeyResolver(public_keys={}, private_keys={keyid: party.key})
    HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=resolver).sign(
        request,
        key_id=keyid,
        created=party.world.clock(),
        nonce=changes.get("nonce", "n"),
        tag="yinzheng-request",
        covered_component_ids=ALWAYS,
    )
    return dict(request.headers)


def test_userinfo_answers_signed_requests_and_refuses_others_in_its_own_words(world: World):
    party = signing_client(world)
    token = party.tokens()["access_token"]

    answer = world.http.get(USERINFO, headers=signed(party, token))
    naked = party.userinfo(token)

    assert answer.json()["name"] == "陈静怡"
    assert (naked.status_code, naked.json()["error"]) == (401, "signature_missing")
    assert naked.headers["accept-signature"].startswith('sig=("@method" "@target-uri"')


def test_the_token_endpoint_has_its_own_proof_and_asks_for_no_signature(world: World):
    assert signing_client(world).tokens()["access_token"]


def test_a_replay_is_remembered_for_longer_than_it_could_be_accepted(world: World):
    party = signing_client(world)
    token = party.tokens()["access_token"]
    headers = signed(party, token)
    assert world.http.get(USERINFO, headers=headers).status_code == 200

    world.clock.advance(timedelta(seconds=69))  # the last moment but one
    world.idp.sweep()
    again = world.http.get(USERINFO, headers=headers)

    assert again.json()["error"] == "signature_replayed"
    assert world.http.get(USERINFO, headers=signed(party, token, nonce="n-2")).status_code == 200


def test_two_clients_may_use_the_same_nonce(world: World):
    for name in ("one", "two"):
        party = signing_client(world, client_id=name)
        headers = signed(party, party.tokens()["access_token"], nonce="same")
        assert world.http.get(USERINFO, headers=headers).status_code == 200


def test_a_client_rotates_its_signing_key_at_its_own_address(outgoing_world: World, shelf: Shelf):
    world, old, new = outgoing_world, *(ec.generate_private_key(ec.SECP256R1()) for _ in "12")
    shelf.documents["/jwks"] = {"keys": [public_jwk(old, "old")]}
    described = registration(
        token_endpoint_auth_method="client_secret_basic",
        grant_types=("authorization_code",),
        scopes=("openid",),
        jwks_uri=f"{shelf.url}/jwks",
        require_signed_requests=True,
    )
    made = world.idp.clients.add(described, by=SYSTEM)
    party = RelyingParty(world, made.client, made.client_secret, old)
    token = party.tokens(scope="openid")["access_token"]
    assert world.http.get(USERINFO, headers=signed(party, token, keyid="old")).status_code == 200

    shelf.documents["/jwks"] = {"keys": [public_jwk(new, "new")]}
    world.clock.advance(timedelta(seconds=11))
    party.key = new
    fresh = world.http.get(USERINFO, headers=signed(party, token, keyid="new", nonce="n-2"))
    party.key = old
    retired = world.http.get(USERINFO, headers=signed(party, token, keyid="old", nonce="n-3"))

    assert fresh.status_code == 200
    assert retired.json()["error"] == "signature_key_unknown"


def test_an_rsa_key_signs_with_the_algorithm_it_is_registered_for(world: World):
    """PS256 has no name in the registry of RFC 9421, so the key alone says it (§3.3.7)."""
    key = rsa.generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    party = signing_client(world, jwks={"keys": [{**jwk, "kid": "rsa", "alg": "PS256"}]})
    headers = {"authorization": f"Bearer {party.tokens()['access_token']}"}
    request = HotRequest("GET", USERINFO, headers=headers)
    headers |= sign(
        message_of(request, ISSUER), ALWAYS, tag="yinzheng-request", keyid="rsa", nonce="n",
        now=world.clock(), signer=lambda base: PS256.to_jose(PS256.sign(key, base)),
    )  # fmt: skip

    assert world.http.get(USERINFO, headers=headers).status_code == 200


@pytest.mark.parametrize("kids", [[], [""], ["same", "same"], ["ok", ""]])
def test_who_is_to_sign_needs_keys_that_a_keyid_can_name(world: World, kids: list[str]):
    key = ec.generate_private_key(ec.SECP256R1())
    jwks = {"keys": [public_jwk(key, kid) for kid in kids]}

    with pytest.raises(InvalidClientMetadata) as refused:
        world.client(require_signed_requests=True, jwks=jwks)

    assert refused.value.errors[0].pointer == "/jwks"


def test_an_encryption_key_signs_nothing(world: World):
    key = ec.generate_private_key(ec.SECP256R1())
    keys = [public_jwk(key, "key-1", use="enc"), public_jwk(key, "key-2")]
    party = signing_client(world, jwks={"keys": keys})
    party.key = key

    headers = signed(party, party.tokens()["access_token"])

    assert world.http.get(USERINFO, headers=headers).json()["error"] == "signature_key_unknown"


def test_content_that_nobody_digested_is_refused_and_not_taken_for_none(world: World):
    """The ordinary door without the envelope that digests what goes by: closed, not open."""
    party = signing_client(world)
    token = party.token({"grant_type": "client_credentials", "scope": "verifications"})
    headers = signed(party, token.json()["access_token"], "/api/v1/x")
    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/x", "query_string": b"", "client": None,
        "server": ("id.example.gov.cn", 443), "scheme": "https",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    with pytest.raises(RequestSignatureRefused) as refused:
        world.runner.run(AccessTokens(world.idp)("verifications")(ServerRequest(scope)))

    assert refused.value.error == "content_digest_missing"


def test_dynamic_registration_tells_what_is_asked_of_the_program(world: World):
    told = written(signing_client(world).registered, world.idp.clients.grant_types)

    assert told["require_signed_requests"] is True
