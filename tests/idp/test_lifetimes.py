"""A machine that does anything in any order, and a model of what must still count afterwards.

Authorize, exchange, refresh, revoke, sign out, take consent back, wait: after every step each token
ever issued is held against the model. No code works twice, no token outlives what ended it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foundation.actor import SYSTEM
from foundation.database import Database
from idp.token.grants.refresh import IDLE_LIFETIME
from idp.token.tokens import ACCESS_TOKEN_LIFETIME
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from tests.idp.fixtures import app_of
from tests.idp.world import ISSUER, PASSWORD, RelyingParty, World


@dataclass
class Family:
    """Everything that grew from one code."""

    offline: bool
    alive: bool = True
    access: list[tuple[str, datetime]] = field(default_factory=list)
    refreshed_at: datetime | None = None


@dataclass
class Code:
    text: str
    verifier: str
    made_at: datetime
    offline: bool
    alive: bool = True
    family: Family | None = None


@dataclass
class Refresh:
    text: str
    family: Family
    made_at: datetime
    used_at: datetime | None = None
    successor: "Refresh | None" = None


class Lifetimes(RuleBasedStateMachine):
    """One person, one browser, one client; the world is shared, each run has its own client."""

    codes = Bundle("codes")
    refreshes = Bundle("refreshes")
    world: World
    count = 0

    def __init__(self) -> None:
        super().__init__()
        Lifetimes.count += 1
        self.client: RelyingParty = self.world.client(f"client-{Lifetimes.count}", first_party=True)
        self.browser = self.world.browser()
        self.known_codes: list[Code] = []
        self.families: list[Family] = []

    @property
    def now(self) -> datetime:
        return self.world.clock()

    # --- what can happen ------------------------------------------------------------------------

    @rule(target=codes, offline=st.sampled_from([True, True, False]))
    def authorize(self, offline: bool) -> Code:
        scope = "openid offline_access" if offline else "openid"
        text = self.client.code(self.browser, scope=scope)
        code = Code(text, self.client.verifier, self.now, offline)
        self.known_codes.append(code)
        return code

    @rule(target=refreshes)
    def sign_in_whole(self) -> Refresh:
        """The ordinary way, so that there is always something to lose."""
        made = self.exchange(self.authorize(offline=True), right=True)
        assert isinstance(made, Refresh)
        return made

    @rule(target=refreshes, code=codes, right=st.sampled_from([True, True, False]))
    def exchange(self, code: Code, right: bool):
        self.client.verifier = code.verifier if right else "x" * 43
        response = self.client.exchange(code.text)
        good = right and self._still_good(code)
        assert response.status_code == (200 if good else 400), response.text
        if code.family is not None:  # a second use ends what the first one made
            code.family.alive = False
        was_alive, code.alive = code.alive, False
        if not good:
            # an expired code is not burnt by a wrong verifier: it is simply unknown
            assert response.json()["error"] == "invalid_grant", was_alive
            return multiple()
        code.family = Family(code.offline)
        self.families.append(code.family)
        return self._remember(code.family, response.json())

    @rule(
        target=refreshes,
        token=refreshes,
        waits=st.lists(st.sampled_from([0, 0, 5, 11]), min_size=1, max_size=3),
    )
    def refresh(self, token: Refresh, waits: list[int]):
        """Once, or again and again: a lost answer, or a thief."""
        made = []
        for seconds in waits:
            self.world.clock.advance(timedelta(seconds=seconds))
            made += self._refresh(token)
        return multiple(*made)

    @rule(target=refreshes, waits=st.lists(st.sampled_from([0, 5, 11]), min_size=2, max_size=3))
    def sign_in_and_refresh(self, waits: list[int]):
        return self.refresh(self.sign_in_whole(), waits)

    @rule(token=consumes(refreshes))
    def give_a_refresh_token_back(self, token: Refresh) -> None:
        assert self.client.revoke(token.text).status_code == 200
        token.family.alive = False

    @precondition(lambda self: any(family.access for family in self.families))
    @rule(data=st.data())
    def give_an_access_token_back(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from([each for each in self.families if each.access]))
        text, made_at = family.access[-1]
        assert self.client.revoke(text).status_code == 200
        if self.now - made_at < ACCESS_TOKEN_LIFETIME:
            family.alive = False

    @precondition(lambda self: self.browser.session_id and self.living() > 1)
    @rule()
    def sign_out(self) -> None:
        self.world.idp.end_session(self.browser.session_id)
        for code in self.known_codes:
            code.alive = False
        for family in self.families:
            family.alive = family.alive and family.offline

    @precondition(lambda self: self.living() > 2)
    @rule()
    def take_consent_back(self) -> None:
        self.world.idp.withdraw_consent(self.world.chen, self.client.id)
        for code in self.known_codes:
            code.alive = False
        for family in self.families:
            family.alive = False

    @rule(seconds=st.sampled_from([1, 9, 12, 59, 61, 300, 700]))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(timedelta(seconds=seconds))

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def every_token_counts_exactly_as_long_as_it_should(self) -> None:
        for family in self.families:
            for text, made_at in family.access[-2:]:
                fresh = self.now - made_at < ACCESS_TOKEN_LIFETIME
                counts = self.client.introspect(text)["active"]
                assert counts == (family.alive and fresh)
                assert (self.client.userinfo(text).status_code == 200) == counts

    def living(self) -> int:
        return sum(family.alive for family in self.families)

    # --- inside ---------------------------------------------------------------------------------

    def _refresh(self, token: Refresh) -> list[Refresh]:
        response = self.client.refresh(token.text)
        assert token.family.refreshed_at is not None
        if not token.family.alive or self.now - token.family.refreshed_at >= IDLE_LIFETIME:
            assert response.json()["error"] == "invalid_grant"
            return []
        if token.used_at is None:
            assert response.status_code == 200, response.text
            token.used_at = self.now
            token.successor = self._remember(token.family, response.json())
            return [token.successor]
        lost = token.successor is not None and token.successor.used_at is None
        if lost:  # whatever the time: this client proves who it is
            assert response.json()["refresh_token"] == token.successor.text
            token.family.access.append((response.json()["access_token"], self.now))
        else:
            assert response.json()["error"] == "invalid_grant"
            token.family.alive = False
        return []

    def _still_good(self, code: Code) -> bool:
        return code.alive and self.now - code.made_at < timedelta(seconds=60)

    def _remember(self, family: Family, tokens: dict[str, str]):
        family.access.append((tokens["access_token"], self.now))
        if "refresh_token" not in tokens:
            assert not family.offline
            return multiple()
        family.refreshed_at = self.now
        return Refresh(tokens["refresh_token"], family, self.now)


@pytest.mark.slow
def test_no_token_outlives_what_ended_it_and_no_code_works_twice(
    sqlite_database: Database, clock, master_key, runner
):
    keys = Keys(sqlite_database, SoftwareBackend(master_key), clock)
    ledger = Ledger(sqlite_database, keys, clock, "yinzheng.test/log")
    idp = assemble(
        database=sqlite_database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger
    ).idp
    chen = idp.people.add("chen", "陈静怡", PASSWORD, by=SYSTEM)
    Lifetimes.world = World(app_of(idp), runner, idp, sqlite_database, clock, chen)
    try:
        run_state_machine_as_test(
            Lifetimes,
            settings=settings(
                max_examples=15,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        idp.close()
        ledger.close()
