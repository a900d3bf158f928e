"""The token endpoint: codes, refresh tokens, clients' own tokens, and what they may be used for."""

import base64
import hashlib
from datetime import timedelta

import pytest

from idp.token.grants.refresh import GRACE
from tests.idp.world import ISSUER, RelyingParty, World, basic


def test_a_code_becomes_access_id_and_refresh_token(world: World, client: RelyingParty):
    tokens = client.tokens()

    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["scope"] == "openid profile offline_access"
    assert len(tokens["refresh_token"]) >= 43


def test_the_access_token_is_an_rfc_9068_jwt(world: World, client: RelyingParty):
    import jwt

    token = client.tokens()["access_token"]

    claims = world.verify(token, audience=f"{ISSUER}/api/v1", issuer=ISSUER)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims.keys() >= {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"}
    assert claims["sub"] == world.chen.id
    assert claims["client_id"] == client.id


def test_the_id_token_says_who_when_and_how(world: World, client: RelyingParty, clock):
    tokens = client.tokens()

    claims = world.verify(tokens["id_token"], audience=client.id, issuer=ISSUER)
    assert claims["sub"] == world.chen.id
    assert claims["nonce"] == "n-" + client.state
    assert claims["auth_time"] == int(clock().timestamp())
    assert claims["amr"] == ["pwd"]
    assert claims["sid"]
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def test_without_openid_there_is_no_id_token(world: World, client: RelyingParty):
    tokens = client.tokens(scope="verifications")

    assert "id_token" not in tokens
    assert "refresh_token" in tokens


def test_without_offline_access_there_is_no_refresh_token(world: World, client: RelyingParty):
    assert "refresh_token" not in client.tokens(scope="openid")


def test_token_answers_are_never_cached(world: World, client: RelyingParty):
    response = client.exchange(client.code())

    assert response.headers["cache-control"] == "no-store"


def test_a_pairwise_client_gets_a_name_of_its_own_for_the_person(world: World):
    one = world.client("one", subject_type="pairwise")
    two = world.client(
        "two", subject_type="pairwise", redirect_uris=("https://two.example/callback",)
    )
    tokens = one.tokens()

    subject = world.verify(tokens["id_token"])["sub"]
    other = world.verify(
        two.exchange(
            two.code(redirect_uri="https://two.example/callback"),
            redirect_uri="https://two.example/callback",
        ).json()["id_token"]
    )["sub"]

    assert subject != world.chen.id
    assert subject != other
    assert one.userinfo(tokens["access_token"]).json()["sub"] == subject


def test_userinfo_tells_what_was_agreed_and_the_ledger_says_so(world, client):
    tokens = client.tokens()

    response = client.userinfo(tokens["access_token"])

    assert response.json() == {
        "sub": world.chen.id,
        "name": "陈静怡",
        "preferred_username": "chen",
        "locale": "zh-Hans",
        "updated_at": int(world.clock().timestamp()) - 1,  # chen was added a second before
    }
    [entry] = world.entries("idp.userinfo_read")
    assert entry["disclosed"] == ["locale", "name", "preferred_username", "updated_at"]
    assert "陈静怡" not in str(entry)


def test_userinfo_takes_the_token_in_a_form_but_not_twice(world: World, client: RelyingParty):
    token = client.tokens()["access_token"]

    assert world.http.post("/oauth/userinfo", {"access_token": token}).status_code == 200
    twice = world.http.post(
        "/oauth/userinfo", {"access_token": token}, headers={"authorization": f"Bearer {token}"}
    )
    assert twice.status_code == 401


def test_userinfo_refuses_a_token_without_openid_with_a_challenge(world, client):
    token = client.tokens(scope="verifications")["access_token"]

    response = client.userinfo(token)

    assert response.status_code in (401, 403)
    assert response.headers["www-authenticate"].startswith("Bearer error=")


def test_a_client_gets_a_token_of_its_own(world: World, client: RelyingParty):
    response = client.token({"grant_type": "client_credentials", "scope": "verifications"})

    claims = world.verify(response.json()["access_token"], audience=f"{ISSUER}/api/v1")
    assert claims["sub"] == claims["client_id"] == client.id
    assert "refresh_token" not in response.json()
    [entry] = world.entries("idp.token_issued")
    assert entry["details"]["jti"] == claims["jti"]
    assert entry["actor"]["id"] == client.id


def test_a_client_alone_cannot_ask_about_a_person(world: World, client: RelyingParty):
    response = client.token({"grant_type": "client_credentials", "scope": "openid"})

    assert response.json()["error"] == "invalid_scope"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_each_way_of_authenticating_works(world: World, method: str):
    client = world.client("auth", token_endpoint_auth_method=method)

    assert client.token({"grant_type": "client_credentials"}).status_code == 200


def test_a_client_may_use_only_the_way_it_is_registered_for(world: World, client: RelyingParty):
    form = {
        "grant_type": "client_credentials",
        "client_id": client.id,
        "client_secret": client.secret,
    }

    response = world.http.post("/oauth/token", form)

    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"


def test_a_public_client_proves_the_verifier_and_its_key(world: World):
    client = world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code",),
    )

    assert "id_token" in client.tokens()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": [ISSUER]}, "aud"),
        ({"aud": f"{ISSUER}/oauth/par"}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": 253402300799}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1}, "exp"),
        ({"nbf": 4102444800}, "nbf"),
        ({"iat": 4102444800}, "iat"),
        ({"jti": None}, "jti"),
        ({"iss": "somebody"}, ""),
        ({"sub": "somebody"}, ""),
    ],
)
def test_a_client_assertion_must_say_the_right_things(world: World, changes, why):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    form = {"grant_type": "client_credentials", **client.assertion(**changes)}

    response = world.http.post("/oauth/token", form)

    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"
    assert why in response.json()["error_description"]


SAME = ("iss", "sub", "aud", "auth_time", "sid")  # OIDC Core §12.2


def test_refreshing_rotates_and_the_old_access_token_lives_on(world: World, client: RelyingParty):
    first = client.tokens()

    second = client.refresh(first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert client.introspect(first["access_token"])["active"]
    before, after = (world.verify(each["id_token"]) for each in (first, second))
    assert "nonce" not in after
    assert {name: before[name] for name in SAME} == {name: after[name] for name in SAME}


def test_a_refresh_whose_answer_was_lost_gets_the_same_successor(world, client):
    first = client.tokens()

    second = client.refresh(first["refresh_token"]).json()
    again = client.refresh(first["refresh_token"]).json()

    assert again["refresh_token"] == second["refresh_token"]
    assert client.refresh(again["refresh_token"]).status_code == 200


def test_parallel_refreshes_all_get_the_one_successor(world: World, client: RelyingParty):
    first = client.tokens()
    form, headers = client.authenticated(
        {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    )

    responses = world.http.together(
        *(world.http.client.post("/oauth/token", data=form, headers=headers) for _ in range(8))
    )

    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["refresh_token"] for response in responses}) == 1


def test_a_refresh_can_ask_for_less_but_never_for_more(world: World, client: RelyingParty):
    tokens = client.tokens()

    less = client.refresh(tokens["refresh_token"], scope="openid").json()
    more = client.refresh(less["refresh_token"], scope="openid verifications")
    all_again = client.refresh(less["refresh_token"]).json()

    assert less["scope"] == "openid"
    assert more.json()["error"] == "invalid_scope"
    assert all_again["scope"] == "openid profile offline_access"


def test_an_idle_refresh_token_dies(world: World, client: RelyingParty, clock):
    tokens = client.tokens()
    clock.advance(timedelta(days=15))

    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_family_has_an_end_however_often_it_is_refreshed(world, client, clock):
    token = client.tokens()["refresh_token"]
    for _ in range(9):
        clock.advance(timedelta(days=10))
        response = client.refresh(token)
        if response.status_code != 200:
            break
        token = response.json()["refresh_token"]

    assert response.json()["error"] == "invalid_grant"


def test_a_code_lives_at_most_sixty_seconds(world: World, client: RelyingParty, clock):
    code = client.code()
    clock.advance(timedelta(seconds=61))

    assert client.exchange(code).json()["error"] == "invalid_grant"


def test_a_disabled_client_and_its_tokens_stop_at_once(world: World, client: RelyingParty):
    from foundation.actor import SYSTEM

    token = client.tokens()["access_token"]
    world.idp.clients.disable(client.id, by=SYSTEM)

    assert client.userinfo(token).status_code == 401
    assert client.token({"grant_type": "client_credentials"}).status_code == 401


def test_taking_a_consent_back_ends_the_clients_tokens(world: World, client: RelyingParty):
    tokens = client.tokens()
    [given] = world.idp.consents(world.chen)

    assert given.client.client_id == client.id
    assert world.idp.withdraw_consent(world.chen, client.id)
    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.idp.consents(world.chen) == []


def test_taking_a_consent_back_ends_a_code_on_its_way(world: World, client: RelyingParty):
    code = client.code()

    world.idp.withdraw_consent(world.chen, client.id)

    assert client.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password", "username": "chen", "password": "x"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "no"}, "invalid_grant"),
        ({"grant_type": "client_credentials", "scope": "a  b"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "certificates.verify"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "resource": "https://x/"}, "invalid_target"),
    ],
)
def test_a_wrong_token_request_is_told_which_rule(world: World, client, form, error):
    response = client.token(form)

    assert response.status_code == 400
    assert response.json()["error"] == error
    assert response.json()["error_description"]
    assert world.entries("idp.token_refused")[-1]["verdict"] == error


def test_only_forms_without_duplicates_are_read(world: World, client: RelyingParty):
    headers = {"authorization": basic(client.id, client.secret)}
    form_type = {"content-type": "application/x-www-form-urlencoded"}
    as_json = world.http.post("/oauth/token", json={"grant_type": "x"}, headers=headers)
    twice = world.http.post(
        "/oauth/token",
        content="grant_type=client_credentials&grant_type=client_credentials",
        headers={**headers, **form_type},
    )

    for response in (as_json, twice):
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_request"


def test_two_ways_of_authenticating_at_once_are_refused(world: World, client: RelyingParty):
    response = client.token(
        {
            "grant_type": "client_credentials",
            "client_id": client.id,
            "client_secret": client.secret,
        }
    )

    assert response.json()["error"] == "invalid_request"


def test_the_grace_of_a_lost_answer_is_short():
    assert timedelta(seconds=30) >= GRACE


APIS = ("https://api.example/licences", "https://api.example/people")


def test_a_token_is_meant_for_the_resources_that_were_asked_and_for_no_other(world: World):
    client = world.client(resources=APIS)
    browser = world.browser()
    client.code(browser)
    asked = [*client.request().items(), ("resource", APIS[0]), ("resource", APIS[1])]
    code = browser.authorize(asked).params["code"]

    tokens = client.exchange(code, resource=APIS[1]).json()
    both = client.refresh(tokens["refresh_token"]).json()
    one = client.refresh(both["refresh_token"], resource=APIS[0]).json()

    audiences = [world.verify(each["access_token"])["aud"] for each in (tokens, both, one)]
    assert audiences == [[APIS[1], ISSUER], [*APIS, ISSUER], [APIS[0], ISSUER]]


def test_a_resource_nobody_granted_is_refused_and_the_code_stays_good(world: World):
    client = world.client(resources=APIS)
    code = client.code(resource=APIS[0])

    wider = client.exchange(code, resource=APIS[1])
    tokens = client.exchange(code).json()
    later = client.refresh(tokens["refresh_token"], resource=APIS[1])

    assert wider.json()["error"] == later.json()["error"] == "invalid_target"


def test_a_client_by_itself_may_name_several_of_its_resources(world: World):
    client = world.client(resources=APIS)
    form = {"grant_type": "client_credentials", "resource": " ".join(APIS)}

    token = client.token(form).json()["access_token"]

    assert world.verify(token)["aud"] == list(APIS)
    foreign = client.token({**form, "resource": "https://other.example/"})
    assert foreign.json()["error"] == "invalid_target"
