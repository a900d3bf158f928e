"""Attacks 19, 20, 31 and 32 at the endpoints for programs and on the device page."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.actor import SYSTEM
from idp import Denied, DeviceRejected, DeviceView
from idp.accounts import backchannel
from idp.clients.credentials import ASSERTION_TYPE, assertion_key
from idp.protocol.errors import InvalidClientMetadata
from tests.attacks.test_oauth_tokens import api_answers
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, PASSWORD, PURPOSE, RelyingParty, World, public_jwk

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def jwe_header(token: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


@pytest.fixture
def two_keys(world: World) -> tuple[RelyingParty, ec.EllipticCurvePrivateKey]:
    """A client with one key to sign with and one to be encrypted to, and the latter."""
    signing, encryption = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    jwks = {"keys": [public_jwk(signing, "key-1"), public_jwk(encryption, "enc-1", use="enc")]}
    client = world.client(
        "two-keys",
        token_endpoint_auth_method="private_key_jwt",
        jwks=jwks,
        id_token_encrypted_response_alg="ECDH-ES",
    )
    client.key = signing
    return client, encryption


def test_19_an_encryption_key_never_proves_who_somebody_is(world: World, two_keys):
    client, encryption = two_keys
    good = client.assertion({"kid": "key-1"})
    client.key = encryption
    forged = [client.assertion({"kid": kid}) for kid in ("enc-1", "key-1")]
    request = {"grant_type": "client_credentials"}

    for each in forged:
        answer = world.http.post("/oauth/token", {**request, **each})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert world.http.post("/oauth/token", {**request, **good}).status_code == 200


def test_19_without_a_kid_only_signature_keys_are_looked_at(two_keys):
    client, _ = two_keys

    jwks = client.registered.jwks
    found = assertion_key({"alg": "ES256"}, jwks)
    by_name = assertion_key({"alg": "ES256", "kid": "enc-1"}, jwks)

    assert found is not None, "the encryption key beside it makes nothing ambiguous"
    assert by_name is None


def test_19_nothing_is_ever_encrypted_to_a_signature_key(world: World, two_keys):
    client, _ = two_keys

    id_token = client.tokens()["id_token"]

    assert jwe_header(id_token)["kid"] == "enc-1"
    only_signing = public_jwk(ec.generate_private_key(ec.SECP256R1()), "sig-1", use="sig")
    unmarked = public_jwk(ec.generate_private_key(ec.SECP256R1()), "any")
    for jwk in (only_signing, unmarked):
        with pytest.raises(InvalidClientMetadata):
            world.client("wrong", jwks={"keys": [jwk]}, id_token_encrypted_response_alg="ECDH-ES")


def test_20_introspection_userinfo_and_logout_tokens_are_no_other_kind_of_token(world, client):
    server = world.client("signed", userinfo_signed_response_alg="ES256")
    access_token = server.tokens()["access_token"]
    form, headers = server.authenticated({"token": access_token})
    headers["accept"] = "application/token-introspection+jwt"
    told = world.http.post("/oauth/introspect", form, headers=headers).text

    logout = backchannel.logout_claims(ISSUER, "signed", "p_1", "sid", "jti", world.clock())
    logout_token = world.idp.tokens.sign(server.registered, logout, typ=backchannel.TYPE)
    for statement in (told, server.userinfo(access_token).text, logout_token):
        assert not api_answers(world, statement)
        assert server.introspect(statement) == {"active": False}
        assert world.idp.tokens.read_id_token(statement) is None
        assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": statement}
        refused = world.http.post("/oauth/token", {"grant_type": "client_credentials", **assertion})
        assert refused.status_code == 401
    assert world.verify(told, audience="signed")["iss"] == ISSUER


@pytest.fixture
def kiosk(world: World) -> RelyingParty:
    return world.client(
        "kiosk",
        profile="public",
        token_endpoint_auth_method="none",
        redirect_uris=(),
        grant_types=(DEVICE_CODE,),
        first_party=True,
    )


def user_code(kiosk: RelyingParty) -> str:
    form = {"scope": "openid profile", "client_id": kiosk.id}
    return kiosk.http.post("/oauth/device", form).json()["user_code"]


def signed_in(world: World, username: str = "chen") -> str:
    return world.sign_in(username).session_id


def test_31_guessing_user_codes_and_guessing_passwords_is_counted_together(world: World, kiosk):
    session = signed_in(world)
    good = user_code(kiosk)
    for _ in range(3):
        assert world.idp.devices.look_up(session, "BBBB-BBBB") == DeviceRejected("unknown_code")
    for _ in range(2):
        world.idp.sign_in("chen", "wrong")

    locked = world.idp.devices.look_up(session, good)

    assert isinstance(locked, DeviceRejected)
    assert locked.reason == "too_many_attempts"
    assert isinstance(world.idp.sign_in("chen", PASSWORD), Denied)


def test_31_a_right_code_of_ones_own_buys_no_more_guesses(world: World, kiosk):
    session = signed_in(world)
    for _ in range(5):
        world.idp.devices.look_up(session, "BBBB-BBBB")
        own = world.idp.devices.look_up(session, user_code(kiosk))

    assert isinstance(own, DeviceRejected)
    assert own.reason == "too_many_attempts"


def test_32_whoever_was_sent_a_code_sees_whose_program_asks_and_what_for(world: World, kiosk):
    view = world.idp.devices.look_up(signed_in(world), user_code(kiosk))

    assert isinstance(view, DeviceView)
    assert (view.client.name, view.client.purpose) == (PURPOSE, PURPOSE)
    assert view.client.organisation_name
    assert view.asked_at


def test_32_looking_a_code_up_allows_nothing_however_well_the_program_is_known(world, kiosk):
    asked = kiosk.http.post("/oauth/device", {"scope": "openid", "client_id": kiosk.id}).json()

    world.idp.devices.look_up(signed_in(world), asked["user_code"])

    answer = kiosk.token({"grant_type": DEVICE_CODE, "device_code": asked["device_code"]})
    assert answer.json()["error"] == "authorization_pending"


def test_32_a_code_cannot_change_hands_between_being_seen_and_being_answered(world: World, kiosk):
    world.idp.people.add("mallory", "马", PASSWORD, by=SYSTEM)
    code = user_code(kiosk)
    world.idp.devices.look_up(signed_in(world), code)

    swapped = world.idp.devices.answer(signed_in(world, "mallory"), code, True)

    assert swapped == DeviceRejected("unknown_code")


def allowed(world: World, kiosk: RelyingParty, scope: str) -> tuple[str, str]:
    """A device that the person said yes to and that has not asked since: session, device code."""
    session = signed_in(world)
    asked = kiosk.http.post("/oauth/device", {"scope": scope, "client_id": kiosk.id}).json()
    world.idp.devices.answer(session, asked["user_code"], True)
    return session, asked["device_code"]


@pytest.mark.parametrize("scope", ["openid profile", "openid profile offline_access"])
def test_32_a_yes_that_was_taken_back_gives_a_patient_device_nothing(world: World, kiosk, scope):
    """Whoever lured somebody into a yes must not only have to wait until it was taken back."""
    session, code = allowed(world, kiosk, scope)

    world.idp.withdraw_consent(world.chen, kiosk.id)

    answer = kiosk.token({"grant_type": DEVICE_CODE, "device_code": code})
    assert answer.json()["error"] == "access_denied"
    assert world.idp.session(session) is not None


def test_32_a_device_that_was_allowed_for_a_session_gets_nothing_after_it(world: World, kiosk):
    session, code = allowed(world, kiosk, "openid profile")
    other, elsewhere = allowed(world, kiosk, "openid profile")

    world.idp.end_session(session)

    answer = kiosk.token({"grant_type": DEVICE_CODE, "device_code": code})
    assert answer.json()["error"] == "access_denied"
    assert kiosk.token({"grant_type": DEVICE_CODE, "device_code": elsewhere}).status_code == 200
    assert world.idp.session(other) is not None


def test_32_a_code_is_over_after_ten_minutes_for_the_person_and_the_device(world, kiosk, clock):
    session, code = allowed(world, kiosk, "openid profile")
    asked = user_code(kiosk)
    clock.advance(timedelta(minutes=10))

    answer = kiosk.token({"grant_type": DEVICE_CODE, "device_code": code})

    assert answer.json()["error"] == "expired_token"
    assert world.idp.devices.look_up(session, asked) == DeviceRejected("unknown_code")


def test_32_a_device_code_is_of_no_use_to_another_client_and_works_once(world: World, kiosk):
    _, code = allowed(world, kiosk, "openid profile")
    thief = world.client("thief", redirect_uris=(), grant_types=(DEVICE_CODE,))
    form = {"grant_type": DEVICE_CODE, "device_code": code}

    stolen = thief.token(form)
    taken = [kiosk.token(form) for _ in range(2)]

    assert stolen.json()["error"] == "invalid_grant"
    assert [each.status_code for each in taken] == [200, 400]


def test_34_nobody_asks_about_or_gives_back_what_is_anothers(world: World, client):
    thief = world.client("thief")
    tokens = client.tokens()
    own = client.token({"grant_type": "client_credentials"}).json()["access_token"]

    for token in (tokens["access_token"], tokens["refresh_token"], own):
        assert thief.introspect(token) == {"active": False}
        assert thief.revoke(token).json()["error"] == "invalid_grant"
        assert client.introspect(token)["active"]


def test_a_name_that_the_database_cannot_hold_spoils_nobody_elses_request(world: World, client):
    """Requests of one moment share a question to the database; PostgreSQL knows no NUL."""
    form, headers = client.authenticated({"grant_type": "client_credentials"})
    odd = {**form, "client_id": "food\0office", "client_secret": "x"}
    post = world.http.client.post

    answers = world.http.together(
        *(post("/oauth/token", data=odd) for _ in range(4)),
        *(post("/oauth/token", data=form, headers=headers) for _ in range(4)),
    )

    assert [answer.status_code for answer in answers] == [401] * 4 + [200] * 4
