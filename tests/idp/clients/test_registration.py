"""Programs register themselves and look after their registration (RFC 7591, RFC 7592)."""

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from foundation.actor import SYSTEM
from idp import Policy
from idp.clients import metadata, registration
from idp.clients.metadata import Bounds
from idp.protocol.errors import InvalidClientMetadata
from idp.token.grants import GRANTS
from tests.idp.world import ISSUER, PURPOSE, REDIRECT_URI, RelyingParty, World, public_jwk

BOUNDS = Bounds(
    organisation="11990000MB1A0001XX",
    organisation_name="示例市市场监督管理局",
    purpose=PURPOSE,
    scopes=("openid", "profile", "offline_access"),
    claims=("name", "preferred_username", "locale"),
)
DOCUMENT = {
    "client_name": "Food licences online",
    "client_name#zh-Hans": "食品许可在线",
    "redirect_uris": [REDIRECT_URI],
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid profile offline_access",
    "claims": ["name", "preferred_username", "locale"],
}


class Registrar:
    """A program that registers itself."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, method: str, path: str, token: str | None, document: Any = None) -> Any:
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        call = self.world.http.client.request(
            method, path, headers=headers, content=None if document is None else body
        )
        return self.world.runner.run(call)

    def register(self, token: str | None, **changes: Any) -> httpx.Response:
        return self.send("POST", "/oauth/register", token, {**DOCUMENT, **changes})

    def manage(self, method: str, made: dict[str, Any], document: Any = None) -> httpx.Response:
        path = made["registration_client_uri"].removeprefix(ISSUER)
        return self.send(method, path, made["registration_access_token"], document)


@pytest.fixture
def registrar(world: World) -> Registrar:
    return Registrar(world)


@pytest.fixture
def token(world: World) -> str:
    return world.idp.registrations.allow(BOUNDS, by=SYSTEM, uses=3)


@pytest.fixture
def made(registrar: Registrar, token: str) -> dict[str, Any]:
    response = registrar.register(token)
    assert response.status_code == 201, response.text
    return response.json()


def party(world: World, made: dict[str, Any]) -> RelyingParty:
    with world.database.read() as tx:
        client = world.idp.clients.find(tx, made["client_id"])
    assert client is not None
    return RelyingParty(world, client, made.get("client_secret", ""))


def test_a_registered_program_signs_people_in(world: World, made):
    tokens = party(world, made).tokens()

    assert tokens["refresh_token"]
    assert world.verify(tokens["id_token"], audience=made["client_id"])["sub"] == world.chen.id


def test_the_answer_tells_everything_that_was_registered(made):
    assert made["client_secret"].startswith("yzs_")
    assert made["client_secret_expires_at"] == 0
    assert made["client_name#zh-Hans"] == "食品许可在线"
    assert made["client_name#en"] == "Food licences online"
    assert made["purpose#en"] == PURPOSE["en"]
    assert made["redirect_uris"] == [REDIRECT_URI]
    assert made["response_types"] == ["code"]
    assert made["profile"] == "basic"
    assert made["id_token_signed_response_alg"] == "RS256"
    assert made["scope"] == "openid profile offline_access"
    assert made["registration_client_uri"] == f"{ISSUER}/oauth/register/{made['client_id']}"


def test_a_program_with_a_key_gets_the_strict_profile(registrar: Registrar, token: str):
    key = ec.generate_private_key(ec.SECP256R1())
    response = registrar.register(
        token,
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [public_jwk(key, "k")]},
        dpop_bound_access_tokens=True,
        require_pushed_authorization_requests=True,
    )

    assert response.status_code == 201, response.text
    assert response.json()["profile"] == "fapi2"
    assert "client_secret" not in response.json()


EC = {"keys": [public_jwk(ec.generate_private_key(ec.SECP256R1()), "k")]}
RSA = {"keys": [{"kty": "RSA", "kid": "k", "e": "AQAB", "n": "1" * 342 + "w"}]}
BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}


@pytest.mark.parametrize(
    ("asked", "profile", "algorithm"),
    [
        ({}, "basic", "RS256"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "basic", "RS256"),
        ({"id_token_signed_response_alg": "RS256"}, "basic", "RS256"),
        ({"id_token_signed_response_alg": "ES256"}, "basic", "ES256"),
        ({"profile": "standard"}, "standard", "ES256"),
        ({**BY_KEY, "jwks": EC}, "standard", "ES256"),
        ({**BY_KEY, "jwks": EC, "id_token_signed_response_alg": "PS256"}, "standard", "PS256"),
        ({**BY_KEY, "jwks": EC, "id_token_signed_response_alg": "RS256"}, "basic", "RS256"),
        ({**BY_KEY, "jwks": EC, "profile": "basic"}, "basic", "RS256"),
        ({**BY_KEY, "jwks": EC, "dpop_bound_access_tokens": True}, "standard", "ES256"),
        ({**BY_KEY, "jwks": RSA}, "basic", "RS256"),
        (
            {**BY_KEY, "jwks": {"keys": [{**RSA["keys"][0], "alg": "PS256"}]}},
            *("standard", "ES256"),
        ),
        ({**BY_KEY, "jwks": EC, "token_endpoint_auth_signing_alg": "ES256"}, "standard", "ES256"),
        ({"token_endpoint_auth_method": "none"}, "public", "ES256"),
    ],
)
def test_who_names_no_profile_gets_the_one_under_which_what_it_asks_works(
    registrar: Registrar, token: str, asked, profile: str, algorithm: str
):
    response = registrar.register(token, **asked)

    assert response.status_code == 201, response.text
    told = response.json()
    assert (told["profile"], told["id_token_signed_response_alg"]) == (profile, algorithm)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, None),
        ({**BY_KEY, "jwks": EC}, None),
        ({"profile": "basic"}, "profile"),
        ({"id_token_signed_response_alg": "RS256"}, "id_token_signed_response_alg"),
    ],
)
def test_where_basic_is_forbidden_what_does_not_need_it_is_standard(asked, wrong):
    policy = Policy(forbidden_profiles=("basic",))
    read = partial(metadata.read, {**DOCUMENT, **asked}, "dyn-x-1", BOUNDS, GRANTS, policy)

    if wrong is None:
        assert read().profile == "standard"
        return
    with pytest.raises(InvalidClientMetadata) as refused:
        read()
    assert [each.pointer for each in refused.value.errors] == [f"/{wrong}"]
    assert "standard" in refused.value.errors[0].detail


def test_a_program_without_a_name_is_told_by_its_host(registrar: Registrar, token: str):
    document = {"redirect_uris": [REDIRECT_URI]}

    told = registrar.send("POST", "/oauth/register", token, document).json()

    names = {told[f"client_name#{each}"] for each in ("zh-Hans", "zh-Hant", "en")}
    assert names == {"food.example.gov.cn"}


@pytest.mark.parametrize("uri", ["https://[::1", "https://a b/", "//", "cn.gov.example:/back"])
def test_an_address_that_has_no_host_gives_no_name(uri: str):
    with suppress(InvalidClientMetadata):
        made = metadata.read({"redirect_uris": [uri]}, "dyn-x-1", BOUNDS, GRANTS)
        assert made.name["en"] == BOUNDS.organisation_name


def test_everything_that_is_wrong_is_told_at_once_with_what_would_do(registrar, token: str):
    response = registrar.register(
        token,
        redirect_uris=["https://a.example/#x", REDIRECT_URI],
        response_types=["token"],
        grant_types=7,
        scope="openid verifications",
        claims=["id_number"],
        profile="standard",
        token_endpoint_auth_method="none",
        token_endpoint_auth_signing_alg="RS256",
        id_token_signed_response_alg="HS256",
        userinfo_encrypted_response_enc="A128CBC-HS256",
        backchannel_logout_uri="http://10.0.0.1/",
        jwks={"keys": "x"},
    )

    assert response.status_code == 400
    told = {each["pointer"]: each for each in response.json()["errors"]}
    assert told.keys() >= {
        *("/redirect_uris/0", "/response_types", "/grant_types", "/scope", "/claims", "/jwks"),
        *("/token_endpoint_auth_method", "/token_endpoint_auth_signing_alg"),
        *("/id_token_signed_response_alg", "/userinfo_encrypted_response_enc"),
        "/backchannel_logout_uri",
    }
    assert all(each["code"] and each["detail"] for each in told.values())
    assert all(pointer in response.json()["error_description"] for pointer in told)
    for pointer, would_do in (
        ("/response_types", "code"),
        ("/scope", "openid profile offline_access"),
        ("/claims", "name preferred_username locale"),
        ("/token_endpoint_auth_method", "client_secret_basic"),
        ("/id_token_signed_response_alg", "ES256, PS256, EdDSA"),
        ("/userinfo_encrypted_response_enc", "A256GCM"),
        ("/backchannel_logout_uri", "https"),
    ):
        assert would_do in told[pointer]["detail"], pointer


def test_what_is_not_known_is_ignored(registrar: Registrar, token: str):
    response = registrar.register(token, software_id="x", contacts=["a@b.example"], logo_uri=None)

    assert response.status_code == 201
    assert "software_id" not in response.json()


@pytest.mark.parametrize("given", [None, "", "guess"])
def test_nobody_registers_without_an_initial_access_token(registrar: Registrar, given):
    response = registrar.register(given)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith("Bearer error=") if given else challenge == "Bearer"


def test_an_initial_access_token_is_good_for_so_many_registrations_until_a_day(
    world: World, registrar: Registrar, clock
):
    once = world.idp.registrations.allow(BOUNDS, by=SYSTEM)
    assert registrar.register(once).status_code == 201
    assert registrar.register(once).status_code == 401

    late = world.idp.registrations.allow(BOUNDS, by=SYSTEM, lifetime=timedelta(days=1))
    clock.advance(timedelta(days=1))
    assert registrar.register(late).status_code == 401


def test_a_refused_registration_spends_nothing(world: World, registrar: Registrar):
    once = world.idp.registrations.allow(BOUNDS, by=SYSTEM)

    assert registrar.register(once, redirect_uris=["http://evil.example/"]).status_code == 400
    assert registrar.register(once).status_code == 201


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": ["https://a.example/#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://a.example/"}, "invalid_redirect_uri"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_signing_alg": "HS256"}, "invalid_client_metadata"),
        (
            {"profile": "standard", "token_endpoint_auth_signing_alg": "RS256"},
            "invalid_client_metadata",
        ),
        (
            {"profile": "standard", "id_token_signed_response_alg": "RS256"},
            "invalid_client_metadata",
        ),
        ({"introspection_signed_response_alg": "ES256"}, "invalid_client_metadata"),
        ({"userinfo_signed_response_alg": "ES256"}, "invalid_client_metadata"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "http://10.0.0.1/"}, "invalid_client_metadata"),
        ({"client_name": None}, "invalid_client_metadata"),  # a name in one language only
        ({"jwks": {"keys": "x"}, "grant_types": 7}, "invalid_client_metadata"),
        ({"scope": ["openid"]}, "invalid_client_metadata"),
        ({"profile": "fapi2"}, "invalid_client_metadata"),
    ],
)
def test_metadata_that_break_a_rule_are_refused_by_the_standards_names(
    registrar: Registrar, token: str, changes, error
):
    response = registrar.register(token, **changes)

    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.json()["error_description"]


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "openid profile verifications"},
        {"claims": ["name", "preferred_username", "locale", "id_number"]},
        {"scope": "openid identity"},
        {"purpose#en": "Something else entirely"},
    ],
)
def test_nothing_beyond_the_purpose_can_be_registered(registrar: Registrar, token: str, changes):
    response = registrar.register(token, **changes)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ({"scope": "openid profile"}, ["name", "preferred_username", "locale"]),
        ({"scope": "openid"}, []),
        ({}, ["name", "preferred_username", "locale"]),
    ],
)
def test_a_program_that_knows_the_standard_only_gets_the_claims_of_its_scopes(
    registrar: Registrar, token: str, scope, claims
):
    document = {"client_name": "Shop", "redirect_uris": [REDIRECT_URI], **scope}

    response = registrar.send("POST", "/oauth/register", token, document)

    assert response.status_code == 201, response.text
    assert response.json()["claims"] == claims


def test_a_program_cannot_make_itself_trusted(registrar: Registrar, world: World, token: str):
    response = registrar.register(
        token,
        first_party=True,
        resource_server=f"{ISSUER}/api/v1",
        resources=["https://elsewhere.example"],
        organisation="somebody else",
        client_id="food-office",
    )

    client = party(world, response.json()).registered
    assert not client.first_party
    assert client.resource_server == ""
    assert client.resources == ()
    assert client.organisation == BOUNDS.organisation
    assert client.client_id.startswith("dyn-")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b"null"])
def test_a_body_that_is_no_object_is_refused(registrar: Registrar, token: str, body: bytes):
    response = registrar.send("POST", "/oauth/register", token, body)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_a_registration_can_be_read(registrar: Registrar, made):
    response = registrar.manage("GET", made)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    told = response.json()
    assert told["client_id_issued_at"] == made["client_id_issued_at"]
    assert told.items() <= made.items()


def test_a_registration_is_replaced_as_a_whole(world: World, registrar: Registrar, made):
    changed = {
        **DOCUMENT,
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        "redirect_uris": [REDIRECT_URI, "https://food.example.gov.cn/second"],
        "grant_types": None,
    }

    response = registrar.manage("PUT", made, changed)

    assert response.status_code == 200, response.text
    assert len(response.json()["redirect_uris"]) == 2
    assert response.json()["grant_types"] == ["authorization_code"]
    assert "refresh_token" not in party(world, made).tokens()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "food-office"}, "invalid_request"),
        ({"client_id": None}, "invalid_request"),
        ({"client_secret": "wrong"}, "invalid_request"),
        ({"registration_access_token": "x"}, "invalid_request"),
        ({"client_id_issued_at": 1}, "invalid_request"),
        ({"scope": "openid verifications"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://*.example/"]}, "invalid_redirect_uri"),
    ],
)
def test_an_update_that_breaks_a_rule_changes_nothing(registrar: Registrar, made, changes, error):
    before = registrar.manage("GET", made).json()

    document = {**DOCUMENT, "client_id": made["client_id"], **changes}
    response = registrar.manage("PUT", made, document)

    assert (response.status_code, response.json()["error"]) == (400, error)
    assert registrar.manage("GET", made).json() == before


def test_a_program_that_changes_to_a_secret_gets_one(registrar: Registrar, token: str):
    key = ec.generate_private_key(ec.SECP256R1())
    jwks = {"keys": [public_jwk(key, "k")]}
    method = {"token_endpoint_auth_method": "private_key_jwt", "profile": "standard"}
    made = registrar.register(token, jwks=jwks, **method).json()

    told = registrar.manage("PUT", made, {**DOCUMENT, "client_id": made["client_id"]}).json()

    assert told["client_secret"].startswith("yzs_")


def test_a_registration_that_ends_takes_its_tokens_along(world: World, registrar, made):
    client = party(world, made)
    tokens = client.tokens()

    response = registrar.manage("DELETE", made)

    assert (response.status_code, response.content) == (204, b"")
    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert registrar.manage("GET", made).status_code == 401


def test_a_registration_opens_with_its_own_token_only(registrar: Registrar, token: str, made):
    other = registrar.register(token).json()
    path = made["registration_client_uri"].removeprefix(ISSUER)

    for wrong in (None, "guess", token, other["registration_access_token"]):
        for method in ("GET", "PUT", "DELETE"):
            answer = registrar.send(method, path, wrong, DOCUMENT if method == "PUT" else None)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    unknown = registrar.send("GET", "/oauth/register/nobody", token)
    assert unknown.status_code == 401, "an unknown client looks like a wrong token"


def test_who_allowed_and_what_was_registered_is_in_the_ledger(world: World, registrar, made):
    registrar.manage("DELETE", made)

    for kind in ("idp.registration_allowed", "idp.client_registered", "idp.client_deleted"):
        assert len(world.entries(kind)) == 1


def test_what_is_written_can_be_read_again(world: World, registrar: Registrar, made):
    client = party(world, made).registered

    assert (
        metadata.read(metadata.written(client, GRANTS), client.client_id, BOUNDS, GRANTS) == client
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["keys", "kty", "use", "crv", "x", "n", "alg"]), inner)
    ),
    max_leaves=8,
)
NAMES = (*metadata.OPEN, "scope", "client_name", "response_types", "client_name#en", "purpose#en")
METHODS = ("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none")
LIKELY = st.fixed_dictionaries(
    {
        "redirect_uris": st.just([REDIRECT_URI]),
        "client_name": st.just("Any"),
        "token_endpoint_auth_method": st.sampled_from(METHODS),
        "id_token_encrypted_response_alg": st.sampled_from(["", "ECDH-ES", "dir"]),
        "jwks": JSON,
    }
)


@given(LIKELY, st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3))
def test_whatever_is_sent_is_registered_or_refused_and_never_a_fault(likely, odd):
    document = {**likely, **odd}
    with suppress(InvalidClientMetadata):
        client = metadata.read(document, "dyn-x-1", BOUNDS, GRANTS)
        registration.check(client, GRANTS)
        assert set(client.scopes) <= set(BOUNDS.scopes)
        assert set(client.claims) <= set(BOUNDS.claims)


def test_what_a_sign_in_tells_is_registered_by_the_names_of_the_standards(registrar, token, world):
    made = registrar.register(token, default_max_age=600, claims_in_id_token=True)

    told = made.json()
    assert (told["default_max_age"], told["claims_in_id_token"]) == (600, True)
    read = registrar.manage("GET", told).json()
    assert (read["default_max_age"], read["claims_in_id_token"]) == (600, True)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("default_max_age", -1),
        ("default_max_age", 10**10),
        ("default_max_age", "600"),
        ("default_max_age", True),
        ("claims_in_id_token", "yes"),
        ("claims", ["name", "preferred_username", "locale", "email"]),
        ("claims", ["preferred_username", "locale", "updated_at"]),
    ],
)
def test_each_wrong_member_is_named(registrar, token, member, value):
    answer = registrar.register(token, **{member: value})

    assert answer.status_code == 400
    assert f"/{member}" in answer.json()["error_description"]


def test_a_claim_that_goes_with_another_may_be_named_with_it(registrar, token):
    wanted = ["name", "preferred_username", "locale", "updated_at"]

    assert registrar.register(token, claims=wanted).json()["claims"] == wanted
