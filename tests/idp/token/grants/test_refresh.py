"""What a refresh token is exchanged for: the same again, the next, or the end of a sign-in."""

from datetime import timedelta

import pytest

from idp.token.grants.refresh import IDLE_LIFETIME
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
