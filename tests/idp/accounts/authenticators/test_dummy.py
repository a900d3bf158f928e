"""A way to prove who one is that exists in this file alone, from its page to the ID token.

One file (the class), one row (`AUTHENTICATORS`), one template: nothing else knows of it, and it is
asked for, throttled, recorded and told to clients like the password.
"""

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from foundation.actor import SYSTEM
from idp import Idp
from idp.accounts.authenticators import AUTHENTICATORS
from idp.accounts.authenticators.interface import Asked, EnrolledCredential
from idp.accounts.flow import FLOW_LIFETIME
from idp.clients.mtls import ClientCertificates
from idp.protocol.acr import ACR_PASSWORD, ACR_TWO_FACTORS
from idp.store.attempts import FREE_FAILURES
from idp.token.grants import GRANTS
from idp.web import discovery
from server.services import assemble
from tests.idp.pages import add_page, app_of, authorize, context_of
from tests.idp.world import ISSUER, PASSWORD, REDIRECT_URI, RelyingParty, World
from tests.portal.surfer import Page, Surfer, query

STRONG = {"acr_values": ACR_TWO_FACTORS}
TEMPLATE = """
<input type="hidden" name="authenticator" value="dummy">
{% if shown.needs_name %}{{ m.input("username", t("signin.username"), username) }}{% endif %}
<p>Say it backwards: <b id="riddle">{{ shown.riddle }}</b></p>
{{ m.input("dummy_word", t("signin.by.dummy"), errors=errors) }}
<button type="submit">{{ t("signin.submit") }}</button>
"""
SENTENCES = {"signin.by.dummy": "A riddle", "signin.dummy_word_missing": "Say the word."}


class Dummy:
    """A device that says a riddle and its own word backwards; an answer counts once."""

    name = "dummy"
    amr = ("otp",)

    def __init__(self, *, begins: bool = False) -> None:
        self.begins = begins
        self.fields = ("username", "dummy_word") if begins else ("dummy_word",)
        self.enrolled: dict[str, list[EnrolledCredential]] = {}
        self.used: set[str] = set()

    def challenge(self, person, flow):
        riddle = flow.state.get("riddle") or secrets.token_hex(4)
        return Asked({"riddle": riddle, "needs_name": self.begins}, {"riddle": riddle})

    def verify(self, flow, answer, now):
        if answer["dummy_word"] == "no":
            return "denied"
        words = {self.word(flow.state.get("riddle", ""), each) for each in self.held(flow)}
        return "done" if answer["dummy_word"] in words else "again"

    def accept(self, tx, flow, answer, now):
        first = answer["dummy_word"] not in self.used
        self.used.add(answer["dummy_word"])
        return first

    def enrol(self, tx, person, credential, now):
        self.enrolled.setdefault(person.id, []).append(credential)

    def list(self, tx, account):
        return tuple(self.enrolled.get(account.person.id, ()))

    def remove(self, tx, person, credential_id):
        held = self.enrolled.pop(person.id, [])
        self.enrolled[person.id] = [each for each in held if each.id != credential_id]
        return held != self.enrolled[person.id]

    def held(self, flow):
        return flow.credentials.get(self.name, ())

    @staticmethod
    def word(riddle: str, credential: EnrolledCredential) -> str:
        return (riddle + credential.secret)[::-1]


KEY = EnrolledCredential("first", "chens-device")


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Dummy:
    row = Dummy()
    monkeypatch.setitem(AUTHENTICATORS, "dummy", row)
    return row


@pytest.fixture
def enrolled(dummy: Dummy, world: World) -> Dummy:
    enrol(dummy, world)
    return dummy


def enrol(dummy: Dummy, world: World) -> None:
    with world.database.write() as tx:
        dummy.enrol(tx, world.chen, KEY, world.clock())


def pages(idp: Idp, clock):
    context = context_of(idp, clock)
    add_page(context, "dummy", TEMPLATE, SENTENCES)
    return app_of(idp, context)


@pytest.fixture
def surfer(world: World, clock) -> Iterator[Surfer]:
    surfer = Surfer(pages(world.idp, clock), ISSUER)
    yield surfer
    surfer.close()


@pytest.fixture
def client(world: World) -> RelyingParty:
    return world.client(first_party=True)


def password(surfer: Surfer, page: Page, username: str = "chen", password: str = PASSWORD) -> Page:
    return surfer.send(page, page.path, username=username, password=password)


def riddle(page: Page) -> str:
    assert 'id="riddle"' in page.html, page.text
    return page.html.partition('id="riddle">')[2].partition("<")[0]


def word(page: Page) -> str:
    return Dummy.word(riddle(page), KEY)


def solve(surfer: Surfer, page: Page) -> Page:
    return surfer.send(page, page.path, dummy_word=word(page))


def arrived(surfer: Surfer) -> bool:
    return surfer.left.startswith(REDIRECT_URI) and "code" in query(surfer.left)


def reached(surfer: Surfer, client: RelyingParty) -> tuple[list[str], str]:
    """The methods and the level in the ID token of whoever arrived."""
    assert arrived(surfer), surfer.left
    tokens = client.exchange(query(surfer.left)["code"]).json()
    claims = client.world.verify(tokens["id_token"])
    return claims["amr"], claims["acr"]


# --- a whole sign-in ------------------------------------------------------------------------------


def test_a_dummy_is_asked_after_the_password_and_reaches_the_level(
    world: World, surfer: Surfer, client: RelyingParty, enrolled
):
    page = authorize(surfer, client, **STRONG)
    asked = password(surfer, page)
    assert asked.status == 200
    assert not arrived(surfer)

    again = surfer.send(asked, asked.path, dummy_word="wrong")
    assert again.status == 422
    assert riddle(again) == riddle(asked)

    empty = surfer.send(again, again.path, dummy_word="")
    assert (empty.status, "Say the word." in empty.text) == (422, True)

    solve(surfer, empty)

    assert reached(surfer, client) == (["pwd", "otp"], ACR_TWO_FACTORS)
    [continued] = world.entries("idp.sign_in_continued")
    [refused] = world.entries("idp.sign_in_refused")
    [signed_in] = world.entries("idp.signed_in")
    assert continued["details"] == {"amr": "pwd"}
    assert refused["verdict"] == "wrong_credentials"
    assert signed_in["details"] == {"amr": "pwd otp", "acr": ACR_TWO_FACTORS}


def test_discovery_tells_the_level_as_soon_as_the_row_is_there(world: World, monkeypatch):
    def levels():
        return discovery.metadata(ISSUER, GRANTS, ClientCertificates())["acr_values_supported"]

    assert levels() == [ACR_PASSWORD]
    monkeypatch.setitem(AUTHENTICATORS, "dummy", Dummy())
    assert levels() == [ACR_PASSWORD, ACR_TWO_FACTORS]


def test_who_has_none_signs_in_by_password_and_reaches_what_that_reaches(
    surfer: Surfer, client: RelyingParty, dummy
):
    password(surfer, authorize(surfer, client, **STRONG))

    assert reached(surfer, client) == (["pwd"], ACR_PASSWORD)


def test_nobody_is_asked_for_more_than_the_client_wants(surfer: Surfer, client, enrolled):
    password(surfer, authorize(surfer, client))

    assert reached(surfer, client) == (["pwd"], ACR_PASSWORD)


def test_what_was_removed_is_no_longer_asked(world: World, surfer: Surfer, client, enrolled):
    with world.database.write() as tx:
        assert enrolled.remove(tx, world.chen, KEY.id)
        assert not enrolled.remove(tx, world.chen, KEY.id)

    password(surfer, authorize(surfer, client, **STRONG))

    assert reached(surfer, client) == (["pwd"], ACR_PASSWORD)


# --- a choice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False], ids=["our own pages", "a client"])
def test_where_several_may_begin_the_person_chooses(
    world: World, surfer: Surfer, client: RelyingParty, monkeypatch, own
):
    row = Dummy(begins=True)
    monkeypatch.setitem(AUTHENTICATORS, "dummy", row)
    enrol(row, world)

    page = surfer.get("/signin") if own else authorize(surfer, client)
    [form] = [each for each in page.forms if each.action == page.path]
    assert form.buttons == [("choose", "password"), ("choose", "dummy")]
    asked = surfer.send(page, page.path, ("choose", "dummy"))
    assert riddle(surfer.get(page.path)) == riddle(asked)
    wrong = surfer.send(asked, asked.path, username="chen", dummy_word="wrong")
    assert (wrong.status, riddle(wrong)) == (422, riddle(asked))
    surfer.send(wrong, wrong.path, username="chen", dummy_word=word(wrong))

    assert world.entries("idp.signed_in")[-1]["details"]["amr"] == "otp"
    assert world.idp.session(surfer.cookies["__Host-yz_session"])
    assert own or reached(surfer, client) == (["otp"], ACR_PASSWORD)


# --- a restart, a second tab, the back button -----------------------------------------------------


def test_a_sign_in_survives_a_restart(
    world: World, surfer: Surfer, client: RelyingParty, enrolled, keys, ledger, clock
):
    asked = password(surfer, authorize(surfer, client, **STRONG))

    restarted = assemble(
        database=world.database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger
    ).idp
    surfer._client._transport = httpx.ASGITransport(pages(restarted, clock))
    found = surfer.get(asked.path)
    assert riddle(found) == riddle(asked)
    solve(surfer, found)

    assert reached(surfer, client) == (["pwd", "otp"], ACR_TWO_FACTORS)
    restarted.close()


def test_a_second_tab_stands_where_the_first_one_does(surfer: Surfer, client, enrolled):
    first = password(surfer, authorize(surfer, client, **STRONG))
    second = surfer.get(first.path)
    assert riddle(second) == riddle(first)

    solve(surfer, first)
    assert arrived(surfer)

    surfer.left = ""
    late = surfer.send(second, second.path, dummy_word=word(second))  # what it answers is over
    assert not arrived(surfer)
    assert late.form(late.path).value("username") == ""


def test_two_requests_in_two_tabs_are_two_flows(surfer: Surfer, client: RelyingParty, enrolled):
    one, two = (authorize(surfer, client, **STRONG) for _ in range(2))
    asked_one, asked_two = password(surfer, one), password(surfer, two)
    assert riddle(asked_one) != riddle(asked_two)

    for asked in (asked_two, asked_one):
        surfer.left = ""
        solve(surfer, asked)
        assert arrived(surfer)


def test_the_back_button_brings_a_form_that_still_works(surfer: Surfer, client, enrolled):
    page = authorize(surfer, client, **STRONG)
    asked = password(surfer, page)

    again = password(surfer, page)  # back, and the password once more
    assert riddle(again) != riddle(asked)
    assert surfer.send(asked, asked.path, dummy_word=word(asked)).status == 422
    solve(surfer, again)

    assert reached(surfer, client) == (["pwd", "otp"], ACR_TWO_FACTORS)


def test_what_one_account_proved_is_not_carried_over_to_another(
    world: World, surfer: Surfer, client: RelyingParty, enrolled
):
    world.idp.people.add("mallory", "马", PASSWORD, by=SYSTEM)
    page = authorize(surfer, client, **STRONG)
    password(surfer, page, "mallory")  # who has nothing else, and is signed in
    surfer.left = ""
    page = authorize(surfer, client, **STRONG, prompt="login")
    password(surfer, page, "mallory", "wrong")

    sent = {**dict(surfer.get(page.path).form(page.path).values), "authenticator": "dummy"}
    for changes in ({"username": "chen"}, {}):
        answer = surfer.post(page.path, {**sent, "dummy_word": "x", **changes})
        assert 'id="riddle"' not in answer.html
    assert not arrived(surfer)


def test_a_step_is_worth_nothing_after_ten_minutes(surfer: Surfer, client, clock, enrolled):
    asked = password(surfer, authorize(surfer, client, **STRONG))
    clock.advance(FLOW_LIFETIME + timedelta(seconds=1))

    late = solve(surfer, asked)

    assert not arrived(surfer)
    assert late.form(late.path).value("username") == ""


def test_where_a_sign_in_stands_names_nobody_in_the_database(
    world: World, surfer: Surfer, client: RelyingParty, enrolled
):
    asked = password(surfer, authorize(surfer, client, **STRONG))

    with world.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT * FROM interactions").all()
    kept = json.dumps([list(map(repr, row)) for row in rows])
    assert "chen" not in kept
    assert riddle(asked) not in kept


# --- guessing -------------------------------------------------------------------------------------


def test_a_known_password_buys_no_free_guesses_at_the_second_step(
    surfer: Surfer, client: RelyingParty, enrolled
):
    page = authorize(surfer, client, **STRONG)
    statuses = []
    for _ in range(FREE_FAILURES):
        asked = password(surfer, page)
        statuses.append(surfer.send(asked, asked.path, dummy_word="guess").status)

    assert statuses == [422] * FREE_FAILURES
    assert password(surfer, page).status == 429


def test_whoever_says_no_starts_over(surfer: Surfer, client: RelyingParty, enrolled):
    asked = password(surfer, authorize(surfer, client, **STRONG))

    denied = surfer.send(asked, asked.path, dummy_word="no")

    assert denied.status == 422
    assert denied.form(denied.path).value("username") == ""
    assert 'id="riddle"' not in surfer.get(asked.path).html


def test_what_counts_once_counts_once(surfer: Surfer, client: RelyingParty, enrolled):
    asked = password(surfer, authorize(surfer, client, **STRONG))
    enrolled.used.add(word(asked))  # somebody else was faster

    assert solve(surfer, asked).status == 422
    assert not arrived(surfer)


def test_a_form_for_something_that_is_no_row_starts_over(surfer: Surfer, client, enrolled):
    page = authorize(surfer, client)
    sent = {**dict(page.form(page.path).values), "authenticator": "nothing"}

    assert 'name="password"' in surfer.post(page.path, sent).html
    assert 'name="password"' in surfer.post(page.path, {**sent, "choose": "nothing"}).html
