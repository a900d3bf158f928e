"""What a refresh token is exchanged for: the same again, the next, or the end of a sign-in."""

from contextlib import suppress
from datetime import timedelta

import pytest

from idp import Policy
from idp.models import SESSION_LIFETIME
from idp.protocol.errors import InvalidClientMetadata
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
    world, database, client: RelyingParty, clock
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
    world, database, client: RelyingParty, clock
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


ONLINE = "openid profile"


@pytest.mark.parametrize(
    "member",
    [
        {"backchannel_logout_uri": "https://food.example.gov.cn/out"},
        {"refresh_ends_with_session": True},
    ],
)
def test_without_offline_access_a_refresh_token_ends_when_its_person_signs_out(
    world: World, member
):
    """OIDC Core §11: offline_access is for when "the End-User is not present"."""
    client = world.client("portal", **member)
    browser = world.browser()
    tokens = client.exchange(client.code(browser, scope=ONLINE)).json()
    kept = client.exchange(client.code(browser)).json()
    fresh = client.refresh(tokens["refresh_token"]).json()

    world.idp.end_session(browser.session_id)

    assert client.refresh(fresh["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.introspect(fresh["access_token"]) == {"active": False}
    assert client.refresh(kept["refresh_token"]).status_code == 200, "offline_access outlives it"


def test_without_offline_access_a_refresh_token_ends_when_the_session_expires(world: World, clock):
    client = world.client("portal", refresh_ends_with_session=True)
    token = client.tokens(scope=ONLINE)["refresh_token"]
    clock.advance(SESSION_LIFETIME - timedelta(minutes=1))
    answer = client.refresh(token)
    clock.advance(timedelta(minutes=1))

    assert answer.status_code == 200
    assert client.refresh(answer.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_client_that_does_not_sign_people_out_gets_none_without_offline_access(world: World):
    assert "refresh_token" not in world.client("plain").tokens(scope=ONLINE)


@pytest.fixture
def bearer_app(world: World) -> RelyingParty:
    """An app without keys, where the operator lets it rely on rotation."""
    allowed = Policy(public_clients_without_dpop=True)
    world.idp.senders._policy = world.idp.clients.policy = allowed
    made = world.client(
        "keyless",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code", "refresh_token"),
        relies_on_rotation=True,
    )
    made.prover = None
    return made


def test_an_app_may_rely_on_rotation_alone_where_the_operator_lets_it(bearer_app):
    """RFC 9700 §2.2.2: sender-constrained refresh tokens, or rotation."""
    first = bearer_app.tokens()
    second = bearer_app.refresh(first["refresh_token"]).json()

    assert first["token_type"] == second["token_type"] == "Bearer"
    assert second["refresh_token"] != first["refresh_token"]
    assert (
        bearer_app.refresh(first["refresh_token"]).json()["refresh_token"]
        == (second["refresh_token"])
    ), "within the grace"


def test_25_an_app_that_proves_nothing_loses_its_family_after_the_grace(
    world: World, bearer_app, clock
):
    token = bearer_app.tokens()["refresh_token"]
    successor = bearer_app.refresh(token).json()["refresh_token"]
    clock.advance(timedelta(seconds=11))

    assert bearer_app.refresh(token).json()["error"] == "invalid_grant"
    assert bearer_app.refresh(successor).json()["error"] == "invalid_grant"
    assert world.entries("idp.family_revoked")[0]["verdict"] == "refresh_token_reuse"
    assert world.entries("idp.refresh_repeated") == []


def test_an_app_without_keys_gets_nothing_unless_the_operator_lets_it(world: World, bearer_app):
    token = bearer_app.tokens()["refresh_token"]
    world.idp.senders._policy = Policy()

    assert bearer_app.refresh(token).json()["error"] == "invalid_dpop_proof"


def test_nobody_is_registered_for_what_the_operator_does_not_allow(world: World):
    with pytest.raises(InvalidClientMetadata) as refused:
        world.client("early", profile="public", token_endpoint_auth_method="none",
                     grant_types=("authorization_code",), relies_on_rotation=True)  # fmt: skip

    assert [each.pointer for each in refused.value.errors] == ["/relies_on_rotation"]


def test_only_apps_may_be_registered_to_rely_on_rotation(world: World):
    with pytest.raises(InvalidClientMetadata):
        world.client("plain", relies_on_rotation=True)
