"""Services are told of a sign-out through the browser (OpenID Connect Front-Channel Logout 1.0)."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from idp.accounts.frontchannel import SigningOut
from idp.protocol.errors import InvalidClientMetadata
from tests.idp.world import ISSUER, LOGGED_OUT_URI, REDIRECT_URI, RelyingParty, World

URI = "https://food.example.gov.cn/leave?from=idp"


def told(world: World, client_id: str, **changes) -> RelyingParty:
    return world.client(client_id, frontchannel_logout_uri=URI, **changes)


def signed_out(world: World, *clients: RelyingParty, **params: str) -> tuple[str, list[dict]]:
    """Where a browser goes that visited the clients and is signed out by the first."""
    browser = world.browser()
    hints = [each.exchange(each.code(browser)).json()["id_token"] for each in clients]
    answer = browser.get("/oauth/logout", {"id_token_hint": hints[0], **params})
    read = [jwt.decode(each, options={"verify_signature": False}) for each in hints]
    assert world.idp.session(browser.session_id) is None
    return answer.headers["location"], read


def page(world: World, location: str) -> SigningOut:
    assert location.startswith("/signed-out/")
    shown = world.idp.front_channel.page(location.rpartition("/")[2])
    assert shown is not None
    return shown


def test_iss_and_sid_go_to_those_that_need_them_and_the_way_leads_on(world: World):
    plain = told(world, "plain")
    needs = told(world, "needs", frontchannel_logout_session_required=True)

    location, [claims, _] = signed_out(
        world, plain, needs, post_logout_redirect_uri=LOGGED_OUT_URI, state="s"
    )

    shown = page(world, location)
    addresses = {each.client.client_id: each.uri for each in shown.services}
    assert addresses["plain"] == URI
    query = parse_qs(urlsplit(addresses["needs"]).query)
    assert query == {"from": ["idp"], "iss": [ISSUER], "sid": [claims["sid"]]}
    assert shown.redirect_to == f"{LOGGED_OUT_URI}?state=s"
    assert claims["sid"] not in location
    assert {each.origin for each in shown.services} == {"https://food.example.gov.cn"}


def test_only_who_was_visited_and_is_not_disabled_is_told(world: World):
    from foundation.actor import SYSTEM

    visited, disabled = told(world, "visited"), told(world, "disabled")
    told(world, "never-visited")

    location, _ = signed_out(world, visited, disabled, world.client("wants-nothing"))
    world.idp.clients.disable("disabled", by=SYSTEM)

    assert [each.client.client_id for each in page(world, location).services] == ["visited"]


def test_without_such_a_service_the_way_is_as_before(world: World, client: RelyingParty):
    location, _ = signed_out(world, client, post_logout_redirect_uri=LOGGED_OUT_URI)

    assert location == LOGGED_OUT_URI


def test_after_the_question_too_and_beside_the_back_channel(world: World):
    client = told(world, "both", backchannel_logout_uri="https://food.example.gov.cn/back")
    browser = world.browser()
    client.exchange(client.code(browser))

    asked = browser.get("/oauth/logout", {"client_id": client.id})
    logout_id = parse_qs(urlsplit(asked.headers["location"]).query)["logout"][0]
    way = world.idp.finish_logout(logout_id, browser.session_id)

    assert [each.uri for each in page(world, way or "").services] == [URI]
    assert [each.client.client_id for each in world.idp.notices.of(world.chen)] == ["both"]


def test_the_page_is_there_for_minutes_and_is_no_sign_out_that_was_kept(world: World, clock):
    location, _ = signed_out(world, told(world, "told"))
    name = location.rpartition("/")[2]

    other = world.browser().get("/oauth/logout", {"interaction": name})
    assert other.status_code == 303, "a name of another kind is no name"
    clock.advance(timedelta(minutes=6))
    assert world.idp.front_channel.page(name) is None
    assert world.idp.front_channel.page("guessed") is None


@pytest.mark.parametrize(
    "uri",
    [
        "https://else.example.gov.cn/leave",
        "http://food.example.gov.cn/leave",
        "https://food.example.gov.cn:8443/leave",
        "https://food.example.gov.cn.evil.example/leave",
        "https://food.example.gov.cn;script-src/leave",
        "https://food.example.gov.cn/leave#here",
        "https://user@food.example.gov.cn/leave",
        "javascript:alert(1)",
        "com.example.app:/leave",
    ],
)
def test_an_address_elsewhere_is_not_registered(world: World, uri: str):
    redirects = (REDIRECT_URI, "com.example.app:/callback")

    with pytest.raises(InvalidClientMetadata) as refused:
        world.client("wrong", redirect_uris=redirects, frontchannel_logout_uri=uri)

    assert "/frontchannel_logout_uri" in {each.pointer for each in refused.value.errors}


def test_it_is_told_in_the_metadata(world: World):
    said = world.http.get("/.well-known/openid-configuration").json()

    assert said["frontchannel_logout_supported"] is True
    assert said["frontchannel_logout_session_supported"] is True
