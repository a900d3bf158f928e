"""Signing in another device by its code, and seeing which services were told of a sign-out."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from foundation.actor import SYSTEM
from idp import Client
from idp.models import logout_notices
from server.assembly import Installation
from server.sandbox import seeds
from tests.portal.conftest import ORIGIN, Browse

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
NAME = {"zh-Hans": "办事大厅自助机", "zh-Hant": "辦事大廳自助機", "en": "Service hall kiosk"}


@pytest.fixture(scope="module")
def kiosk(house: Installation) -> str:
    client = Client(
        client_id="hall-kiosk",
        name=NAME,
        purpose={"zh-Hans": "打印证照", "zh-Hant": "列印證照", "en": "Print certificates"},
        organisation="11990000MB1A0001XX",
        organisation_name="示例市政务服务中心",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=(DEVICE_CODE,),
        scopes=("openid", "profile"),
        claims=("name", "preferred_username", "locale"),
    )
    return house.idp.clients.add(client, by=SYSTEM).client_id


@pytest.fixture
def asked(app, kiosk: str) -> dict[str, Any]:
    """What the kiosk was told when it began."""

    async def begin() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            form = {"client_id": kiosk, "scope": "openid profile"}
            return await http.post("/oauth/device", data=form)

    return asyncio.run(begin()).json()


def test_32_the_page_shows_whose_device_asks_what_for_and_as_whom_before_anything_happens(
    browse: Browse, asked
):
    surfer = browse("lin")

    page = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"])

    assert page.status == 200
    for words in (
        *("Service hall kiosk", "示例市政务服务中心", "Print certificates"),
        *(asked["user_code"], "If somebody sent or told you this code"),
    ):
        assert words in page.text


def test_a_yes_signs_the_device_in_and_a_no_does_not(browse: Browse, asked):
    surfer = browse("lin")
    page = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"])

    done = surfer.send(page, "/device/answer", ("decision", "allow"))
    again = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"])

    assert "Go on at the device" in done.text
    assert again.status == 422, "an answered code is like an unknown one"


def test_a_session_that_ended_before_the_answer_leads_back_to_the_code(browse: Browse, asked):
    surfer = browse("lin")
    question = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"])
    surfer.send(surfer.get("/me"), "/signout")

    signin = surfer.send(question, "/device/answer", ("decision", "allow"))
    back = surfer.send(signin, "/signin", username="lin", password=seeds.PASSWORD)

    assert (signin.path, back.path) == ("/signin", "/device")
    assert back.form("/device").value("user_code").replace("-", "") == asked["user_code"].replace(
        "-", ""
    )


def test_a_no_says_that_nothing_was_told(browse: Browse, asked):
    surfer = browse("lin")
    page = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"].lower())

    done = surfer.send(page, "/device/answer", ("decision", "deny"))

    assert "learnt nothing about you" in done.text


def test_the_code_in_the_address_is_only_filled_in(browse: Browse, asked):
    surfer = browse("lin")

    page = surfer.get(asked["verification_uri_complete"].removeprefix(ORIGIN))

    assert page.form("/device").value("user_code") == asked["user_code"]
    assert "Service hall kiosk" not in page.text


def test_the_address_leads_through_the_sign_in_page_and_back(browse: Browse, asked):
    surfer = browse()

    page = surfer.get(asked["verification_uri_complete"].removeprefix(ORIGIN))
    page = surfer.send(page, "/signin", username="lin", password=seeds.PASSWORD)

    assert page.path.startswith("/device")


@pytest.mark.parametrize("code", ["", "BBBB-BBBB"])
def test_a_code_nobody_waits_with_says_what_to_do_and_stays_in_the_form(browse: Browse, code: str):
    surfer = browse("adams")

    page = surfer.send(surfer.get("/device"), "/device", user_code=code)

    assert page.status == 422
    assert page.form("/device").value("user_code") == code


def test_whoever_signed_in_nowhere_reads_that_nobody_had_to_be_told(browse: Browse):
    page = browse("lin").get("/me/sign-outs")

    assert "No service had to be told" in page.text


def test_a_service_that_did_not_confirm_is_named_with_what_to_do(
    browse: Browse, house: Installation, kiosk
):
    reader = house.idp.people.find("adams")
    assert reader
    given_up = {"given_up_at": house.clock(), "problem": "the service answered 503"}
    with house.database.write() as tx:
        tx.execute(
            insert(logout_notices).values(
                id="n-1",
                client_id=kiosk,
                person_id=reader.id,
                sid="s-1",
                created_at=house.clock(),
                attempts=8,
                **given_up,
            )
        )

    page = browse("adams").get("/me/sign-outs")

    assert "Service hall kiosk" in page.text
    assert "Did not confirm" in page.text
    assert "sign out there yourself" in page.text
    assert "503" not in page.text
