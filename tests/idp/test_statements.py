"""What a password costs the database: one read, one transaction from the counter to the code."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.idp.pages import app_of, authorize, context_of
from tests.idp.world import PASSWORD, RelyingParty, World
from tests.plans import commits, everything
from tests.portal.surfer import Page, Surfer, query
from tests.simulators.clock import MovableClock

MOST = 10


@pytest.fixture
def surfer(world: World, clock) -> Iterator[Surfer]:
    surfer = Surfer(app_of(world.idp, context_of(world.idp, clock)), world.idp.issuer)
    yield surfer
    surfer.close()


def known_client(world: World, kind: str) -> RelyingParty:
    """A client that nobody has to be asked about: our own, or one that was agreed to before."""
    changes: dict[str, Any] = {"first_party": kind.startswith("own")}
    if kind.endswith("pushed"):
        changes |= {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt"}
    client = world.client(**changes)
    client.code()
    return client


def answer(surfer: Surfer, page: Page, password: str) -> Page:
    return surfer.send(page, page.path, username="chen", password=password)


@pytest.mark.parametrize("password", [PASSWORD, "wrong"], ids=["right", "wrong"])
@pytest.mark.parametrize(
    ("kind", "most"), [("own, pushed", 10), ("agreed", 10), ("agreed, pushed", 11)]
)
def test_a_password_is_one_transaction_and_at_most_ten_statements(
    world: World, surfer: Surfer, kind, most, password
):
    """From the form to the code. A pushed request and a consent that is relied on are held by a
    statement each, so both together are one more."""
    client = known_client(world, kind)
    pages = [authorize(surfer, client) for _ in range(2)]
    surfer.cookies.delete("__Host-yz_session")

    said = everything(world.database, lambda: answer(surfer, pages[0], password))
    surfer.cookies.delete("__Host-yz_session")
    committed = commits(world.database, lambda: answer(surfer, pages[1], password))

    assert len(said) <= most, "\n".join(each[:60] for each in said)
    assert committed == 1
    assert ("code" in query(surfer.left)) == (password == PASSWORD)
    for table in ("interactions", "clients"):
        assert sum(each.startswith("SELECT") and f"FROM {table}" in each for each in said) <= 1


def test_whoever_signs_in_again_pays_for_the_session_before(world: World, surfer: Surfer):
    client = world.client()
    client.code()
    answer(surfer, authorize(surfer, client), PASSWORD)
    page = authorize(surfer, client, prompt="login")

    said = everything(world.database, lambda: answer(surfer, page, PASSWORD))

    assert len(said) <= MOST + 2, said


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
