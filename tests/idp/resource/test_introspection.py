"""Does this token count, and who may know? (RFC 7662, RFC 9701)"""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from foundation.actor import SYSTEM
from foundation.batching.routes import HotRequest
from foundation.canonical import b64url
from idp.models import people
from idp.protocol.errors import InvalidRequest
from idp.resource.introspection import IntrospectionAnswer, wants_token
from tests.idp.world import ISSUER, RelyingParty, World, basic, public_jwk

JWT_ANSWER = "application/token-introspection+jwt"


@pytest.fixture
def server(world: World) -> RelyingParty:
    """The resource server that our access tokens are meant for."""
    return world.client(
        "api", resource_server=f"{ISSUER}/api/v1", grant_types=("client_credentials",)
    )


def test_introspection_tells_owner_and_resource_server_and_nobody_else(world, client, server):
    stranger = world.client("stranger")
    token = client.tokens()["access_token"]

    assert client.introspect(token)["active"]
    assert server.introspect(token)["sub"] == world.chen.id
    assert stranger.introspect(token) == {"active": False}
    assert client.introspect("nonsense") == {"active": False}


def test_a_live_access_token_is_described_in_the_words_of_the_standard(client, server, world):
    token = client.tokens(scope="openid")["access_token"]

    told = server.introspect(token)

    assert told.keys() == {
        *("active", "token_type", "iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"),
        *("auth_time", "acr", "amr"),
    }
    assert told["token_type"] == "Bearer"
    assert told["exp"] - told["iat"] == 600
    assert world.chen.name not in json.dumps(told, ensure_ascii=False)


def test_a_live_refresh_token_can_be_introspected_by_its_owner(world: World, client: RelyingParty):
    tokens = client.tokens()

    assert client.introspect(tokens["refresh_token"])["active"]
    client.refresh(tokens["refresh_token"])
    assert client.introspect(tokens["refresh_token"]) == {"active": False}


def test_a_refresh_token_is_nothing_to_a_resource_server(client, server):
    assert server.introspect(client.tokens()["refresh_token"]) == {"active": False}


def test_an_expired_token_is_only_inactive(client: RelyingParty, clock):
    token = client.tokens()["access_token"]

    clock.advance(timedelta(minutes=10))

    assert client.introspect(token) == {"active": False}


def test_tokens_that_are_none_disturb_nobody_who_asks_at_the_same_moment(world, client, server):
    good = client.tokens()["access_token"]
    header, payload, signature = good.split(".")
    odd_kid = b'{"alg":"ES256","typ":"at+jwt","kid":[]}'
    bad = [
        *("", ".", "..", "...", "é.é.é", "\0.\0.\0", "a" * 70_000 + "..", "{}.{}.{}", good + "A"),
        *(f".{payload}.{signature}", f"{header}..{signature}", f"{header}.{payload}."),
        f"{header}.{payload}.{'_' * 86}",
        f"{b64url(b'[' * 9_000)}.{payload}.{signature}",
        f"{b64url(odd_kid)}.{payload}.{signature}",
    ]

    async def ask(token: str) -> IntrospectionAnswer:
        form, headers = server.authenticated({"token": token})
        return await world.idp.introspection.answer(
            HotRequest("POST", "/oauth/introspect", headers=headers), form
        )

    async def ask_together() -> list[IntrospectionAnswer | BaseException]:
        return await asyncio.gather(*map(ask, [*bad, good]), return_exceptions=True)

    *others, told = asyncio.run(ask_together())

    assert isinstance(told, IntrospectionAnswer)
    assert told.body["active"]
    assert [
        each for each in others if isinstance(each, IntrospectionAnswer) and each.body["active"]
    ] == []
    assert {type(each) for each in others} == {
        IntrospectionAnswer,
        InvalidRequest,
    }  # "" is no token at all


def test_a_token_type_hint_only_hints(world: World, client: RelyingParty):
    tokens = client.tokens()

    for name in ("access_token", "refresh_token"):
        for hint in ("access_token", "refresh_token", "saml2", ""):
            form, headers = client.authenticated({"token": tokens[name], "token_type_hint": hint})
            assert world.http.post("/oauth/introspect", form, headers=headers).json()["active"]


def test_who_does_not_authenticate_is_told_nothing(world: World, client: RelyingParty):
    public = world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code",),
    )
    token = client.tokens()["access_token"]

    for form in ({"token": token}, {"token": token, "client_id": public.id}):
        response = world.http.post("/oauth/introspect", form)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_a_request_without_a_token_is_an_error_and_not_an_inactive_token(world, client):
    form, headers = client.authenticated({})
    response = world.http.post("/oauth/introspect", form, headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def signed_answer(world: World, asker: RelyingParty, token: str) -> str:
    form, headers = asker.authenticated({"token": token})
    headers["accept"] = JWT_ANSWER
    response = world.http.post("/oauth/introspect", form, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == JWT_ANSWER
    return response.text


def test_a_resource_server_gets_a_signed_answer_when_it_asks_for_one(world, client, server):
    token = client.tokens()["access_token"]

    signed = signed_answer(world, server, token)

    assert jwt.get_unverified_header(signed)["typ"] == "token-introspection+jwt"
    claims = world.verify(signed, audience="api", issuer=ISSUER)
    assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}
    assert claims["token_introspection"] == server.introspect(token)


def test_a_signed_answer_about_a_dead_token_says_no_more_than_an_unsigned_one(
    world, client, server
):
    claims = world.verify(signed_answer(world, server, "x.y.z"), audience="api")

    assert claims["token_introspection"] == {"active": False}


def test_a_signed_answer_can_be_readable_by_one_resource_server_only(world, client):
    key = ec.generate_private_key(ec.SECP256R1())
    server = world.client(
        "sealed-api",
        resource_server=f"{ISSUER}/api/v1",
        grant_types=("client_credentials",),
        jwks={"keys": [public_jwk(key, "enc-1", use="enc")]},
        introspection_encrypted_response_alg="ECDH-ES",
    )
    token = client.tokens()["access_token"]

    opened = jwe.decrypt_compact(
        signed_answer(world, server, token),
        ECKey.import_key(key),
        algorithms=["ECDH-ES", "A256GCM"],
    )

    assert opened.plaintext is not None
    claims = world.verify(opened.plaintext.decode(), audience="sealed-api")
    assert claims["token_introspection"]["active"]


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        ("", False),
        ("application/json", False),
        ("*/*", False),
        (JWT_ANSWER, True),
        (f"application/json;q=0.5, {JWT_ANSWER.upper()} ; q=0.9", True),
        (f"{JWT_ANSWER};q=0", False),
    ],
)
def test_the_accept_header_decides_the_form(accept: str, signed: bool):
    assert wants_token(accept) is signed


# --- the same question again ------------------------------------------------------------------


@pytest.fixture
def asked(client: RelyingParty, server: RelyingParty) -> str:
    """An access token that the resource server keeps asking about."""
    token = client.tokens()["access_token"]
    for _ in range(3):  # read, read again as one that comes back, understood
        assert server.introspect(token)["active"]
    return token


def test_a_question_asked_before_is_not_answered_from_memory_once_the_token_is_revoked(
    client, server, asked
):
    client.revoke(asked)

    assert server.introspect(asked) == {"active": False}


def test_a_question_asked_before_is_answered_anew_when_its_time_is_over(server, asked, clock):
    clock.advance(timedelta(minutes=10))

    assert server.introspect(asked) == {"active": False}


def test_a_question_asked_before_is_answered_anew_when_the_key_is_compromised(world, server, asked):
    world.idp.keys.compromised("idp.tokens")

    assert server.introspect(asked) == {"active": False}


def test_a_question_asked_before_is_answered_anew_when_the_person_leaves(world, server, asked):
    with world.database.write() as tx:
        tx.execute(people.update().values(disabled_at=world.clock()))

    assert server.introspect(asked) == {"active": False}


def test_who_asked_before_is_refused_with_a_secret_that_was_replaced(world, server, asked):
    form, headers = server.authenticated({"token": asked})

    world.idp.clients.replace_secret(server.id, by=SYSTEM)
    response = world.http.post("/oauth/introspect", form, headers=headers)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_who_asked_before_is_refused_when_it_was_disabled(world, server, asked):
    form, headers = server.authenticated({"token": asked})

    world.idp.clients.disable(server.id, by=SYSTEM)
    response = world.http.post("/oauth/introspect", form, headers=headers)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_who_asked_before_learns_nothing_more_when_it_serves_another_resource(world, server, asked):
    moved = replace(server.registered, resource_server="https://elsewhere.gov.test/api")
    with world.database.write() as tx:
        world.idp.clients.change(tx, server.registered, moved, by=SYSTEM)

    assert server.introspect(asked) == {"active": False}


def test_a_signed_answer_is_made_anew_for_a_question_asked_before(world, server, asked):
    first = world.verify(signed_answer(world, server, asked), audience="api")
    assert server.introspect(asked) == first["token_introspection"]


def test_an_assertion_proves_a_question_once_and_not_when_it_is_asked_again(world, client):
    server = world.client(
        "api-by-key",
        token_endpoint_auth_method="private_key_jwt",
        resource_server=f"{ISSUER}/api/v1",
        grant_types=("client_credentials",),
    )
    token = client.tokens()["access_token"]
    form, headers = server.authenticated({"token": token})

    for _ in range(2):
        assert server.introspect(token)["active"]
    first = world.http.post("/oauth/introspect", form, headers=headers)
    again = world.http.post("/oauth/introspect", form, headers=headers)

    assert first.json()["active"]
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_question_asked_before_spares_reading_and_nothing_else(world, client, method):
    """Other words for the same question are read; the very same ones are not."""
    server = world.client(
        "api-again",
        token_endpoint_auth_method=method,
        resource_server=f"{ISSUER}/api/v1",
        grant_types=("client_credentials",),
    )
    token = client.tokens()["access_token"]
    form, headers = server.authenticated({"token": token})

    answers = [
        world.http.post("/oauth/introspect", body, headers=headers)
        for body in (form, form, form, form | {"token_type_hint": "x"})
    ]

    assert {each.content for each in answers} == {answers[0].content}
    assert {each.headers["cache-control"] for each in answers} == {"no-store"}
    wrong = {**headers, "authorization": basic(server.id, "yzs_wrong")}
    body = form | {"client_secret": "yzs_wrong"} if method == "client_secret_post" else form
    refused = world.http.post(
        "/oauth/introspect", body, headers=headers if method == "client_secret_post" else wrong
    )
    assert refused.status_code == 401
