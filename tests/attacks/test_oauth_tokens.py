"""Attacks 13, 15 to 22 and 25 to 27: forged, confused, stale and widened tokens and assertions."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.batching.routes import HotRequest
from idp import Denied
from idp.protocol.errors import InvalidClientMetadata, InvalidToken
from server.web.access import AccessTokens
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.proofs import certificate
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk


def api_answers(world: World, token: str) -> bool:
    """Whether our own API would take the token."""
    request = HotRequest("GET", "/api/v1/x", headers={"authorization": f"Bearer {token}"})
    try:
        world.runner.run(AccessTokens(world.idp).hot(request))
    except InvalidToken as refused:
        return not (refused.status == 401 and "Bearer" in refused.challenge)
    return True


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def split(token: str) -> tuple[dict, dict, str]:
    header, payload, signature = token.split(".")
    return *(
        json.loads(base64.urlsafe_b64decode(each + "==")) for each in (header, payload)
    ), signature


@pytest.fixture
def access_token(client: RelyingParty) -> str:
    return client.token({"grant_type": "client_credentials"}).json()["access_token"]


def test_a_good_token_is_taken_so_that_the_refusals_below_mean_something(world, access_token):
    assert api_answers(world, access_token)


def test_13_a_token_for_another_audience_is_refused(world: World):
    client = world.client("elsewhere", resources=("https://other.example/api",))
    token = client.token({"grant_type": "client_credentials"}).json()["access_token"]

    assert not api_answers(world, token)
    assert client.userinfo(token).status_code == 401


def test_13_a_token_of_another_issuer_is_refused(world: World, access_token: str):
    key = ec.generate_private_key(ec.SECP256R1())
    header, claims, _ = split(access_token)
    elsewhere = {**claims, "iss": "https://evil.example"}
    foreign = jwt.encode(elsewhere, key, "ES256", headers=header)
    under_our_key = world.idp.keys.jws("idp.tokens", elsewhere, typ="at+jwt")

    assert not api_answers(world, foreign)
    assert not api_answers(world, under_our_key)


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", ""])
def test_15_unsigned_tokens_are_refused(world: World, access_token: str, alg: str):
    header, claims, signature = split(access_token)

    for end in ("", signature):
        assert not api_answers(world, f"{part({**header, 'alg': alg})}.{part(claims)}.{end}")


def test_15_an_empty_signature_is_refused(world: World, access_token: str):
    assert not api_answers(world, access_token.rpartition(".")[0] + ".")


def test_16_a_public_key_is_not_an_hmac_secret(world: World, access_token: str):
    header, claims, _ = split(access_token)
    public = world.idp.keys.find(header["kid"]).public_key
    encodings = [
        public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
    ]

    for secret in encodings:
        import hashlib
        import hmac

        signed = f"{part({**header, 'alg': 'HS256'})}.{part(claims)}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        assert not api_answers(world, f"{signed}.{part(mac)}")


def test_16_a_client_assertion_by_hmac_is_refused(world: World):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    claims = jwt.decode(client.assertion()["client_assertion"], options={"verify_signature": False})
    signed = f"{part({'alg': 'HS256', 'kid': 'key-1'})}.{part(claims)}"

    response = world.http.post(
        "/oauth/token",
        {
            "grant_type": "client_credentials",
            **client.assertion(),
            "client_assertion": f"{signed}.{part(b'x' * 32)}",
        },
    )

    assert response.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "kid", ["../../../etc/passwd", "' OR '1'='1", "https://evil.example/key", "x" * 9000, "", None]
)
def test_17_a_kid_is_only_ever_a_name(world: World, access_token: str, kid):
    """Even under our own key: what does not name it does not find it."""
    header, claims, _ = split(access_token)

    def signed(header: dict) -> str:
        said = f"{part(header)}.{part(claims)}"
        return f"{said}.{part(world.idp.keys.sign('idp.tokens', said.encode()).value)}"

    assert api_answers(world, signed(header))
    assert not api_answers(world, signed({**header, "kid": kid}))


def test_17_a_kid_that_two_keys_share_names_none(world: World):
    two = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    jwks = {"keys": [public_jwk(each, "key-1") for each in two]}
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt", jwks=jwks)

    for client.key in two:
        assert client.token({"grant_type": "client_credentials"}).status_code == 401


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_18_a_token_cannot_bring_its_own_key(world: World, access_token: str, name: str):
    mine = certificate("evil.example")
    key, own = mine.key, {"jwk": public_jwk(mine.key, "mine"), "x5c": mine.jwk["x5c"]}
    header, claims, _ = split(access_token)
    brought = own.get(name, "https://evil.example/")

    for kid in (header["kid"], "mine"):
        forged = jwt.encode(claims, key, "ES256", headers={**header, "kid": kid, name: brought})
        assert not api_answers(world, forged)


def test_19_a_clients_key_does_not_sign_our_tokens(world: World, access_token: str):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    header, claims, _ = split(access_token)

    forged = jwt.encode(claims, client.key, "ES256", headers={**header, "kid": "key-1"})

    assert not api_answers(world, forged)


def test_19_a_key_of_this_house_with_another_use_does_not_sign_tokens(world, access_token):
    world.idp.keys.ensure("exchange.receipts")
    _, claims, _ = split(access_token)

    assert not api_answers(world, world.idp.keys.jws("exchange.receipts", claims, typ="at+jwt"))


@pytest.mark.parametrize("wrong", [{"use": "enc"}, {"alg": "ES384"}, {"key_ops": ["sign"]}])
def test_19_a_client_key_that_is_not_for_verifying_cannot_be_registered(world: World, wrong):
    jwk = public_jwk(ec.generate_private_key(ec.SECP256R1()), "key-1") | wrong

    with pytest.raises(InvalidClientMetadata):
        world.client("auth", token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})


def test_20_an_id_token_is_not_an_access_token(world: World, client: RelyingParty):
    id_token = client.tokens()["id_token"]

    assert not api_answers(world, id_token)
    assert client.userinfo(id_token).status_code == 401
    assert client.introspect(id_token) == {"active": False}


def test_20_an_access_token_is_not_a_logout_hint(world: World, client: RelyingParty):
    browser = world.browser()
    token = client.exchange(client.code(browser)).json()["access_token"]

    answer = browser.get("/oauth/logout", {"id_token_hint": token})

    assert answer.headers["location"].startswith("/signout?logout="), "it is asked, as without one"
    assert world.idp.session(browser.session_id) is not None


def test_20_nothing_we_sign_is_a_client_assertion(world: World):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    form = {**client.assertion(), "grant_type": "client_credentials"}
    own = client.token({"grant_type": "client_credentials"}).json()["access_token"]

    response = world.http.post("/oauth/token", {**form, "client_assertion": own})

    assert response.json()["error"] == "invalid_client"


def test_20_another_statement_under_the_same_key_is_not_an_access_token(world, access_token):
    _, claims, _ = split(access_token)

    for typ in ("JWT", "logout+jwt", "yinzheng-receipt+jwt", "token-introspection+jwt"):
        assert not api_answers(world, world.idp.keys.jws("idp.tokens", claims, typ=typ))


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}, {"cty": "JWT"}, {"zip": "DEF"}],
)
def test_21_headers_we_do_not_understand_are_refused(world: World, access_token: str, header):
    _, claims, _ = split(access_token)
    token = world.idp.keys.jws("idp.tokens", claims, typ="at+jwt", header=header)

    assert not api_answers(world, token)


def test_21_a_claim_said_twice_is_refused(world: World, access_token: str):
    """Whichever of the two another reader would take."""
    payload = base64.urlsafe_b64decode(access_token.split(".")[1] + "==")

    for member in (b'"aud":"https://other.example"', b'"scope":"openid"', b'"exp":1'):
        for doubled in (payload[:-1] + b"," + member + b"}", b"{" + member + b"," + payload[1:]):
            assert not api_answers(world, world.idp.keys.jws("idp.tokens", doubled, typ="at+jwt"))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 0}, {"exp": -1}, {"exp": "9999999999"}, {"exp": None}, {"exp": True},
        {"exp": 253402300800000}, {"iat": 9999999999}, {"iat": "x"}, {"exp": [1]},
        {"exp": 9999999999.5}, {"iat": True}, {"iat": 1.5}, {"iat": -1}, {"iat": None},
    ],
)  # fmt: skip
def test_22_odd_dates_are_refused(world: World, access_token: str, changes):
    _, claims, _ = split(access_token)

    forged = world.idp.keys.jws("idp.tokens", {**claims, **changes}, typ="at+jwt")

    assert not api_answers(world, forged)


def test_22_a_token_dies_on_time_even_if_it_was_just_used(world: World, access_token, clock):
    assert api_answers(world, access_token)
    clock.advance(timedelta(minutes=10))

    assert not api_answers(world, access_token)


def test_22_a_client_assertion_is_accepted_once_in_its_whole_life(world: World, clock):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    now = int(clock().timestamp())
    form = {"grant_type": "client_credentials", **client.assertion(exp=now + 600)}

    assert world.http.post("/oauth/token", form).status_code == 200
    for _ in range(3):
        clock.advance(timedelta(seconds=190))
        world.idp.sweep()
        assert world.http.post("/oauth/token", form).json()["error"] == "invalid_client"


def test_22_one_assertion_sent_many_times_at_once_counts_once(world: World):
    client = world.client("auth", token_endpoint_auth_method="private_key_jwt")
    form = {"grant_type": "client_credentials", **client.assertion()}

    answers = world.http.together(
        *(world.http.client.post("/oauth/token", data=form) for _ in range(6))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]


def test_25_a_refresh_token_used_again_later_ends_the_family(world, client, clock):
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    second = client.refresh(second["refresh_token"]).json()
    clock.advance(timedelta(seconds=11))

    thief = client.refresh(first["refresh_token"])

    assert thief.json()["error"] == "invalid_grant"
    assert client.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.introspect(second["access_token"]) == {"active": False}
    assert world.entries("idp.family_revoked")[0]["verdict"] == "refresh_token_reuse"


def test_25_within_the_grace_a_token_whose_successor_was_used_is_stolen(world, client):
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    third = client.refresh(second["refresh_token"]).json()

    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(third["refresh_token"]).json()["error"] == "invalid_grant"


def test_25_refreshes_at_once_get_one_successor_and_nobody_is_punished(world, client):
    """The grace: a lost answer, or two tabs. What the thief gains is what the owner has."""
    token = client.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    form, headers = client.authenticated(form)

    at_once = world.http.together(
        *(world.http.client.post("/oauth/token", data=form, headers=headers) for _ in range(4))
    )
    a_moment_later = client.refresh(token)

    answers = [*at_once, a_moment_later]
    assert [each.status_code for each in answers] == [200] * 5
    (successor,) = {each.json()["refresh_token"] for each in answers}
    assert successor != token
    assert client.refresh(successor).status_code == 200
    assert world.entries("idp.family_revoked") == []


@pytest.mark.parametrize(
    "number", ["00000001", "00000002", "-0000001", "\uff10" * 7 + "1", "\0" * 8]
)
def test_25_a_made_up_refresh_token_of_a_known_family_ends_nothing(world, client, number):
    tokens = client.tokens()
    family = jwt.decode(tokens["access_token"], options={"verify_signature": False})["fam"]

    made_up = client.refresh(family + number + "0" * 64)

    assert made_up.json()["error"] == "invalid_grant"
    assert world.entries("idp.family_revoked") == []
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_25_an_old_refresh_token_still_gives_the_thief_away_after_weeks(world, client, clock):
    first = client.tokens()
    clock.advance(timedelta(days=10))
    second = client.refresh(first["refresh_token"]).json()
    second = client.refresh(second["refresh_token"]).json()
    clock.advance(timedelta(days=10))

    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"


def test_25_a_refresh_token_is_of_no_use_to_another_client(world: World, client: RelyingParty):
    tokens = client.tokens()

    stolen = world.client("thief").refresh(tokens["refresh_token"])

    assert stolen.json()["error"] == "invalid_grant"
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_26_refreshing_never_widens_scope_or_audience(world: World):
    client = world.client("two-apis", resources=("https://one.example/", "https://two.example/"))
    tokens = client.tokens(scope="verifications", resource="https://one.example/")
    token = tokens["refresh_token"]

    assert client.refresh(token, scope="verifications openid").json()["error"] == "invalid_scope"
    assert (
        client.refresh(token, resource="https://two.example/").json()["error"] == "invalid_target"
    )
    again = client.refresh(token).json()["access_token"]
    claims = world.verify(again, audience="https://one.example/")
    assert (claims["scope"], claims["aud"]) == ("verifications", "https://one.example/")


def test_26_a_code_is_not_exchanged_for_more_than_was_granted(world: World):
    client = world.client("two-apis", resources=("https://one.example/", "https://two.example/"))
    code = client.code(scope="verifications", resource="https://one.example/")

    wider = client.exchange(code, resource="https://two.example/")
    token = client.exchange(code, scope="verifications openid").json()["access_token"]

    assert wider.json()["error"] == "invalid_target"
    assert world.verify(token, audience="https://one.example/")["scope"] == "verifications"


def test_26_nobody_widens_anything_by_token_exchange(world: World, client: RelyingParty):
    """Only who is registered for it may exchange, and only for less (RFC 8693)."""
    kind = "urn:ietf:params:oauth:token-type:access_token"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": client.tokens(scope="verifications")["access_token"],
        "subject_token_type": kind,
        "scope": "openid profile",
        "audience": ISSUER,
    }

    assert client.token(form).json()["error"] == "unauthorized_client"


def test_27_a_client_by_itself_has_no_scope_that_tells_about_a_person(world: World, client):
    for scope in ("openid", "profile", "offline_access", "verifications openid"):
        answer = client.token({"grant_type": "client_credentials", "scope": scope})
        assert answer.json()["error"] == "invalid_scope"
    token = client.token({"grant_type": "client_credentials"}).json()["access_token"]
    assert world.verify(token)["scope"] == "verifications"


def test_27_what_a_person_is_called_is_no_name_a_client_can_have(world: World):
    for subject_type in ("public", "pairwise"):
        party = world.client(f"to-{subject_type}", subject_type=subject_type)
        subject = world.verify(party.tokens()["access_token"])["sub"]
        with pytest.raises(InvalidClientMetadata):
            world.client(subject)


def test_27_a_client_can_never_have_the_name_of_a_person(world: World):
    with pytest.raises(InvalidClientMetadata):
        world.client(world.chen.id)


def test_27_a_clients_own_token_is_nobodys_userinfo(world: World, client: RelyingParty):
    token = client.token({"grant_type": "client_credentials", "scope": "verifications"}).json()[
        "access_token"
    ]

    _, claims, _ = split(token)
    as_if = {**claims, "aud": ISSUER, "scope": "openid"}  # and still about nobody
    looks_right = world.idp.keys.jws("idp.tokens", as_if, typ="at+jwt")

    assert client.userinfo(token).status_code == 401
    assert client.userinfo(looks_right).status_code == 401


def test_31_a_lock_cannot_be_walked_around_by_another_way_in(world: World, client: RelyingParty):
    """One counter for the portal's own sign-in and for every pending request."""

    for _ in range(5):
        world.idp.sign_in("chen", "wrong")
    browser = world.browser()
    answer = browser.authorize(client.request())

    result = world.idp.authenticate(
        world.idp.interaction(answer.interaction_id, browser.id),
        {"username": "CHEN ", "password": "wrong"},
        browser=browser.id,
    )

    assert isinstance(result, Denied)
    assert result.reason == "too_many_attempts"


def test_31_guesses_in_parallel_are_counted_one_by_one(world: World):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: world.idp.sign_in("chen", f"guess-{n}"), range(16)))

    refused = [each for each in results if isinstance(each, Denied)]
    assert len(refused) == 16
    looked_at = [each for each in refused if each.reason == "wrong_credentials"]
    assert len(looked_at) <= 5


def test_33_a_secret_cannot_be_guessed_by_comparing(world: World, client: RelyingParty):
    """Wrong secret, wrong method, unknown client: one answer."""
    good = client.secret
    answers = set()
    for client_id, secret in ((client.id, good[:-1]), (client.id, ""), ("nobody", good)):
        party = RelyingParty(world, client.registered, secret)
        form, headers = party.authenticated({"grant_type": "client_credentials"})
        from tests.idp.world import basic

        headers["authorization"] = basic(client_id, secret)
        answers.add(world.http.post("/oauth/token", form, headers=headers).text)

    assert len(answers) == 1


def test_33_an_unknown_name_costs_as_much_as_a_known_one(world: World, monkeypatch):
    """The slow part is the same number of hashes under the same parameters."""
    looked_at: list[str] = []
    verify = PasswordHasher.verify

    def seen(self: PasswordHasher, password_hash: str, password: str) -> bool:
        looked_at.append(password_hash.rpartition("$")[0].rpartition("$")[0])
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", seen)
    answers = [world.idp.sign_in(name, "wrong") for name in ("chen", "nobody")]

    assert answers[0] == answers[1]
    assert len(looked_at) == 2
    assert looked_at[0] == looked_at[1]


def test_33_an_unknown_name_has_to_wait_like_a_known_one(world: World):
    answers = {
        name: [world.idp.sign_in(name, f"guess-{n}") for n in range(7)] for name in ("chen", "no")
    }

    assert answers["chen"] == answers["no"]
    last = answers["no"][-1]
    assert isinstance(last, Denied)
    assert last.reason == "too_many_attempts"


def test_issuer_is_what_everything_above_was_checked_against():
    assert ISSUER.startswith("https://")
