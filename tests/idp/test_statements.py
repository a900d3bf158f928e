"""What a password costs the database: one read, one transaction from the counter to the code."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from foundation.actor import SYSTEM
from idp import Denied
from idp.accounts.authenticators import AUTHENTICATORS
from idp.authorize.rules import Consent
from idp.protocol.acr import ACR_TWO_FACTORS
from idp.protocol.profiles import must_push
from idp.store.attempts import FREE_FAILURES
from tests.idp.accounts.authenticators import test_dummy
from tests.idp.pages import app_of, authorize, context_of
from tests.idp.world import PASSWORD, RelyingParty, World
from tests.plans import commits, everything
from tests.portal.surfer import Page, Surfer, query
from tests.simulators.clock import MovableClock

MOST = 10
SIGNING_OUT = 9


@pytest.fixture
def surfer(world: World, clock) -> Iterator[Surfer]:
    surfer = Surfer(app_of(world.idp, context_of(world.idp, clock)), world.idp.issuer)
    yield surfer
    surfer.close()


def known_client(world: World, variant: "Variant") -> RelyingParty:
    """A client that nobody has to be asked about: our own, or one that was agreed to before."""
    changes: dict[str, Any] = {"first_party": variant.own}
    if variant.pushed:
        changes |= {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt"}
    client = world.client(**changes)
    if variant.username == "wang":
        world.idp.people.add(
            "wang",
            "王芳",
            PASSWORD,
            by=SYSTEM,
            organisation="11990000MB1A0001XD",
            roles=["drafter"],
        )
        agree(world, client, "wang")
    agree(world, client, "chen")
    return client


def agree(world: World, client: RelyingParty, username: str) -> None:
    """Sign in and say yes in another browser."""
    browser = world.browser()
    params = client.request()
    asked = browser.authorize(client.push(params) if must_push(client.registered) else params)
    came = browser.sign_in(asked.interaction_id, username).next
    if isinstance(came, Consent):
        session = browser.session_id
        world.idp.decide_consent(asked.interaction_id, session, True, browser=browser.id)


def counted(world: World, act: Callable[[], object]) -> tuple[list[str], int]:
    """The statements that `act` sends, and how many transactions it commits."""
    committed = []
    said = everything(world.database, lambda: committed.append(commits(world.database, act)))
    return said, committed[0]


def answer(surfer: Surfer, page: Page, password: str, username: str = "chen") -> Page:
    return surfer.send(page, page.path, username=username, password=password)


@dataclass(frozen=True)
class Variant:
    """One way in which a password arrives, for a client of ours (`own`) or one agreed to before.

    `before` has happened when the form is filled in; `changes` are parameters of the request.
    """

    own: bool = False
    pushed: bool = False
    before: tuple[Callable[[World, Surfer, RelyingParty], object], ...] = ()
    changes: Mapping[str, str] = field(default_factory=dict)
    username: str = "chen"
    password: str = PASSWORD
    code: bool = True


def signed_in(world: World, surfer: Surfer, client: RelyingParty) -> None:
    """The browser has a session of the same person."""
    answer(surfer, authorize(surfer, client), PASSWORD)
    assert "code" in query(surfer.left)


def ended_elsewhere(world: World, surfer: Surfer, client: RelyingParty) -> None:
    """The browser has a cookie of a session that is over."""
    signed_in(world, surfer, client)
    world.idp.end_session(surfer.cookies["__Host-yz_session"])


def mistyped(world: World, surfer: Surfer, client: RelyingParty) -> None:
    """There are failures to forget."""
    assert world.idp.sign_in("chen", "mistyped") == Denied("wrong_credentials")


def locked(world: World, surfer: Surfer, client: RelyingParty) -> None:
    for _ in range(FREE_FAILURES):
        mistyped(world, surfer, client)


def second_tab(world: World, surfer: Surfer, client: RelyingParty) -> None:
    """Another tab has asked too, and is answered later."""
    authorize(surfer, client, prompt="login")


def withdrawn(world: World, surfer: Surfer, client: RelyingParty) -> None:
    world.idp.withdraw_consent(world.chen, client.id)


AGAIN = {"prompt": "login"}
TWO_FACTORS = {"acr_values": ACR_TWO_FACTORS}
ESSENTIAL = {
    "claims": json.dumps({"id_token": {"acr": {"essential": True, "values": [ACR_TWO_FACTORS]}}})
}
VARIANTS = {
    "our own": Variant(own=True),
    "our own, pushed": Variant(own=True, pushed=True),
    "agreed": Variant(),
    "agreed, pushed": Variant(pushed=True),
    "not agreed": Variant(pushed=True, before=(withdrawn,), code=False),
    "after a mistake": Variant(pushed=True, before=(mistyped,)),
    "again": Variant(before=(signed_in,), changes=AGAIN),
    "again, pushed": Variant(pushed=True, before=(signed_in,), changes=AGAIN),
    "again, after a mistake": Variant(pushed=True, before=(signed_in, mistyped), changes=AGAIN),
    "again, nothing agreed": Variant(
        pushed=True, before=(signed_in, withdrawn, mistyped), changes=AGAIN, code=False
    ),
    "again, signed out elsewhere": Variant(
        pushed=True, before=(ended_elsewhere, mistyped), changes=AGAIN
    ),
    "too long ago": Variant(pushed=True, before=(signed_in,), changes={"max_age": "0"}),
    "a stronger level wished": Variant(pushed=True, before=(signed_in,), changes=TWO_FACTORS),
    "a stronger level insisted on": Variant(
        pushed=True, before=(mistyped,), changes=ESSENTIAL, code=False
    ),
    "the second of two tabs": Variant(
        pushed=True, before=(second_tab, signed_in, mistyped), changes=AGAIN
    ),
    "an officer": Variant(own=True, pushed=True, username="wang"),
    "an officer, agreed": Variant(pushed=True, username="wang"),
    "wrong": Variant(password="wrong", code=False),
    "wrong, pushed": Variant(pushed=True, password="wrong", code=False),
    "wrong again": Variant(pushed=True, before=(mistyped,), password="wrong", code=False),
    "wrong, in a session": Variant(
        pushed=True, before=(signed_in, mistyped), changes=AGAIN, password="wrong", code=False
    ),
    "nobody": Variant(pushed=True, username="nobody", code=False),
    "too soon": Variant(pushed=True, before=(locked,), code=False),
    "too soon, in a session": Variant(
        pushed=True, before=(signed_in, locked), changes=AGAIN, code=False
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_password_is_one_transaction_and_at_most_ten_statements(
    world: World, surfer: Surfer, name
):
    """From the form to the code, however it arrives."""
    variant = VARIANTS[name]
    client = known_client(world, variant)
    for act in variant.before:
        act(world, surfer, client)
    page = authorize(surfer, client, **variant.changes)
    surfer.follows = False

    said, committed = counted(
        world, lambda: answer(surfer, page, variant.password, variant.username)
    )

    assert len(said) <= MOST, "\n".join(each[:60] for each in said)
    assert committed == 1
    assert ("code" in query(surfer.left)) == variant.code
    for table in ("interactions", "clients"):
        assert sum(each.startswith("SELECT") and f"FROM {table}" in each for each in said) <= 1


def test_each_step_of_a_stronger_sign_in_is_one_transaction_and_at_most_ten_statements(
    world: World, clock, monkeypatch
):
    """Signed in by password, asked for more: the password again, then what was enrolled."""
    monkeypatch.setitem(AUTHENTICATORS, "dummy", test_dummy.Dummy())
    test_dummy.enrol(AUTHENTICATORS["dummy"], world)
    surfer = Surfer(test_dummy.pages(world.idp, clock), world.idp.issuer)
    client = known_client(world, Variant(pushed=True))
    signed_in(world, surfer, client)
    page = authorize(surfer, client, **ESSENTIAL)
    mistyped(world, surfer, client)
    pages = []
    steps = (
        lambda: pages.append(answer(surfer, page, PASSWORD)),
        lambda: pages.append(test_dummy.solve(surfer, pages[0])),
    )

    counts = [counted(world, step) for step in steps]

    assert "code" in query(surfer.left)
    assert [committed for _, committed in counts] == [1, 1]
    assert [len(said) <= MOST for said, _ in counts] == [True, True], counts
    surfer.close()


def test_whoever_takes_over_a_browser_ends_the_session_before_in_the_same_transaction(
    world: World, surfer: Surfer
):
    """That is a sign-out of somebody else as well, with a ledger entry of its own: what grew out of
    the session ends before anything is answered, so this costs more."""
    variant = Variant(pushed=True, before=(signed_in,), username="wang")
    client = known_client(world, variant)
    client.code()
    signed_in(world, surfer, client)
    page = authorize(surfer, client, **AGAIN)
    surfer.follows = False

    said, committed = counted(world, lambda: answer(surfer, page, PASSWORD, "wang"))

    assert committed == 1
    assert len(said) <= MOST + SIGNING_OUT, "\n".join(each[:60] for each in said)


def test_the_clock_is_read_once_for_a_password(world: World, surfer: Surfer, monkeypatch):
    client = world.client()
    client.code()
    page = authorize(surfer, client)
    read = []
    tell = MovableClock.__call__

    def counted(clock: MovableClock):
        read.append(1)
        return tell(clock)

    monkeypatch.setattr(MovableClock, "__call__", counted, raising=True)

    for password in ("wrong", PASSWORD):
        read.clear()
        answer(surfer, page, password)
        assert len(read) == 1


def test_the_way_in_is_the_same_for_the_portals_own_pages(world: World, surfer: Surfer):
    page = surfer.get("/signin")

    said = everything(world.database, lambda: answer(surfer, page, "wrong"))

    assert len(said) <= MOST, said
