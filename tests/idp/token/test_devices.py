"""A device without a keyboard, and a person with another screen (RFC 8628)."""

from datetime import timedelta
from typing import Any

import pytest

from foundation.actor import SYSTEM
from idp import DeviceAnswered, DeviceRejected, DeviceView
from idp.token.devices import ALPHABET, normal
from tests.idp.world import ISSUER, PASSWORD, RelyingParty, World

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def kiosk(world: World) -> RelyingParty:
    """A kiosk of a service hall: a public client that may refresh and learn a name."""
    return world.client(
        "kiosk",
        profile="public",
        token_endpoint_auth_method="none",
        redirect_uris=(),
        grant_types=(DEVICE_CODE, "refresh_token"),
    )


@pytest.fixture
def chen(world: World) -> str:
    """A session of Chen's."""
    return session_of(world, "chen")


def session_of(world: World, username: str) -> str:
    return world.sign_in(username).session_id


def begin(kiosk: RelyingParty, **form: str) -> Any:
    asked = {"scope": "openid profile offline_access", "client_id": kiosk.id, **form}
    return kiosk.http.post("/oauth/device", asked)


def poll(kiosk: RelyingParty, device_code: str) -> Any:
    return kiosk.token({"grant_type": DEVICE_CODE, "device_code": device_code})


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_a_device_gets_tokens_when_the_person_says_yes(world: World, kiosk, chen, clock):
    asked = begin(kiosk).json()
    assert error(poll(kiosk, asked["device_code"])) == (400, "authorization_pending")

    view = world.idp.devices.look_up(chen, asked["user_code"])
    assert isinstance(view, DeviceView)
    assert view.client.organisation_name == "示例市市场监督管理局"
    assert {claim.name for claim in view.claims} == {"name", "preferred_username", "locale"}
    answered = world.idp.devices.answer(chen, asked["user_code"], True, {"name"})
    assert isinstance(answered, DeviceAnswered)
    clock.advance(timedelta(seconds=5))
    tokens = poll(kiosk, asked["device_code"]).json()

    told = kiosk.userinfo(tokens["access_token"]).json()
    assert told.pop("updated_at") < clock().timestamp()
    assert told == {"sub": world.chen.id, "name": world.chen.name}
    assert world.verify(tokens["id_token"], audience="kiosk")["sub"] == world.chen.id
    assert kiosk.refresh(tokens["refresh_token"]).status_code == 200


def test_the_answer_to_the_device_has_everything_its_screen_needs(kiosk: RelyingParty):
    response = begin(kiosk)

    told = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert told["verification_uri"] == f"{ISSUER}/device"
    assert told["verification_uri_complete"] == f"{ISSUER}/device?user_code={told['user_code']}"
    assert (told["expires_in"], told["interval"]) == (600, 5)
    assert len(told["user_code"]) == 9
    assert told["user_code"][4] == "-"
    assert set(normal(told["user_code"])) <= set(ALPHABET)


def test_the_code_may_be_typed_in_any_case_with_or_without_the_dash(world, kiosk, chen):
    code = begin(kiosk).json()["user_code"]

    for typed in (code.lower(), code.replace("-", ""), f" {code[:4]} {code[5:]} "):
        assert isinstance(world.idp.devices.look_up(chen, typed), DeviceView)


def test_a_device_that_asks_too_often_is_slowed_down_for_good(kiosk: RelyingParty, clock):
    code = begin(kiosk).json()["device_code"]
    poll(kiosk, code)

    assert error(poll(kiosk, code)) == (400, "slow_down")
    clock.advance(timedelta(seconds=6))
    assert error(poll(kiosk, code)) == (400, "slow_down"), "five seconds became ten"
    clock.advance(timedelta(seconds=15))
    assert error(poll(kiosk, code)) == (400, "authorization_pending")


def test_a_no_is_told_to_the_device(world: World, kiosk, chen):
    asked = begin(kiosk).json()

    world.idp.devices.answer(chen, asked["user_code"], False)

    assert error(poll(kiosk, asked["device_code"])) == (400, "access_denied")
    assert world.entries("idp.device_answered")[0]["verdict"] == "denied"


def test_codes_expire(world: World, kiosk, chen, clock):
    asked = begin(kiosk).json()

    clock.advance(timedelta(minutes=10))

    assert error(poll(kiosk, asked["device_code"])) == (400, "expired_token")
    assert world.idp.devices.look_up(chen, asked["user_code"]) == DeviceRejected("unknown_code")


def test_a_device_code_gives_tokens_once(world: World, kiosk, chen, clock):
    asked = begin(kiosk).json()
    world.idp.devices.answer(chen, asked["user_code"], True)

    first, second = (poll(kiosk, asked["device_code"]) for _ in range(2))

    assert first.status_code == 200
    assert error(second) == (400, "invalid_grant")


def test_polls_at_the_same_moment_give_one_set_of_tokens(world: World, kiosk, chen):
    asked = begin(kiosk).json()
    world.idp.devices.answer(chen, asked["user_code"], True)
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": "kiosk"}

    kiosk.token({"grant_type": DEVICE_CODE, "device_code": "x"})  # brings a nonce
    proofs = [kiosk.prover.proof("POST", f"{ISSUER}/oauth/token") for _ in range(5)]

    answers = world.http.together(
        *(
            world.http.client.post("/oauth/token", data=form, headers={"dpop": proof})
            for proof in proofs
        )
    )

    assert [each.status_code for each in answers].count(200) == 1


def test_another_client_cannot_poll_with_the_code(world: World, kiosk, chen):
    other = world.client("other", grant_types=("authorization_code", DEVICE_CODE))
    asked = begin(kiosk).json()
    world.idp.devices.answer(chen, asked["user_code"], True)

    assert error(poll(other, asked["device_code"])) == (400, "invalid_grant")
    assert poll(kiosk, asked["device_code"]).status_code == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "openid identity"}, "invalid_scope"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"client_id": "nobody"}, "invalid_client"),
    ],
)
def test_a_device_cannot_ask_beyond_its_clients_registration(kiosk, form, code):
    assert begin(kiosk, **form).json()["error"] == code


def test_a_client_without_the_grant_is_refused(world: World, client: RelyingParty):
    form, headers = client.authenticated({"scope": "openid"})

    answer = world.http.post("/oauth/device", form, headers=headers)

    assert error(answer) == (400, "unauthorized_client")
    assert error(poll(client, "x")) == (400, "unauthorized_client")


def test_what_was_allowed_can_be_withdrawn_like_any_consent(world: World, kiosk, chen):
    asked = begin(kiosk).json()
    world.idp.devices.answer(chen, asked["user_code"], True)
    tokens = poll(kiosk, asked["device_code"]).json()

    assert [given.client.client_id for given in world.idp.consents(world.chen)] == ["kiosk"]
    world.idp.withdraw_consent(world.chen, "kiosk")

    assert kiosk.userinfo(tokens["access_token"]).status_code == 401


def test_nobody_answers_without_being_signed_in(world: World, kiosk: RelyingParty):
    code = begin(kiosk).json()["user_code"]

    assert world.idp.devices.look_up(None, code) == DeviceRejected("not_signed_in")
    assert world.idp.devices.answer("forged", code, True) == DeviceRejected("not_signed_in")


def test_the_first_person_who_types_a_code_owns_it(world: World, kiosk, chen):
    world.idp.people.add("wang", "王", PASSWORD, by=SYSTEM)
    wang = session_of(world, "wang")
    code = begin(kiosk).json()["user_code"]
    world.idp.devices.look_up(chen, code)

    assert world.idp.devices.answer(wang, code, True) == DeviceRejected("unknown_code")
    assert isinstance(world.idp.devices.answer(chen, code, True), DeviceAnswered)


def test_an_answer_is_given_once(world: World, kiosk, chen):
    code = begin(kiosk).json()["user_code"]
    world.idp.devices.answer(chen, code, False)

    assert world.idp.devices.answer(chen, code, True) == DeviceRejected("unknown_code")
