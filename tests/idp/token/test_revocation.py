"""Giving tokens back (RFC 7009)."""

from tests.idp.world import RelyingParty, World


def test_giving_a_refresh_token_back_ends_everything_of_that_sign_in(world, client):
    tokens = client.tokens()

    assert client.revoke(tokens["refresh_token"]).status_code == 200

    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.introspect(tokens["access_token"]) == {"active": False}
    assert client.userinfo(tokens["access_token"]).status_code == 401


def test_giving_an_access_token_back_ends_its_sign_in_too(client: RelyingParty):
    tokens = client.tokens()

    response = client.revoke(tokens["access_token"])

    assert (response.status_code, response.content) == (200, b"")
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_giving_a_clients_own_token_back_ends_only_that_token(world: World, client: RelyingParty):
    one, two = (
        client.token({"grant_type": "client_credentials"}).json()["access_token"] for _ in range(2)
    )

    client.revoke(one)

    assert client.introspect(one) == {"active": False}
    assert client.introspect(two)["active"]


def test_an_unknown_token_is_gone_already(client: RelyingParty):
    for token in ("x.y.z", "nonsense"):
        assert client.revoke(token).status_code == 200


def test_giving_a_token_back_twice_is_no_error(client: RelyingParty):
    token = client.tokens()["refresh_token"]

    assert client.revoke(token).status_code == 200
    assert client.revoke(token).status_code == 200


def test_somebody_elses_token_is_refused_and_lives_on(world: World, client: RelyingParty):
    stranger = world.client("stranger")
    tokens = client.tokens()

    for token in (tokens["access_token"], tokens["refresh_token"]):
        response = stranger.revoke(token)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")

    assert client.introspect(tokens["access_token"])["active"]
    assert client.introspect(tokens["refresh_token"])["active"]
    assert not world.entries("idp.token_revoked")


def test_an_id_token_is_not_a_kind_that_can_be_revoked(client: RelyingParty):
    response = client.revoke(client.tokens()["id_token"])

    assert (response.status_code, response.json()["error"]) == (400, "unsupported_token_type")


def test_a_public_client_gives_its_token_back_by_naming_itself(world: World):
    app = world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code", "refresh_token"),
    )
    token = app.tokens()["refresh_token"]

    assert app.revoke(token).status_code == 200
    assert app.refresh(token).json()["error"] == "invalid_grant"


def test_a_revocation_is_in_the_ledger(world: World, client: RelyingParty):
    client.revoke(client.tokens()["refresh_token"])

    assert len(world.entries("idp.token_revoked")) == 1
