"""Signing keys turn over while people sign in, and nobody notices (docs/design.md §6 e)."""

from datetime import timedelta

import jwt
import pytest

from keys.custody.rules import policy_for
from keys.http import _JWKS_MAX_AGE
from tests.idp.world import RelyingParty, World

USE = "idp.tokens"


def kid(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def published(world: World) -> set[str]:
    return {jwk["kid"] for jwk in world.idp.keys.jwks(USE)["keys"]}


@pytest.fixture
def rotate_due(keys, clock):
    """Days pass; the nightly job runs once a day."""

    def pass_days(days: int) -> None:
        for _ in range(days):
            clock.advance(timedelta(days=1))
            keys.rotate_due()

    return pass_days


def test_a_new_key_is_published_longer_than_anybody_caches_before_it_signs():
    assert policy_for(USE).publish > timedelta(seconds=_JWKS_MAX_AGE)


def test_a_new_key_is_published_before_it_signs_and_an_old_one_after(
    world: World, client: RelyingParty, keys
):
    old = client.tokens()
    first = kid(old["id_token"])
    assert published(world) == {first}

    keys.rotate(USE)
    staged = published(world) - {first}
    between = client.tokens()
    world.clock.advance(policy_for(USE).publish)
    keys.rotate(USE)
    new = client.tokens()

    assert len(staged) == 1
    assert kid(between["id_token"]) == first, "published, but does not sign yet"
    assert {kid(new["id_token"])} == staged
    assert first in published(world)
    assert world.verify(old["id_token"], audience=client.id)["sub"] == world.chen.id


def test_whatever_was_signed_counts_across_the_change(world: World, client: RelyingParty, keys):
    tokens = client.tokens()

    keys.rotate(USE, at_once=True)

    assert client.introspect(tokens["access_token"])["active"]
    assert client.userinfo(tokens["access_token"]).status_code == 200
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_a_compromised_key_signs_nothing_that_counts(world: World, client: RelyingParty, keys):
    tokens = client.tokens()

    keys.compromised(USE)

    assert kid(tokens["access_token"]) not in published(world)
    assert client.introspect(tokens["access_token"]) == {"active": False}
    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.tokens()["access_token"]


def test_keys_turn_over_by_themselves_and_a_sign_in_never_fails(
    world: World, client: RelyingParty, rotate_due
):
    kids = [kid(client.tokens()["id_token"])]

    for _ in range(4):
        rotate_due(31)
        kids.append(kid(client.tokens()["id_token"]))

    assert len(set(kids)) == 2, "a key signs for ninety days"
    assert kids[0] not in published(world), "and is published thirty days more"
