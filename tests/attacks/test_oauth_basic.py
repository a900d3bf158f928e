"""What the profile `basic` gives up must open nothing for anybody else."""

from typing import Any

import jwt
import pytest

from idp.protocol.errors import InvalidClientMetadata, InvalidToken
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.test_basic import CORE, basic, own_token, rsa_party  # noqa: F401
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World


def answered(world: World, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return world.http.get("/oauth/userinfo", headers=headers).status_code


@pytest.mark.parametrize("profile", ["fapi2", "standard", "public"])
@pytest.mark.parametrize("member", ["id_token_signed_response_alg", "userinfo_signed_response_alg"])
def test_16_rs256_is_registered_under_no_other_profile(world: World, profile, member):
    plain: dict[str, Any] = {"grant_types": ("authorization_code",)}
    if profile != "standard":
        method = {"fapi2": "private_key_jwt", "public": "none"}[profile]
        plain["token_endpoint_auth_method"] = method
    world.client(f"plain-{profile}", profile=profile, **plain)

    with pytest.raises(InvalidClientMetadata) as refused:
        world.client("weaker", profile=profile, **plain, **{member: "RS256"})

    assert [each.pointer for each in refused.value.errors] == [f"/{member}"]


@pytest.mark.parametrize("profile", ["fapi2", "standard"])
def test_16_a_strict_client_signs_no_assertion_with_rs256(world: World, profile: str):
    strict = rsa_party(world, "strict", profile)
    with pytest.raises(InvalidClientMetadata):
        rsa_party(world, "marked", profile, alg="RS256")

    assert own_token(world, strict, "RS256") == 401
    assert own_token(world, rsa_party(world, "lax", "basic"), "RS256") == 200


def test_16_a_basic_client_brings_neither_none_nor_hmac(world: World):
    party = rsa_party(world, "lax", "basic")
    rsa_key, party.key = party.key, None
    assert own_token(world, party, "none") == 401
    party.key = rsa_key.public_key().public_numbers().n.to_bytes(256, "big")
    assert own_token(world, party, "HS256") == 401
    for algorithm in ("none", "HS256"):
        with pytest.raises(InvalidClientMetadata):
            world.client("none", profile="basic", id_token_signed_response_alg=algorithm)


def test_16_nobody_hears_another_algorithm_than_registered(world: World, basic: RelyingParty):
    modern = world.client("modern", profile="basic", id_token_signed_response_alg="ES256")
    for party, algorithm in ((basic, "RS256"), (modern, "ES256"), (basic, "RS256")):
        for token in (party.tokens()["id_token"], party.tokens(**CORE_BUT_PKCE)["id_token"]):
            assert jwt.get_unverified_header(token)["alg"] == algorithm


CORE_BUT_PKCE = {"nonce": None}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA"])
def test_19_the_keys_of_id_tokens_make_no_access_token(world: World, basic, algorithm: str):
    world.idp.tokens.publish(algorithm)
    good = basic.tokens()["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    assert answered(world, good) == 200

    forged = world.idp.keys.jws(f"idp.tokens.{algorithm.lower()}", claims, typ="at+jwt")

    assert answered(world, forged) == 401
    with pytest.raises(InvalidToken, match="not ours"):
        world.idp.tokens.verify_access_token(forged, audience=None, now=world.clock())
    assert basic.introspect(forged) == {"active": False}


def test_19_the_key_of_receipts_makes_no_id_token(world: World, basic: RelyingParty):
    world.idp.keys.ensure("exchange.receipts")
    claims = jwt.decode(basic.tokens()["id_token"], options={"verify_signature": False})

    forged = world.idp.keys.jws("exchange.receipts", claims, typ="JWT")

    assert world.idp.tokens.read_id_token(forged) is None


@pytest.mark.parametrize("key", [{}, {"jwks": {"keys": []}}])
def test_03_who_does_not_authenticate_cannot_be_basic(world: World, key):
    with pytest.raises(InvalidClientMetadata) as refused:
        world.client("app", profile="basic", token_endpoint_auth_method="none", **key)

    assert "/token_endpoint_auth_method" in [each.pointer for each in refused.value.errors]


def test_03_a_code_without_pkce_is_worth_nothing_to_another_client(world: World, basic):
    thief = world.client("thief", profile="basic")
    code = basic.code(**CORE)

    stolen = thief.exchange(code, code_verifier=None)
    named = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    unproved = world.http.post("/oauth/token", {**named, "client_id": basic.id})
    guessed = world.http.post(
        "/oauth/token", {**named, "client_id": basic.id, "client_secret": thief.secret}
    )

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (unproved.status_code, guessed.status_code) == (401, 401)
    assert basic.exchange(code, code_verifier=None).status_code == 200, "its owner still has it"


def test_05_whoever_takes_the_challenge_out_on_the_way_gains_nothing(world: World, basic):
    """The client sends its verifier all the same, and then the code is burnt."""
    code = basic.code(code_challenge=None, code_challenge_method=None)

    assert basic.exchange(code).json()["error"] == "invalid_grant"
    assert basic.exchange(code, code_verifier=None).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("profile", ["standard", "fapi2"])
def test_05_pkce_is_as_needed_as_ever_under_the_other_profiles(world: World, profile: str):
    more = {"token_endpoint_auth_method": "private_key_jwt"} if profile == "fapi2" else {}
    party = world.client("other", profile=profile, **more)
    params = party.request(**CORE)

    if profile == "fapi2":
        refused = party.post("/oauth/par", params).json()["error"]
    else:
        refused = world.browser().authorize(params).params["error"]

    assert refused == "invalid_request"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_31_a_strict_clients_secret_counts_in_one_place_only(world: World, method: str):
    party = world.client("strict", token_endpoint_auth_method=method)
    other = ({"client_secret_basic", "client_secret_post"} - {method}).pop()
    moved = RelyingParty(world, replaced(party, other), party.secret)

    assert party.token({"grant_type": "client_credentials"}).status_code == 200
    assert moved.token({"grant_type": "client_credentials"}).status_code == 401


@pytest.mark.parametrize("method", ["private_key_jwt", "none"])
def test_31_a_secret_opens_no_client_that_has_none(world: World, method: str):
    profile = "public" if method == "none" else "basic"
    grants = ("authorization_code", "refresh_token")
    keyed = world.client(
        "keyed", profile=profile, token_endpoint_auth_method=method, grant_types=grants
    )
    for secret in ("", "x", "yzs_"):
        for offered in ("client_secret_basic", "client_secret_post"):
            tried = RelyingParty(world, replaced(keyed, offered), secret)
            form = {"grant_type": "refresh_token", "refresh_token": "x"}
            answer = tried.token(form)
            if secret or method != "none" or offered == "client_secret_basic":
                assert answer.json()["error"] == "invalid_client", (secret, offered)


def replaced(party: RelyingParty, method: str) -> Any:
    from dataclasses import replace

    return replace(party.registered, token_endpoint_auth_method=method)


def test_20_an_assertion_for_the_token_endpoint_is_good_for_fapi_never(world: World):
    strict = world.client("strict", profile="fapi2", token_endpoint_auth_method="private_key_jwt")
    form = {"grant_type": "client_credentials"}

    for audience in (f"{ISSUER}/oauth/token", [ISSUER], [f"{ISSUER}/oauth/token"]):
        answer = strict.http.post("/oauth/token", {**form, **strict.assertion(aud=audience)})
        assert answer.json()["error"] == "invalid_client", audience


def test_22_a_long_assertion_still_counts_once_and_only_for_basic(world: World):
    hour = int(world.clock().timestamp()) + 3600
    lax, strict = rsa_party(world, "lax", "basic"), rsa_party(world, "strict", "standard")

    assert own_token(world, lax, "PS256", exp=hour) == 200
    assert own_token(world, lax, "PS256", exp=hour) == 401
    assert own_token(world, strict, "PS256", exp=hour) == 401
    assert own_token(world, lax, "PS256", exp=hour + 120) == 401
