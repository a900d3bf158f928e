"""A resource asks for a better or a more recent sign-in, and gets one (RFC 9470)."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from idp.protocol.acr import ACR_PASSWORD, ACR_TWO_FACTORS
from idp.protocol.errors import InsufficientUserAuthentication
from idp.resource.step_up import Assurance, demand
from idp.token.tokens import VerifiedToken
from keys.encoding.jose import VerificationKey, VerifiedJws
from tests.idp.world import RelyingParty, World

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def registry(world: World) -> RelyingParty:
    """A client that may learn the citizen identity number."""
    return world.client(
        "registry",
        scopes=("openid", "identity", "offline_access"),
        claims=("name", "id_number"),
    )


def test_the_identity_number_is_told_after_a_recent_sign_in_only(world, registry, clock):
    scope = "openid identity offline_access"
    first = registry.tokens(scope=scope)
    assert registry.userinfo(first["access_token"]).json()["id_number"] == world.chen.id_number

    clock.advance(timedelta(minutes=61))
    later = registry.refresh(first["refresh_token"]).json()
    refused = registry.userinfo(later["access_token"])

    assert refused.status_code == 401
    assert refused.json()["error"] == "insufficient_user_authentication"
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_user_authentication"')
    max_age = re.findall(r'max_age="(\d+)"', challenge)
    assert max_age == ["3600"]
    again = registry.tokens(scope=scope, max_age=max_age[0])
    assert registry.userinfo(again["access_token"]).json()["id_number"]


def test_what_is_not_sensitive_is_told_at_any_age(client: RelyingParty, clock):
    tokens = client.tokens()

    clock.advance(timedelta(days=2))
    later = client.refresh(tokens["refresh_token"]).json()

    assert client.userinfo(later["access_token"]).json()["name"]


def test_a_refused_reading_is_not_in_the_ledger_as_a_reading(world: World, registry, clock):
    tokens = registry.tokens(scope="openid identity offline_access")
    clock.advance(timedelta(minutes=61))
    later = registry.refresh(tokens["refresh_token"]).json()

    registry.userinfo(later["access_token"])

    assert world.entries("idp.userinfo_read") == []


def token(**claims) -> VerifiedToken:
    said = {"acr": ACR_PASSWORD, "auth_time": NOW.timestamp(), **claims}
    return VerifiedToken(VerifiedJws({}, b"", VerificationKey(None, (), ""), said))


@pytest.mark.parametrize(
    ("claims", "assurance", "challenge"),
    [
        ({}, Assurance(), None),
        ({}, Assurance((ACR_PASSWORD,)), None),
        ({}, Assurance((ACR_TWO_FACTORS,)), f'acr_values="{ACR_TWO_FACTORS}"'),
        ({"acr": ACR_TWO_FACTORS}, Assurance((ACR_PASSWORD,)), None),
        ({}, Assurance(("urn:nobody:knows",)), 'acr_values="urn:nobody:knows"'),
        ({}, Assurance(max_age=timedelta(minutes=5)), None),
        (
            {"auth_time": NOW.timestamp() - 301},
            Assurance(max_age=timedelta(minutes=5)),
            'max_age="300"',
        ),
        ({"auth_time": 0}, Assurance(max_age=timedelta(minutes=5)), 'max_age="300"'),
        (
            {"acr": ACR_PASSWORD, "cnf": {"jkt": "k"}},
            Assurance((ACR_TWO_FACTORS,)),
            'DPoP error="insufficient_user_authentication"',
        ),
    ],
)
def test_the_challenge_names_what_is_wanted(claims, assurance: Assurance, challenge: str | None):
    if challenge is None:
        demand(token(**claims), assurance, NOW)
        return

    with pytest.raises(InsufficientUserAuthentication) as refused:
        demand(token(**claims), assurance, NOW)

    assert challenge in refused.value.challenge
