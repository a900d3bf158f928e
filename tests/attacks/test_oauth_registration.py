"""Attacks 5, 6, 11, 19 and 27 where they begin: at what a program may be registered with."""

import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.actor import SYSTEM
from idp.clients.metadata import Bounds
from idp.protocol.errors import InvalidClientMetadata
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import PURPOSE, World, public_jwk

APP = {
    "profile": "public",
    "token_endpoint_auth_method": "none",
    "grant_types": ("authorization_code",),
}


def register(world: World, **document: Any) -> httpx.Response:
    """A program registers itself, with a good initial access token."""
    bounds = Bounds(
        organisation="11990000MB1A0001XX",
        organisation_name="示例市市场监督管理局",
        purpose=PURPOSE,
        scopes=("openid",),
    )
    token = world.idp.registrations.allow(bounds, by=SYSTEM)
    content = {"client_name": "x", "redirect_uris": ["https://a.example/cb"], **document}
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    sent = world.http.client.post("/oauth/register", content=json.dumps(content), headers=headers)
    return world.runner.run(sent)


def test_a_good_program_is_registered_so_that_the_refusals_below_mean_something(world: World):
    assert register(world).status_code == 201


@pytest.mark.parametrize(
    "uri",
    [
        "https://food.example@evil.example/cb",
        "https://a@b@food.example/cb",
        "https://food.example/cb#fragment",
        "https://food.example\\@evil.example/cb",
        "https://*.example/cb",
        "https://food.example/*",
        "http://food.example/cb",
        "https://food.exаmple/cb",  # a Cyrillic а
        "https://food.example/cb\n",
        "https:///cb",
        "https://[::1/cb",
        "https://food.example:99999/cb",
        "//food.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
    ],
)
def test_06_an_address_that_could_be_read_in_two_ways_is_not_registered(world: World, uri: str):
    answer = register(world, redirect_uris=[uri], subject_type="pairwise")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


LOOPBACK = [
    *("http://127.0.0.1:8400/cb", "http://localhost:8400/cb", "http://[::1]:8400/cb"),
    *("http://127.0.0.1/cb", "http://127.0.0.1:8401/cb", "http://127.1:8400/cb"),
    *("http://localhost/cb", "http://localhost:8401/cb", "http://LOCALHOST:8400/cb"),
    *("http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]:8400/cb", "http://0.0.0.0:8400/cb"),
    *("http://localhost.evil.example:8400/cb", "http://127.0.0.1.evil.example:8400/cb"),
    *("http://127.0.0.1:8400/cb/..;/x", "http://127.0.0.1:8400@evil.example/cb"),
]


@pytest.mark.parametrize("registered", LOOPBACK[:3])
def test_06_an_app_on_this_machine_gets_its_answer_at_exactly_its_address(world, registered):
    """Keycloak CVE-2024-8883: one loopback address stood for all of them."""
    app_here = world.client("app", redirect_uris=(registered,), **APP)
    answers = {
        uri: world.http.get("/oauth/authorize", app_here.request(redirect_uri=uri))
        for uri in LOOPBACK
    }

    led_on = [uri for uri, answer in answers.items() if "location" in answer.headers]
    assert led_on == [registered]
    assert answers[registered].headers["location"].startswith("/signin/")


def test_05_only_a_plain_client_can_be_registered_to_do_without_pkce(world: World):
    keys = {"token_endpoint_auth_method": "private_key_jwt"}

    for row in (APP, {"profile": "fapi2", **keys}):
        with pytest.raises(InvalidClientMetadata, match="needs PKCE"):
            world.client("relying", relies_on_nonce=True, **row)
    with pytest.raises(InvalidClientMetadata, match="openid"):
        world.client("relying", relies_on_nonce=True, scopes=("verifications",), claims=())


@pytest.mark.parametrize(
    "forged",
    [
        {"response_types": ["token"]},
        {"response_types": ["code", "code id_token token"]},
        {"response_types": "token"},
        {"grant_types": ["authorization_code", "implicit"]},
        {"grant_types": ["password"]},
    ],
)
def test_11_no_program_registers_itself_for_an_implicit_or_hybrid_flow(world: World, forged):
    answer = register(world, **forged)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_27_a_program_that_registers_itself_does_not_choose_its_name(world: World):
    answer = register(world, client_id=world.chen.id)

    assert answer.status_code == 201
    assert answer.json()["client_id"].startswith("dyn-")


@pytest.mark.parametrize("member", ["kty", "crv", "x", "use", "alg", "kid", "key_ops", "x5c"])
@pytest.mark.parametrize("odd", [None, 5, True, [["x"]], {"a": 1}])
def test_19_a_key_whose_members_are_not_what_they_should_be_is_not_registered(world, member, odd):
    jwk = public_jwk(ec.generate_private_key(ec.SECP256R1()), "key-1") | {member: odd}

    for wish in (
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"require_signed_requests": True},
        {"id_token_encrypted_response_alg": "ECDH-ES"},
    ):
        answer = register(world, jwks={"keys": [jwk]}, **wish)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_47_the_name_a_program_gave_itself_is_nowhere_in_the_public_log(world: World):
    """It would stand there for ever, and nobody of ours has read it."""
    made = register(
        world,
        client_name="Zhang Jianguo owes me money",
        grant_types=["client_credentials"],
        token_endpoint_auth_method="client_secret_post",
    ).json()
    form = {"grant_type": "client_credentials", "client_id": made["client_id"]}
    assert "client_secret" in made

    answer = world.http.post("/oauth/token", {**form, "client_secret": made["client_secret"]})

    assert answer.status_code in {200, 400}
    kinds = ("idp.client_registered", "idp.token_issued", "idp.token_refused")
    actors = [entry["actor"] for kind in kinds for entry in world.entries(kind)]
    mine = [actor for actor in actors if actor.get("id") == made["client_id"]]
    assert len(mine) == 2
    assert all("name" not in actor for actor in mine)


def test_47_what_a_stranger_asked_in_vain_is_nowhere_in_the_public_log(world: World):
    """A refusal names what was refused; the log keeps the standard's error code and commits to
    the words."""
    relying = world.client("relying")
    words = "zhang-jianguo-owes-me-money"

    world.browser().authorize(relying.request(scope=f"openid {words}"))
    world.browser().authorize(relying.request(**{words: "x" * 5_000}))
    relying.post("/oauth/par", relying.request(scope=f"openid {words}"))
    relying.token({"grant_type": "client_credentials", "scope": words})
    relying.token({"grant_type": words})

    kinds = ("idp.authorization_refused", "idp.token_refused")
    refused = [entry for kind in kinds for entry in world.entries(kind)]
    assert len(refused) == 3, (
        "a scope that nobody knows beside one of ours is ignored (Core §3.1.2.1)"
    )
    assert words not in json.dumps(refused)
    assert all(entry["commitments"]["private.rule"] for entry in refused)


def test_36_a_number_that_not_every_reader_understands_is_not_registered(world: World):
    jwk = public_jwk(ec.generate_private_key(ec.SECP256R1()), "key-1") | {"odd": 1 << 70}

    answer = register(world, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_34_a_registration_opens_for_its_own_token_only(world: World, method: str):
    mine, theirs = register(world).json(), register(world).json()
    headers = {"authorization": f"Bearer {mine['registration_access_token']}"}
    content = json.dumps({"client_id": theirs["client_id"], "client_name": "x"})

    def ask(client_id: str) -> int:
        sent = world.http.client.request(
            method,
            f"/oauth/register/{client_id}",
            content=content.replace(theirs["client_id"], client_id),
            headers={**headers, "content-type": "application/json"},
        )
        return world.runner.run(sent).status_code

    assert ask(theirs["client_id"]) == 401
    assert ask("food-office") == 401
    assert ask(mine["client_id"]) in {200, 204, 400}
