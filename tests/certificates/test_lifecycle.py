"""Any order of acts by anybody: a model of the law beside the real registry.

The model knows only who may do what in which state. The registry must agree with it on every act,
and after every act registry, ledger and status lists must agree with each other.
"""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from certificates.models import certificates as certificates_table
from certificates.models import drafts
from certificates.register.status import get, read_bits
from certificates.rules import REASONS, STATES, TRANSITIONS, State
from certificates.service import Certificates
from foundation.actor import Actor
from foundation.database import Database
from foundation.errors import YinzhengError
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from tests.certificates.conftest import (
    AUTHORITY,
    BOTH,
    FOOD,
    LI,
    OTHER,
    PUBLIC_URL,
    STRANGER,
    WANG,
    officer,
)
from tests.simulators.clock import MovableClock

TYPE = "food-business-licence"
PEOPLE = [
    WANG,
    LI,
    BOTH,
    STRANGER,
    officer("zhao", "drafter"),
    officer("second", "drafter", "approver"),
    officer("clerk"),
]
ENDED = [state for state in State if state in REASONS]


@dataclass
class Paper:
    """What the model knows of one draft and the certificate it became."""

    authority: str
    drafter: str
    state: str = "draft"
    certificate: str = ""
    law: State = State.ACTIVE
    seen: list[str] = field(default_factory=list)  # content digests an approver could have noted

    @property
    def is_changeable(self) -> bool:
        return self.state in {"draft", "returned"}


class Office(RuleBasedStateMachine):
    """One authority, its neighbours, and everything they may try."""

    world: Any  # set by the test: builds an empty house

    papers = Bundle("papers")
    people = st.sampled_from(PEOPLE)

    def __init__(self) -> None:
        super().__init__()
        self.database, self.room, self.ledger, self.clock = self.world()
        self.known: dict[str, Paper] = {}
        self.numbers = count(1)

    def teardown(self) -> None:
        self.ledger.integrate_all()
        assert self.ledger.fsck().problems == ()
        self.room.close()
        self.ledger.close()
        self.database.close()

    def does(self, allowed: bool, act: Any) -> Any:
        """Do it; the registry must say yes exactly when the model does."""
        self.clock.advance(timedelta(seconds=1))
        refused = done = None
        try:
            done = act()
        except YinzhengError as problem:
            refused = problem
        assert allowed == (refused is None), refused or "done although it is not allowed"
        assert refused is None or refused.status < 500
        return done

    # ── what people try ──────────────────────────────────────────────────────────────────────

    @rule(target=papers, who=people)
    def draft(self, who: Actor) -> str:
        fields = FOOD | {"licence_number": f"JY2{next(self.numbers):013d}"}
        draft = self.does(who.may("drafter"), lambda: self.room.draft(who, TYPE, fields))
        if draft is None:
            return ""
        self.known[draft.id] = Paper(draft.authority, who.id)
        return str(draft.id)

    @rule(target=papers, who=st.sampled_from([WANG, BOTH, STRANGER]))
    def hand_in(self, who: Actor) -> str:
        """The first half of the way as it should be, so that there is something to decide."""
        paper: Any = self.draft(who)
        self.submit(who, paper)
        return paper

    @initialize(target=papers)
    def grant(self) -> str:
        """The whole way, so that there is something to fight about."""
        paper: Any = self.hand_in(WANG)
        self.approve(LI, paper, 0)
        self.issue(paper)
        return paper

    @rule(who=people, paper=papers, old=st.integers(1, 3))
    def draft_with_a_number_that_may_be_taken(self, who: Actor, paper: str, old: int) -> None:
        number = f"JY2{old:013d}"
        with self.database.read() as tx:
            taken = number in tx.execute(select(certificates_table.c.number)).scalars().all()
        if not taken or who.organisation != AUTHORITY:
            return  # whether a free number works is what `draft` tries
        fields = FOOD | {"licence_number": number}
        self.does(False, lambda: self.room.draft(who, TYPE, fields))

    @rule(who=people, paper=papers, name=st.sampled_from(["甲店", "乙店"]))
    def update(self, who: Actor, paper: str, name: str) -> None:
        it = self.known.get(paper)
        allowed = bool(it and it.is_changeable and self.serves(who, it) and who.may("drafter"))
        fields = FOOD | {"operator_name": name, "licence_number": self.number_of(paper)}
        if self.does(allowed, lambda: self.room.update(who, paper, fields)) and it:
            it.state = "draft"

    @rule(who=people, paper=papers)
    def submit(self, who: Actor, paper: str) -> None:
        it = self.known.get(paper)
        allowed = bool(it and it.is_changeable and self.serves(who, it) and who.may("drafter"))
        done = self.does(allowed, lambda: self.room.submit(who, paper))
        if done and it:
            it.state, it.drafter = "submitted", who.id
            it.seen.append(done.content_digest)

    @rule(who=people, paper=papers)
    def return_(self, who: Actor, paper: str) -> None:
        it = self.known.get(paper)
        allowed = bool(it and it.state in {"submitted", "approved"} and self.is_second(who, it))
        if self.does(allowed, lambda: self.room.return_(who, paper, "看不清")) and it:
            it.state = "returned"

    @rule(who=people, paper=papers, which=st.integers(0, 2))
    def approve(self, who: Actor, paper: str, which: int) -> None:
        """With the digest of the present content, of an earlier one, or of nothing."""
        it = self.known.get(paper)
        seen = it.seen if it else []
        digest = [seen[-1:], seen[:1], ["nothing"]][which]
        noted = digest[0] if digest else ""
        allowed = bool(
            it and it.state == "submitted" and self.is_second(who, it) and noted == seen[-1]
        )
        if self.does(allowed, lambda: self.room.approve(who, paper, noted)) and it:
            it.state = "approved"

    @rule(paper=papers)
    def approve_what_oneself_submitted(self, paper: str) -> None:
        if it := self.known.get(paper):
            self.approve(next(who for who in PEOPLE if who.id == it.drafter), paper, 0)

    @rule(who=people, paper=papers)
    def discard(self, who: Actor, paper: str) -> None:
        it = self.known.get(paper)
        allowed = bool(it and it.is_changeable and self.serves(who, it) and who.may("drafter"))
        self.does(allowed, lambda: self.room.discard(who, paper))
        if allowed:
            del self.known[paper]

    @rule(paper=papers)
    def issue(self, paper: str) -> None:
        it = self.known.get(paper)
        allowed = bool(it and it.state in {"approved", "sealed"})
        done = self.does(allowed, lambda: self.room.issue(paper))
        if done and it:
            assert it.certificate in {"", done.identifier}, "one draft, one certificate"
            it.state, it.certificate = "sealed", done.identifier

    @rule()
    def work(self) -> None:
        """The job queue seals whatever was approved and not returned since."""
        self.room.jobs.run_pending()
        for draft_id, it in self.known.items():
            if it.state == "approved":
                it.state, it.certificate = "sealed", self.room.issue(draft_id).identifier

    @rule(who=people, paper=papers, to=st.sampled_from(ENDED), number=st.integers(0, 2))
    def change_state(self, who: Actor, paper: str, to: State, number: int) -> None:
        it = self.known.get(paper)
        reason = REASONS[to][number % len(REASONS[to])].code
        allowed = bool(
            it
            and it.certificate
            and who.may("approver")
            and self.serves(who, it)
            and to in TRANSITIONS[it.law]
        )
        name = it.certificate if it and it.certificate else "1.2.156.3005.2.0"
        if self.does(allowed, lambda: self.room.change_state(who, name, to, reason)) and it:
            it.law = to

    # ── what must always be true ─────────────────────────────────────────────────────────────

    @invariant()
    def registry_ledger_and_lists_agree(self) -> None:
        assert self.room.fsck().problems == ()

    @invariant()
    def the_registry_says_what_the_model_says(self) -> None:
        with self.database.read() as tx:
            rows = tx.execute(select(certificates_table)).all()
            lists = {row.status_list: read_bits(tx, row.status_list) for row in rows}
        papers = {it.certificate: it for it in self.known.values() if it.certificate}
        assert {row.identifier for row in rows} == set(papers)
        assert len({(row.issuing_authority, row.number) for row in rows}) == len(rows)
        for row in rows:
            it = papers[row.identifier]
            assert row.drafter == it.drafter != row.approver
            assert row.state == it.law
            slot = get(lists[row.status_list], row.status_index)
            assert slot == STATES[it.law].status_value
            kinds = Counter(each.kind for each in self.ledger.history(row.identifier))
            assert kinds["certificate.issued"] == 1

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def serves(self, who: Actor, it: Paper) -> bool:
        return who.organisation == it.authority

    def is_second(self, who: Actor, it: Paper) -> bool:
        return who.may("approver") and self.serves(who, it) and who.id != it.drafter

    def number_of(self, paper: str) -> str:
        with self.database.read() as tx:
            query = select(drafts.c.number).where(drafts.c.id == paper)
            return tx.execute(query).scalar() or f"JY2{next(self.numbers):013d}"


@pytest.mark.slow
def test_whatever_anybody_tries_in_any_order(
    sqlite_template, cipher, master_key, renderer, types, tmp_path
):
    files = count()

    def world() -> tuple[Database, Certificates, Ledger, MovableClock]:
        path, clock = tmp_path / f"{next(files)}.db", MovableClock()
        shutil.copy(sqlite_template, path)
        database = Database(f"sqlite:///{path}", cipher)
        keys = Keys(database, SoftwareBackend(master_key), clock)
        keys.establish()
        ledger = Ledger(database, keys, clock, "yinzheng.test/log")
        services = assemble(
            database=database,
            keys=keys,
            clock=clock,
            issuer=PUBLIC_URL,
            ledger=ledger,
            catalogue=types,
            renderer=renderer,
        )
        with database.write() as tx:
            for number, owner in enumerate((AUTHORITY, OTHER)):
                services.seals.register(
                    tx,
                    owner=owner,
                    owner_name="示例市市场监督管理局",
                    name="示例市市场监督管理局",
                    code=f"990001000000{number}",
                    by=LI,
                    now=clock(),
                )
        return database, services.certificates, ledger, clock

    run_state_machine_as_test(
        type("TheOffice", (Office,), {"world": staticmethod(world)}),
        settings=settings(
            max_examples=15,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
