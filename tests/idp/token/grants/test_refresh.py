"""What a refresh token is exchanged for: the same again, the next, or the end of a sign-in."""

from contextlib import suppress
from datetime import timedelta

import pytest

from idp import Policy
from idp.token.grants.grant_type import NotRedeemed
from idp.token.grants.refresh import IDLE_LIFETIME, RefreshToken
from idp.token.tokens import Grant
from tests.idp.world import RelyingParty, World


@pytest.fixture
def strict(world: World) -> RelyingParty:
    """A client of the default profile, that may refresh."""
    return world.client(
        "strict",
        profile="fapi2",
        token_endpoint_auth_method="private_key_jwt",
        grant_types=("authorization_code", "refresh_token"),
    )


def test_a_strict_clients_refresh_token_stays_the_same(world: World, strict, clock):
    """FAPI 2.0 §5.3.2.1 no. 9: "shall not use refresh token rotation except in extraordinary
    circumstances"."""
    token = strict.tokens()["refresh_token"]

    for _ in range(3):
        clock.advance(timedelta(hours=1))
        answer = strict.refresh(token)
        assert answer.status_code == 200, answer.text
        assert answer.json()["refresh_token"] == token

    assert world.entries("idp.family_revoked") == []


def test_a_strict_clients_refresh_token_in_use_does_not_grow_idle(strict, clock):
    token = strict.tokens()["refresh_token"]

    for _ in range(3):
        clock.advance(IDLE_LIFETIME - timedelta(days=1))
        assert strict.refresh(token).status_code == 200
    clock.advance(IDLE_LIFETIME)

    assert strict.refresh(token).json()["error"] == "invalid_grant"


def test_many_refreshes_of_a_strict_client_at_once_all_succeed(world: World, strict):
    token = strict.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}

    def request():
        signed, headers = strict.authenticated(form)
        headers["dpop"] = strict.prover.proof("POST", "https://id.example.gov.cn/oauth/token")
        return world.http.client.post("/oauth/token", data=signed, headers=headers)

    answers = world.http.together(*(request() for _ in range(6)))

    assert {each.status_code for each in answers} == {200}
    assert {each.json()["refresh_token"] for each in answers} == {token}


def party(world: World, kind: str) -> RelyingParty:
    """A client that rotates: one with a secret, or an app that proves its DPoP key."""
    if kind == "secret":
        return world.client()
    return world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code", "refresh_token"),
    )


@pytest.mark.parametrize("kind", ["secret", "key"])
def test_whoever_proves_to_be_the_client_gets_an_unused_successor_even_late(
    world: World, clock, kind
):
    client = party(world, kind)
    token = client.tokens()["refresh_token"]
    lost = client.refresh(token).json()["refresh_token"]
    clock.advance(timedelta(days=3))

    answers = [client.refresh(token) for _ in range(2)]

    assert {each.json()["refresh_token"] for each in answers} == {lost}
    entries = world.entries("idp.refresh_repeated")
    assert [each["verdict"] for each in entries] == ["refresh_token_repeated"] * 2
    assert client.refresh(lost).status_code == 200
    assert client.refresh(token).json()["error"] == "invalid_grant", "its successor was used"
    assert [each["verdict"] for each in world.entries("idp.family_revoked")] == [
        "refresh_token_reuse"
    ]


def test_within_the_grace_nobody_is_told(world: World, client: RelyingParty, clock):
    token = client.tokens()["refresh_token"]
    client.refresh(token)
    clock.advance(timedelta(seconds=10))

    assert client.refresh(token).status_code == 200
    assert world.entries("idp.refresh_repeated") == []


def rivals(world: World, grace: int) -> RefreshToken:
    policy = Policy(refresh_grace=timedelta(seconds=grace))
    return RefreshToken(world.database, world.idp.tokens, world.idp.clients, policy)


@pytest.mark.parametrize(("grace", "late"), [(0, True), (60, False)])
def test_the_grace_is_the_operators(world, database, client: RelyingParty, clock, grace, late):
    kind = rivals(world, grace)
    token = client.tokens()["refresh_token"]

    def redeemed() -> Grant:
        asked = kind.check({"refresh_token": token}, client.registered, {}, clock())
        with database.write() as tx:
            [result] = kind.redeem(tx, [asked])
        assert isinstance(result, Grant)
        return result

    first = redeemed()
    clock.advance(timedelta(seconds=30))
    again = redeemed()

    assert again.refresh_token == first.refresh_token
    assert again.late == late


def test_a_process_that_dies_before_or_after_its_commit_leaves_one_successor(
    database, client: RelyingParty, clock
):
    kind = rivals(world, 0)
    token = client.tokens()["refresh_token"]
    asked = kind.check({"refresh_token": token}, client.registered, {}, clock())

    killed = None
    with suppress(KeyboardInterrupt), database.write() as tx:
        [killed] = kind.redeem(tx, [asked])
        raise KeyboardInterrupt
    with database.write() as tx:
        [unheard] = kind.redeem(tx, [asked])
    with database.write() as tx:
        [heard] = kind.redeem(tx, [asked])

    assert killed.refresh_token == unheard.refresh_token == heard.refresh_token
    assert client.refresh(heard.refresh_token).status_code == 200


def test_an_older_token_behind_the_live_one_in_one_batch_is_reuse(
    database, client: RelyingParty, clock
):
    """As if they had come one after the other."""
    kind = rivals(world, 10)
    old = client.tokens()["refresh_token"]
    live = client.refresh(old).json()["refresh_token"]
    asked = [
        kind.check({"refresh_token": each}, client.registered, {}, clock()) for each in (live, old)
    ]

    with database.write() as tx:
        granted, refused = kind.redeem(tx, asked)

    assert isinstance(granted, Grant)
    assert isinstance(refused, NotRedeemed)
    assert client.refresh(granted.refresh_token).json()["error"] == "invalid_grant"
