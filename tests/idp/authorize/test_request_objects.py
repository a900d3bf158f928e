"""Which request objects count (RFC 9101): tokens of other people's make, one thing changed."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from idp.authorize import request_objects
from idp.protocol.errors import AuthorizationError
from tests.idp.proofs import Prover
from tests.idp.values import NOW, a_client
from tests.idp.world import ISSUER

PROVER = Prover(lambda: NOW)
JWKS = {"keys": [{**PROVER.jwk, "kid": "k1", "use": "sig"}]}
START = int(NOW.timestamp())
CLAIMS = {
    "iss": "food-office",
    "client_id": "food-office",
    "aud": ISSUER,
    "exp": START + 60,
    "response_type": "code",
    "scope": "openid",
}
PARAMETERS = {"client_id": "food-office", "response_type": "code", "scope": "openid"}
TYPE = "oauth-authz-req+jwt"


def signed(changes, *, typ=TYPE, key=PROVER.key, **header):
    kept = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(kept, key, "ES256", headers={"kid": "k1", "typ": typ, **header})


def read(changes, *, jwks=JWKS, **how):
    return request_objects.read(signed(changes, **how), a_client(), jwks, issuer=ISSUER, now=NOW)


def refused(changes, **how):
    with pytest.raises(AuthorizationError) as caught:
        read(changes, **how)
    assert caught.value.error == "invalid_request_object"
    return caught.value.detail


def test_what_the_object_says_are_the_parameters_and_its_envelope_is_none():
    envelope = {"nbf": START, "iat": START, "jti": "j"}

    assert read(envelope) == PARAMETERS


@pytest.mark.parametrize(
    "typ", [TYPE, "JWT", "jwt", "application/oauth-authz-req+jwt", "APPLICATION/JWT", None]
)
def test_a_type_that_is_a_request_or_none(typ):
    assert read({}, typ=typ) == PARAMETERS


@pytest.mark.parametrize("typ", ["dpop+jwt", "at+jwt", " ", "application/application/jwt", "jwt/"])
def test_another_kind_of_token_is_no_request(typ):
    assert "does not verify" in refused({}, typ=typ)


def test_only_the_client_s_own_keys_count():
    other = ec.generate_private_key(ec.SECP256R1())

    for how in (
        {"key": other},
        {"kid": "k2"},
        {"jwks": None},
        {"jwks": {"keys": [{**JWKS["keys"][0], "use": "enc"}]}},
    ):
        assert "does not verify" in refused({}, **how), how


@pytest.mark.parametrize(("profile", "good"), [("basic", True), ("standard", False)])
def test_a_client_signs_with_an_algorithm_of_its_profile(profile, good):
    key = rsa.generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwks = {"keys": [{name: jwk[name] for name in ("kty", "n", "e")}]}
    text = jwt.encode(CLAIMS, key, "RS256")

    def read_it():
        client = a_client(profile=profile)
        return request_objects.read(text, client, jwks, issuer=ISSUER, now=NOW)

    if good:
        assert read_it() == PARAMETERS
    else:
        with pytest.raises(AuthorizationError, match="does not verify: "):
            read_it()


def test_what_is_no_token_is_refused_in_either_way_of_reading():
    for read_it in (
        lambda: request_objects.read("x", a_client(), JWKS, issuer=ISSUER, now=NOW),
        lambda: request_objects.kid("x"),
    ):
        with pytest.raises(AuthorizationError, match="does not verify: ") as caught:
            read_it()
        assert caught.value.error == "invalid_request_object"


def test_the_key_that_will_be_needed_is_named_before_anything_is_believed():
    assert request_objects.kid(signed({})) == "k1"
    assert request_objects.kid(jwt.encode({}, PROVER.key, "ES256")) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "other"}, "iss and client_id"),
        ({"iss": None}, "iss and client_id"),
        ({"client_id": "other"}, "iss and client_id"),
        ({"client_id": None}, "iss and client_id"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ISSUER + "/"}, "aud"),
        ({"aud": ["https://other.example"]}, "aud"),
        ({"sub": "food-office"}, "has no sub"),
        ({"sub": ""}, "has no sub"),
        ({"request": "x"}, "no request or request_uri"),
        ({"request_uri": "x"}, "no request or request_uri"),
    ],
)
def test_it_is_by_the_client_for_us_and_nothing_else(changes, why):
    assert why in refused(changes)


def test_we_may_be_one_of_several_it_is_for():
    assert read({"aud": ["https://other.example", ISSUER]}) == PARAMETERS


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": None, "nbf": START - 100_000},
        {"exp": START + 1},
        {"exp": START + 3600},
        {"exp": START + 3600.0},
        {"nbf": START + 10, "exp": START + 3610},
        {"nbf": START - 3000, "exp": START + 600},
        {"iat": START + 10},
        {"iat": 0, "nbf": START - 1},
    ],
    ids=str,
)
def test_it_lives_now_and_for_an_hour_at_most(changes):
    assert read(changes) == PARAMETERS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": START}, "has expired, or its exp is not a time"),
        ({"exp": "4102444800"}, "has expired, or its exp is not a time"),
        ({"exp": True}, "has expired, or its exp is not a time"),
        ({"exp": START + 3601}, "an hour at most"),
        ({"nbf": START - 3000, "exp": START + 601}, "an hour at most"),
        ({"nbf": START + 11, "exp": START + 100}, "nbf of the request object is in the future"),
        ({"iat": START + 11}, "iat of the request object is in the future"),
        ({"nbf": True}, "nbf of the request object is in the future"),
        ({"iat": "now"}, "iat of the request object is in the future"),
    ],
    ids=str,
)
def test_at_another_time_or_for_longer_it_does_not(changes, why):
    assert why in refused(changes)


@pytest.mark.parametrize("missing", ["nbf", "exp"])
def test_a_client_of_the_strict_profile_says_from_when_and_until_when(missing):
    strict = a_client(profile="fapi2", token_endpoint_auth_method="private_key_jwt")
    dated = {"nbf": START, "exp": START + 60}

    def read_as_strict(changes):
        text = signed(dated | changes)
        return request_objects.read(text, strict, JWKS, issuer=ISSUER, now=NOW)

    assert read_as_strict({}) == PARAMETERS
    with pytest.raises(AuthorizationError, match="must say nbf and exp"):
        read_as_strict({missing: None})


def test_numbers_objects_and_several_resources_stand_for_text():
    read_them = read(
        {"max_age": 60, "claims": {"userinfo": {"name": None}}, "resource": ["a", "b"]}
    )

    assert read_them == PARAMETERS | {
        "max_age": "60",
        "claims": '{"userinfo":{"name":null}}',
        "resource": "a b",
    }
    assert read({"resource": "a"})["resource"] == "a"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"scope": ["openid", "profile"]}, "scope"),
        ({"resource": ["a", 1]}, "resource"),
        ({"state": True}, "state"),
        ({"max_age": 1.5}, "max_age"),
        ({"n" * 50: ["x"]}, "n" * 40),
    ],
)
def test_what_could_stand_for_no_text_is_refused(changes, name):
    assert refused(changes) == f"{name} in the request object is not of the kind it should be"
