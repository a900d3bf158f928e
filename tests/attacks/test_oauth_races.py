"""Attack 50 at the provider: two at the same moment, and one of them is too late."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event, func, select

from foundation.actor import SYSTEM
from foundation.database import Database
from idp import DeviceAnswered, DeviceView
from idp.authorize.rules import Consent, Granted, RequestRefused
from idp.models import token_families
from idp.protocol.errors import InvalidToken
from idp.store import families
from idp.token.grants.authorization_code import AuthorizationCode
from idp.token.grants.refresh import RefreshToken
from idp.token.tokens import Grant
from tests.idp.clients.test_registration import BOUNDS, DOCUMENT
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import PASSWORD, RelyingParty, World

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
MANY = 8


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Each in a thread of its own; an exception is an outcome too."""

    def outcome(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except InvalidToken as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(outcome, acts))


def test_50_nobody_who_asks_after_a_revocation_was_answered_hears_that_the_token_counts(
    world: World,
    client: RelyingParty,
):
    token = client.tokens()["access_token"]
    form, headers = client.authenticated({"token": token})
    ask = lambda: world.http.client.post("/oauth/introspect", data=form, headers=headers)  # noqa: E731

    async def race() -> tuple[list[bool], list[bool]]:
        early = [asyncio.ensure_future(ask()) for _ in range(20)]
        revoked = await world.http.client.post("/oauth/revoke", data=form, headers=headers)
        assert revoked.status_code == 200
        late = await asyncio.gather(*(ask() for _ in range(20)))
        during = await asyncio.gather(*early)
        return [each.json()["active"] for each in during], [each.json()["active"] for each in late]

    during, late = world.runner.run(race())

    assert set(during) <= {True, False}
    assert set(late) == {False}


@contextmanager
def meanwhile(database: Database, statement: str, act: Callable[[], Any]) -> Iterator[None]:
    """Just before the statement somebody else acts: at once, or when whoever is first is done."""
    acting: list[Thread] = []

    def before(_connection: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if text.startswith(statement) and not acting:
            acting.append(Thread(target=act))
            acting[0].start()
            acting[0].join(0.5)

    event.listen(database.engine, "before_cursor_execute", before)
    yield
    event.remove(database.engine, "before_cursor_execute", before)
    acting[0].join()


@pytest.mark.parametrize("what", ["session", "consent"])
def test_50_a_code_made_while_what_it_stands_on_ends_is_worth_nothing(world: World, client, what):
    browser = world.browser()
    client.code(browser)
    end = {
        "session": lambda: world.idp.end_session(browser.session_id),
        "consent": lambda: world.idp.withdraw_consent(world.chen, client.id),
    }

    with meanwhile(world.database, 'INSERT INTO "token_families"', end[what]):
        answer = browser.authorize(client.request())

    response = client.exchange(answer.params["code"])
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


def while_hashing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """The next password is looked at for as long as `act` takes."""
    verify = PasswordHasher.verify

    def slowly(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
        monkeypatch.setattr(PasswordHasher, "verify", verify)
        act()
        return verify(hasher, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", slowly)


def test_50_a_consent_withdrawn_while_a_password_is_looked_at_is_relied_on_by_no_code(
    world: World, client: RelyingParty, monkeypatch
):
    """It was read before the slow hash."""
    client.code()
    browser = world.browser()
    asked = browser.authorize(client.request())

    while_hashing(monkeypatch, lambda: world.idp.withdraw_consent(world.chen, client.id))
    came = browser.sign_in(asked.interaction_id).next

    assert isinstance(came, Consent)
    assert world.idp.consents(world.chen) == []


def test_50_a_consent_withdrawn_while_a_password_makes_a_code_takes_the_code_with_it(
    world: World, client: RelyingParty
):
    client.code()
    browser = world.browser()
    asked = browser.authorize(client.request())
    withdraw = partial(world.idp.withdraw_consent, world.chen, client.id)

    with meanwhile(world.database, "UPDATE interactions", withdraw):
        came = browser.sign_in(asked.interaction_id).next

    assert isinstance(came, Granted)
    refused = client.exchange(dict(came.parameters)["code"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert world.idp.consents(world.chen) == []


def test_50_a_consent_given_anew_while_a_password_is_looked_at_is_the_one_that_counts(
    world: World, client: RelyingParty, monkeypatch
):
    client.code()
    tab, browser = world.browser(), world.browser()
    shown = tab.authorize(client.request(prompt="consent"))
    tab.sign_in(shown.interaction_id)
    asked = browser.authorize(client.request())

    def allow_less() -> None:
        said = (shown.interaction_id, tab.session_id, True, frozenset[str]())
        world.idp.decide_consent(*said, browser=tab.id)

    while_hashing(monkeypatch, allow_less)
    came = browser.sign_in(asked.interaction_id).next

    assert isinstance(came, Granted)
    token = client.exchange(dict(came.parameters)["code"]).json()["access_token"]
    assert client.userinfo(token).json().keys() == {"sub"}


def test_50_a_session_that_ends_while_its_person_signs_in_again_is_not_continued(
    world: World, client: RelyingParty, monkeypatch
):
    browser = world.browser()
    tokens = client.exchange(client.code(browser, scope="openid")).json()
    before = world.idp.session(browser.session_id)
    asked = browser.authorize(client.request(prompt="login"))

    while_hashing(monkeypatch, partial(world.idp.end_session, browser.session_id))
    browser.sign_in(asked.interaction_id)

    after = world.idp.session(browser.session_id)
    assert before is not None
    assert after is not None
    assert after.sid != before.sid
    assert client.introspect(tokens["access_token"]) == {"active": False}


def test_50_a_pushed_request_that_two_browsers_bring_with_a_stored_consent_makes_one_code(
    world: World,
):
    client = world.client(profile="fapi2", token_endpoint_auth_method="private_key_jwt")
    client.code()
    pushed = client.push(client.request())
    browsers = [world.browser() for _ in range(2)]
    asked = [browser.authorize(pushed) for browser in browsers]
    families_before = stored_families(world)

    came = [
        browser.sign_in(answer.interaction_id).next
        for browser, answer in zip(browsers, asked, strict=True)
    ]

    assert [type(each) for each in came] == [Granted, RequestRefused]
    assert stored_families(world) == families_before + 1


def stored_families(world: World) -> int:
    with world.database.read() as tx:
        return tx.execute(select(func.count()).select_from(token_families)).scalar_one()


def test_50_a_yes_said_while_its_session_ends_is_worth_nothing(world: World):
    kiosk = world.client("kiosk", redirect_uris=(), grant_types=(DEVICE_CODE,))
    asked = kiosk.post("/oauth/device", {"scope": "openid"}).json()
    session = world.sign_in("chen").session_id

    with meanwhile(world.database, "UPDATE device_codes", lambda: world.idp.end_session(session)):
        world.idp.devices.answer(session, asked["user_code"], True)

    poll = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"]}
    assert kiosk.token(poll).json()["error"] == "access_denied"


def test_50_processes_that_redeem_the_same_codes_in_any_order_spend_each_once(
    client, idp, database, clock
):
    """Each thread stands for a process: the others know nothing of its transaction."""
    now = clock()
    forms = []
    for _ in range(6):
        code = client.code()
        forms.append(
            {"code": code, "redirect_uri": client.registered.redirect_uris[0]}
            | {"code_verifier": client.verifier}
        )
    codes = AuthorizationCode(database, idp.tokens, idp.clients)
    asked = [codes.check(form, client.registered, {}, now) for form in forms]

    def redeem(requests):
        with database.write() as tx:
            return codes.redeem(tx, requests)

    orders = [asked, asked[::-1], asked[3:] + asked[:3]]
    outcomes = at_once([partial(redeem, each) for each in orders])

    kinds = Counter(type(each).__name__ for batch in outcomes for each in batch)
    assert kinds == {"Grant": 6, "NotRedeemed": 12}
    with database.read() as tx:
        named = families.families(tx, [each.family for each in asked])
    assert [family.revoked for family in named.values()] == [True] * 6


def test_50_processes_that_rotate_the_same_refresh_tokens_give_out_the_same_successors(
    client, idp, database, clock
):
    now = clock()
    tokens = [client.tokens()["refresh_token"] for _ in range(4)]
    refreshing = RefreshToken(database, idp.tokens, idp.clients)
    asked = [
        refreshing.check({"refresh_token": token}, client.registered, {}, now) for token in tokens
    ]

    def redeem(requests):
        with database.write() as tx:
            redeemed = refreshing.redeem(tx, requests)
        return [each.refresh_token for each in redeemed if isinstance(each, Grant)]

    forwards, backwards = at_once([lambda: redeem(asked), lambda: redeem(asked[::-1])])

    assert forwards == backwards[::-1]
    assert len({*tokens, *forwards}) == 8


def test_50_an_initial_access_token_for_one_registration_makes_one(world: World):
    register, token = (
        world.idp.registrations.register,
        world.idp.registrations.allow(BOUNDS, by=SYSTEM),
    )

    outcomes = at_once([lambda: register(token, DOCUMENT)] * MANY)

    kinds = Counter(type(each).__name__ for each in outcomes)
    assert kinds == {"Registered": 1, "InvalidToken": MANY - 1}
    assert len(world.idp.clients.all(BOUNDS.organisation)) == 1


@pytest.fixture
def waiting(world: World) -> str:
    """The code of a device that waits."""
    world.client(
        "kiosk",
        profile="public",
        token_endpoint_auth_method="none",
        redirect_uris=(),
        grant_types=(DEVICE_CODE,),
    )
    form = {"client_id": "kiosk", "scope": "openid"}
    return world.http.post("/oauth/device", form).json()["user_code"]


def test_50_a_device_code_that_many_people_type_belongs_to_one_of_them(
    world: World,
    waiting: str,
):
    names = [f"person-{at}" for at in range(4)]
    for name in names:
        world.idp.people.add(name, name, PASSWORD, by=SYSTEM)
    sessions = [world.sign_in(name).session_id for name in names]

    found = at_once([partial(world.idp.devices.look_up, s, waiting) for s in sessions])

    assert sum(isinstance(each, DeviceView) for each in found) == 1


def test_50_yes_and_no_at_the_same_moment_is_one_answer(world: World, waiting: str):
    session = world.sign_in("chen").session_id
    answer = world.idp.devices.answer

    said = at_once([partial(answer, session, waiting, yes) for yes in (True, False) * 2])

    assert sum(isinstance(each, DeviceAnswered) for each in said) == 1
    assert len(world.entries("idp.device_answered")) == 1
