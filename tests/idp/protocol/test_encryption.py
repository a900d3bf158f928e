"""ID tokens and userinfo that only one client can read, or that say who said them."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.protocol.errors import InvalidClientMetadata
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk

ALGORITHMS = ["ECDH-ES", "ECDH-ES+A256KW", "A256GCM"]


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def reader(world: World, key, client_id: str = "reader", **changes) -> RelyingParty:
    fields = {
        "jwks": {"keys": [public_jwk(key, "enc-1", use="enc")]},
        "id_token_encrypted_response_alg": "ECDH-ES",
        "userinfo_signed_response_alg": "ES256",
        "userinfo_encrypted_response_alg": "ECDH-ES+A256KW",
        **changes,
    }
    return world.client(client_id, **fields)


def opened(token: str, key) -> tuple[dict, str]:
    """The protected header and the signed token inside."""
    found = jwe.decrypt_compact(token, ECKey.import_key(key), algorithms=ALGORITHMS)
    assert found.plaintext is not None
    return found.headers(), found.plaintext.decode()


def test_an_id_token_is_signed_first_and_encrypted_to_the_clients_key(world: World, key):
    client = reader(world, key)

    header, inner = opened(client.tokens()["id_token"], key)

    assert (header["alg"], header["enc"], header["cty"]) == ("ECDH-ES", "A256GCM", "JWT")
    assert header["kid"] == "enc-1"
    assert world.verify(inner, audience="reader", issuer=ISSUER)["sub"] == world.chen.id


def test_userinfo_can_be_signed_and_encrypted(world: World, key):
    client = reader(world, key)

    response = client.userinfo(client.tokens()["access_token"])

    assert response.headers["content-type"] == "application/jwt"
    header, inner = opened(response.text, key)
    assert header["alg"] == "ECDH-ES+A256KW"
    claims = world.verify(inner, audience="reader", issuer=ISSUER)
    assert claims["name"] == world.chen.name


def test_signed_userinfo_is_no_id_token(world: World):
    client = world.client("signed", userinfo_signed_response_alg="ES256")

    told = client.userinfo(client.tokens()["access_token"]).text

    assert jwt.get_unverified_header(told)["typ"] == "userinfo+jwt"
    assert world.verify(told, audience="signed")["name"] == world.chen.name
    assert world.idp.tokens.read_id_token(told) is None


def test_a_client_that_asked_for_nothing_gets_plain_answers(client: RelyingParty):
    tokens = client.tokens()

    assert tokens["id_token"].count(".") == 2
    assert client.userinfo(tokens["access_token"]).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"jwks": None}, "/jwks"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "/id_token_encrypted_response_alg"),
        ({"id_token_encrypted_response_alg": "dir"}, "/id_token_encrypted_response_alg"),
        ({"userinfo_signed_response_alg": "none"}, "/userinfo_signed_response_alg"),
        ({"userinfo_signed_response_alg": ""}, "/userinfo_encrypted_response_alg"),
    ],
)
def test_a_registration_that_could_not_be_kept_is_refused(world: World, key, changes, pointer):
    with pytest.raises(InvalidClientMetadata) as refused:
        reader(world, key, **changes)

    assert pointer in {problem.pointer for problem in refused.value.errors}
