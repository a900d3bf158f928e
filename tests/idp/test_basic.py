"""The profile `basic`: everything OpenID Connect Core asks of an ordinary confidential client."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from idp import Idp, Policy
from idp.accounts import backchannel
from idp.protocol.errors import InvalidClientMetadata
from idp.protocol.profiles import PROFILES, WEAKENINGS, weakenings
from server.services import assemble
from tests.idp.fixtures import app_of
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World

CORE = {"code_challenge": None, "code_challenge_method": None, "nonce": None}


@pytest.fixture
def basic(world: World) -> RelyingParty:
    return world.client("basic", profile="basic")


def rsa_party(world: World, name: str, profile: str, alg: str = "", **more: Any) -> RelyingParty:
    key = rsa.generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public = {member: jwk[member] for member in ("kty", "n", "e")}
    made = world.client(
        name,
        profile=profile,
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [{**public, "kid": "key-1", **({"alg": alg} if alg else {})}]},
        **more,
    )
    made.key = key
    return made


def own_token(world: World, party: RelyingParty, algorithm: str, **claims: Any) -> int:
    """The answer to the client's own token request, signed as told."""
    form = party_assertion(party, algorithm, **claims)
    answer = world.http.post("/oauth/token", {"grant_type": "client_credentials", **form})
    return answer.status_code


def party_assertion(party: RelyingParty, algorithm: str, **claims: Any) -> dict[str, str]:
    now = int(party.world.clock().timestamp())
    said = {"iss": party.id, "sub": party.id, "aud": ISSUER, "iat": now, "exp": now + 60}
    said |= {"jti": f"{algorithm}{sorted(claims.items())}"[:200], **claims}
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(said, party.key, algorithm, {"kid": "key-1"}),
    }


# --- what is signed for it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "half"),
    [("RS256", "sha256"), ("PS256", "sha256"), ("ES256", "sha256"), ("EdDSA", "sha512")],
)
def test_one_algorithm_signs_everything_that_is_for_the_client_alone(world, algorithm, half):
    party = world.client(
        "one",
        profile="basic",
        id_token_signed_response_alg=algorithm,
        userinfo_signed_response_alg=algorithm,
    )
    tokens = party.tokens()
    form, headers = party.authenticated({"token": tokens["access_token"]})
    headers["accept"] = "application/token-introspection+jwt"
    logout = backchannel.logout_claims(ISSUER, "one", "p_1", "sid", "jti", world.clock())

    statements = (
        tokens["id_token"],
        party.userinfo(tokens["access_token"]).text,
        world.http.post("/oauth/introspect", form, headers=headers).text,
        world.idp.tokens.sign(party.registered, logout, typ=backchannel.TYPE),
    )

    for statement in statements:
        assert jwt.get_unverified_header(statement)["alg"] == algorithm
        assert world.verify(statement, audience="one")["iss"] == ISSUER
    digest = hashlib.new(half, tokens["access_token"].encode()).digest()
    expected = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    assert world.verify(tokens["id_token"], audience="one")["at_hash"] == expected


def test_access_tokens_are_signed_as_ever(world: World, basic: RelyingParty):
    header = jwt.get_unverified_header(basic.tokens()["access_token"])

    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")


def test_rs256_is_what_a_basic_client_gets_and_nobody_else(world: World, client: RelyingParty):
    assert jwt.get_unverified_header(client.tokens()["id_token"])["alg"] == "ES256"
    basic = world.client("basic", profile="basic")
    assert jwt.get_unverified_header(basic.tokens()["id_token"])["alg"] == "RS256"


def test_the_key_is_published_before_its_client_is_registered(world: World):
    assert not world.idp.keys.inventory("idp.tokens.ps256")
    party = world.client("waits", profile="basic")

    world.idp.clients.vouch(
        type(party.registered)(
            **{
                name: getattr(party.registered, name)
                for name in ("name", "purpose", "organisation", "organisation_name", "claims")
            },
            client_id="wants-ps256",
            profile="basic",
            token_endpoint_auth_method="client_secret_basic",
            redirect_uris=(REDIRECT_URI,),
            id_token_signed_response_alg="PS256",
        )
    )

    [key] = world.idp.keys.jwks("idp.tokens.ps256")["keys"]
    assert (key["alg"], key["use"]) == ("PS256", "sig")


def test_its_key_turns_over_like_any_other(world: World, basic: RelyingParty):
    before = basic.tokens()["id_token"]
    world.idp.keys.rotate("idp.tokens.rs256", at_once=True)

    after = basic.tokens()["id_token"]

    kids = [jwt.get_unverified_header(each)["kid"] for each in (before, after)]
    assert len(set(kids)) == 2
    for token in (before, after):
        assert world.verify(token, audience="basic")["sub"] == world.chen.id
        assert world.idp.tokens.read_id_token(token), "both are good as a hint"
    sizes = [key.public_key.key_size for key in world.idp.keys.inventory("idp.tokens.rs256")]
    assert sizes == [2048, 2048]


# --- how it proves itself -----------------------------------------------------------------------


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/oauth/token"])
@pytest.mark.parametrize("listed", [False, True])
def test_an_rs256_assertion_names_the_issuer_or_the_token_endpoint(world, audience, listed):
    party = rsa_party(world, "signs", "basic")

    assert own_token(world, party, "RS256", aud=[audience] if listed else audience) == 200


@pytest.mark.parametrize(
    "audience",
    [
        *([ISSUER, f"{ISSUER}/oauth/token"], [ISSUER, "https://other.example"], [], [[ISSUER]]),
        *(f"{ISSUER}/", f"{ISSUER}/oauth/par", f"{ISSUER}/oauth/token/", "https://other.example"),
    ],
)
def test_and_nothing_else(world: World, audience):
    party = rsa_party(world, "signs", "basic")

    assert own_token(world, party, "RS256", aud=audience) == 401


def test_the_profile_standard_takes_the_token_endpoint_too(world: World):
    party = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    form = {"grant_type": "client_credentials"}

    named = party.assertion(aud=f"{ISSUER}/oauth/token")
    listed = party.assertion(aud=[f"{ISSUER}/oauth/token"])

    assert world.http.post("/oauth/token", {**form, **named}).status_code == 200
    assert world.http.post("/oauth/token", {**form, **listed}).status_code == 401


def test_a_client_that_names_its_algorithm_is_held_to_it(world: World):
    party = rsa_party(world, "held", "basic", token_endpoint_auth_signing_alg="PS256")

    assert own_token(world, party, "RS256") == 401
    assert own_token(world, party, "PS256") == 200


# --- PKCE and nonce -----------------------------------------------------------------------------


def test_neither_pkce_nor_nonce_is_needed(world: World, basic: RelyingParty):
    code = basic.code(**CORE)

    answer = basic.exchange(code, code_verifier=None)

    assert answer.status_code == 200, answer.text
    assert "nonce" not in world.verify(answer.json()["id_token"], audience="basic")


@pytest.mark.parametrize("verifier", [None, "another-verifier-that-has-forty-three-characters"])
def test_a_challenge_that_was_sent_counts(basic: RelyingParty, verifier):
    code = basic.code()

    answer = basic.exchange(code, code_verifier=verifier)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_verifier_without_a_challenge_is_refused(basic: RelyingParty):
    """RFC 9700 §4.8.2: or an attacker could take the challenge out of the request."""
    code = basic.code(**CORE)

    assert basic.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("changes", [{"code_challenge_method": "plain"}, {"code_challenge": None}])
def test_plain_and_half_a_challenge_are_refused(world: World, basic: RelyingParty, changes):
    answer = world.browser().authorize(basic.request(**changes))

    assert answer.params["error"] == "invalid_request"


# --- what it weakens ----------------------------------------------------------------------------


def test_what_a_profile_weakens_is_read_off_its_row():
    listed = {name: [each.code for each in weakenings(row)] for name, row in PROFILES.items()}

    assert listed["fapi2"] == []
    assert listed["basic"] == [each.code for each in WEAKENINGS]
    assert listed["standard"] == [
        *("shared_secret", "token_endpoint_audience", "bearer_tokens", "requests_in_the_browser")
    ]


# --- where the operator forbids it --------------------------------------------------------------


@pytest.fixture
def forbidding(database, keys, ledger, clock) -> Iterator[Idp]:
    made = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        policy=Policy(forbidden_profiles=("basic",)),
    )
    yield made.idp
    made.idp.close()


@pytest.fixture
def strict(world: World, runner, forbidding: Idp, database, clock) -> World:
    """The same house, started again with the profile forbidden."""
    return World(app_of(forbidding), runner, forbidding, database, clock, world.chen)


def test_where_it_is_forbidden_nobody_is_registered_with_it(strict: World):
    with pytest.raises(InvalidClientMetadata, match="forbids the profile basic") as refused:
        strict.client("late", profile="basic")

    assert [each.pointer for each in refused.value.errors] == ["/profile"]


def test_where_it_is_forbidden_those_who_have_it_are_refused_everywhere(
    world: World, strict: World, basic: RelyingParty
):
    tokens = basic.tokens()
    same = RelyingParty(strict, basic.registered, basic.secret)
    why = "the operator forbids the profile basic"

    asked = strict.browser().authorize(same.request())
    assert asked.status == 400
    assert why in asked.response.text
    for path, form in (
        ("/oauth/token", {"grant_type": "client_credentials"}),
        ("/oauth/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}),
        ("/oauth/introspect", {"token": tokens["access_token"]}),
        ("/oauth/revoke", {"token": tokens["access_token"]}),
        ("/oauth/par", same.request()),
        ("/oauth/device", {"scope": "openid"}),
    ):
        answer = same.post(path, form)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), path
        assert why in answer.json()["error_description"], path
    assert same.userinfo(tokens["access_token"]).status_code == 401


def test_where_it_is_forbidden_rs256_is_not_told(strict: World):
    told = strict.http.get("/.well-known/openid-configuration").json()

    named = {name: value for name, value in told.items() if "signing_alg_values" in name}
    assert named
    assert not [name for name, value in named.items() if "RS256" in value]


def test_its_key_is_there_from_the_first_start_unless_it_is_forbidden(idp: Idp, forbidding: Idp):
    forbidding.found()
    assert forbidding.keys.jwks("idp.tokens.rs256") == {"keys": []}

    idp.found()

    [key] = idp.keys.jwks("idp.tokens.rs256")["keys"]
    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
