"""Apps that run in a browser: what their scripts may call, and what they may not."""

import pytest

from tests.idp.world import RelyingParty, World

APP = {"origin": "https://app.example"}
PREFLIGHT = {
    **APP,
    "access-control-request-method": "POST",
    "access-control-request-headers": "dpop",
}


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/par", "/oauth/userinfo", "/oauth/revoke", "/oauth/device"]
)
def test_a_script_may_ask_and_use_what_belongs_to_tokens(world: World, path):
    response = world.runner.run(world.http.client.options(path, headers=PREFLIGHT))

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "DPoP" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in response.headers


def test_a_script_can_read_the_nonce_it_is_asked_for(world: World):
    party = world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code",),
    )

    response = party._post("/oauth/token", {"grant_type": "authorization_code", "code": "x"})

    assert response.json()["error"] == "use_dpop_nonce"
    assert response.headers["access-control-allow-origin"] == "*"
    assert "DPoP-Nonce" in response.headers["access-control-expose-headers"]


def test_no_script_reads_what_depends_on_a_cookie(world: World, client: RelyingParty):
    for path in ("/oauth/authorize", "/oauth/logout"):
        answer = world.http.get(path, client.request(), headers=APP)
        asked = world.runner.run(world.http.client.options(path, headers=PREFLIGHT))
        assert "access-control-allow-origin" not in answer.headers
        assert asked.status_code == 405
