"""The seal registry over both databases: the way to a seal, its life, and what was valid when."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor, ActorKind
from foundation.database import Database
from keys.encoding.x509 import RevocationReason
from keys.errors import KeyMayNotSign, NoActiveKey
from signing import Seal, SealApplication, SealKind, SealState
from signing.errors import (
    ApplicationOpen,
    FourEyesViolated,
    IllegalSealChange,
    NotTheKeeper,
    SealExists,
    SealNameRefused,
    SealNotUsable,
    UnknownSeal,
)
from signing.models import seal_applications, seal_versions
from signing.store import seal_then
from tests.signing.conftest import APPROVER, KEEPER, NAME, OWNER, House

CLERK = replace(KEEPER, id="clerk-1", name="经办人", roles=frozenset({"drafter"}))
STRANGER = replace(APPROVER, id="stranger-1", organisation="11350100003605199X")
WISH = SealApplication(
    OWNER, NAME, NAME, "3501000012345", keeper="keeper-1", keeper_name="印章管理员"
)
MINUTE = timedelta(minutes=1)

FILINGS = select(seal_versions.c.filing).order_by(seal_versions.c.version)


@pytest.fixture
def house(house_on_each_database: House) -> House:
    return house_on_each_database


def do(house: House, what: str, seal_id: str, by: Actor = KEEPER, **more: Any) -> Any:
    """One step in a transaction of its own, a minute after the last one."""
    house.clock.advance(MINUTE)
    with house.database.write() as tx:
        return getattr(house.seals, what)(tx, seal_id, by=by, now=house.clock(), **more)


def apply(house: House, wish: SealApplication = WISH, by: Actor = CLERK) -> str:
    with house.database.write() as tx:
        return house.seals.apply(tx, wish, by=by, now=house.clock(), reason="new bureau")


def in_use(house: House) -> Seal:
    seal_id = apply(house)
    do(house, "approve", seal_id)
    do(house, "make", seal_id)
    do(house, "file", seal_id, reference="公备2026-17")
    return do(house, "activate", seal_id)


def test_no_state_is_explained_in_one_language(house: House) -> None:
    seal = in_use(house)

    assert [change.reason for change in house.seals.history(seal.id)] == [
        *("new bureau", "", "", "公备2026-17", ""),
    ]


# ── the way to a seal ────────────────────────────────────────────────────────────────────────


def test_a_seal_is_applied_for_approved_made_filed_and_put_to_use(house: House) -> None:
    began = house.clock()

    seal = in_use(house)

    history = house.seals.history(seal.id)
    assert [(change.state, change.by) for change in history] == [
        (SealState.APPLIED, "clerk-1"),
        (SealState.APPROVED, "keeper-1"),
        (SealState.MADE, "keeper-1"),
        (SealState.FILED, "keeper-1"),
        (SealState.ACTIVE, "keeper-1"),
    ]
    assert [change.since - began for change in history] == [n * MINUTE for n in range(5)]
    assert (seal.version, seal.keeper, seal.kind) == (1, "keeper-1", SealKind.STATUTORY)
    assert house.signing.validate_pdf(house.sealed(seal).data).seal_id == seal.id


def test_nothing_is_sealed_before_the_last_step(house: House) -> None:
    seal_id = apply(house)
    do(house, "approve", seal_id)
    with pytest.raises(UnknownSeal):
        house.seals.get(seal_id)

    made = do(house, "make", seal_id)
    with pytest.raises(SealNotUsable, match="made"):
        house.sealed(made)
    filed = do(house, "file", seal_id, reference="17")
    with pytest.raises(SealNotUsable, match="filed"):
        house.sealed(filed)
    assert house.seals.all() == []


@pytest.mark.parametrize("step", ["make", "activate", "suspend", "destroy"])
def test_no_step_is_left_out(house: House, step: str) -> None:
    seal_id = apply(house)
    more = {"reason": "x"} if step in {"suspend", "destroy"} else {}

    with pytest.raises((ApplicationOpen, IllegalSealChange)):
        do(house, step, seal_id, **more)

    assert [change.state for change in house.seals.history(seal_id)] == [SealState.APPLIED]


def test_who_applies_does_not_decide(house: House) -> None:
    seal_id = apply(house, by=KEEPER)

    with pytest.raises(FourEyesViolated):
        do(house, "approve", seal_id, by=KEEPER)
    with pytest.raises(NotTheKeeper):
        do(house, "approve", seal_id, by=CLERK)

    assert do(house, "approve", seal_id, by=APPROVER).state is SealState.APPROVED


def test_the_database_itself_wants_two_people(house: House) -> None:
    apply(house, by=KEEPER)

    with pytest.raises(IntegrityError), house.database.write() as tx:
        tx.execute(
            update(seal_applications).values(
                decision="approved", decided_by="keeper-1", decided_at=house.clock()
            )
        )


def test_a_rejected_seal_ends_there_and_says_why(house: House) -> None:
    seal_id = apply(house)
    entry = do(house, "reject", seal_id, note="the bureau has this seal already")

    (application,) = house.seals.applications(seal_id)
    assert entry.state is SealState.REJECTED
    assert application.note == "the bureau has this seal already"
    with pytest.raises(ApplicationOpen):
        do(house, "approve", seal_id)


def test_another_department_does_not_even_see_it(house: House) -> None:
    seal = in_use(house)

    with pytest.raises(UnknownSeal):
        house.seals.entry(seal.id, by=STRANGER)
    for step in ("suspend", "revoke", "resume"):
        with pytest.raises(UnknownSeal):
            do(house, step, seal.id, by=STRANGER, reason="theirs")
    with pytest.raises(UnknownSeal):
        apply(house, replace(WISH, code="3501000099999"), by=STRANGER)
    assert house.seals.entries(STRANGER.organisation) == []


def test_the_keepers_list_shows_what_waits_for_whom(house: House) -> None:
    seal = in_use(house)
    with house.database.write() as tx:
        house.seals.apply_for_version(
            tx, seal.id, by=CLERK, now=house.clock(), reason="the bureau was renamed"
        )
    second = apply(house, replace(WISH, code="3501000012346"))

    first_entry, second_entry = house.seals.entries(OWNER)

    assert (first_entry.state, first_entry.version) == (SealState.ACTIVE, 1)
    assert first_entry.waiting.reason == "the bureau was renamed"
    assert (second_entry.id, second_entry.version) == (second, 0)
    assert second_entry.waiting.applied_by == "clerk-1"


def test_a_seal_code_is_given_once(house: House) -> None:
    apply(house)

    with pytest.raises(SealExists):
        apply(house)


@pytest.mark.parametrize(
    "change",
    [
        {"line": "合同专用章"},
        {"kind": SealKind.BUSINESS},
        {"kind": SealKind.DEPARTMENT, "line": "x" * 15},
        {"kind": SealKind.DEPARTMENT, "line": "a\u202eb"},
        {"name": "临江\u200b市"},
        {"code": "12"},
    ],
    ids=str,
)
def test_words_that_do_not_make_a_seal_are_refused(house: House, change: dict[str, Any]) -> None:
    with pytest.raises(SealNameRefused):
        apply(house, replace(WISH, **change))


def test_department_and_business_seals_say_what_they_are_for(house: House) -> None:
    plain = house.seals.preview(WISH)
    for kind, line in ((SealKind.BUSINESS, "行政审批专用章"), (SealKind.DEPARTMENT, "政策法规科")):
        wish = replace(WISH, kind=kind, line=line, code=f"35010000{len(line)}0000")
        with house.database.write() as tx:
            seal = house.seals.register(
                tx,
                owner=OWNER,
                owner_name=NAME,
                name=NAME,
                code=wish.code,
                by=KEEPER,
                now=house.clock(),
                kind=kind,
                line=line,
            )
        drawn = house.seals.svg(seal)
        assert drawn == house.seals.preview(wish)
        assert len(drawn) > len(plain)
        assert line in drawn
        validation = house.signing.validate_pdf(house.sealed(seal).data)
        assert (validation.signer, validation.indication) == (NAME + line, "valid")


# ── new versions ─────────────────────────────────────────────────────────────────────────────


def test_a_new_version_is_agreed_by_two_people_and_the_old_stays_verifiable(house: House) -> None:
    seal = in_use(house)
    before = house.sealed(seal).data
    house.clock.advance(MINUTE)
    with house.database.write() as tx:
        assert (
            house.seals.apply_for_version(
                tx, seal.id, by=CLERK, now=house.clock(), reason="new key"
            )
            == 2
        )
    with pytest.raises(ApplicationOpen):
        do(house, "make", seal.id)
    do(house, "approve", seal.id)

    renewed = do(house, "make", seal.id, algorithm="EdDSA")
    do(house, "file", seal.id, reference="公备2026-18")

    assert (renewed.version, renewed.state) == (2, SealState.ACTIVE)
    assert renewed.kid != seal.kid
    assert house.signing.validate_pdf(before).indication == "valid"
    assert house.signing.validate_pdf(house.sealed(renewed).data).indication == "valid"
    with house.database.read() as tx:
        assert list(tx.execute(FILINGS).scalars()) == [
            "公备2026-17",
            "公备2026-18",
        ]
    with pytest.raises(ApplicationOpen):
        do(house, "make", seal.id)


def test_one_new_version_is_asked_for_at_a_time(house: House) -> None:
    seal = in_use(house)
    do(house, "apply_for_version", seal.id, reason="one")

    with pytest.raises(ApplicationOpen):
        do(house, "apply_for_version", seal.id, reason="two")
    do(house, "reject", seal.id, by=APPROVER, note="not now")
    assert do(house, "apply_for_version", seal.id, reason="three") == 2


# ── the life of a seal ───────────────────────────────────────────────────────────────────────


def test_whether_a_seal_was_valid_then_is_answered_for_every_moment(house: House) -> None:
    began = house.clock()
    seal = in_use(house)  # active since minute 4
    do(house, "suspend", seal.id, reason="keeper on leave")  # 5
    do(house, "resume", seal.id, reason="keeper back")  # 6
    do(house, "revoke", seal.id, reason="reorganised")  # 7

    with house.database.read() as tx:
        valid = [house.seals.valid_at(tx, seal.id, began + n * MINUTE) for n in range(10)]

    assert valid == [False] * 4 + [True, False, True, False, False, False]


def test_the_question_is_one_query_over_indexes(house: House) -> None:
    seal = in_use(house)
    with house.database.write() as tx:
        compiled: list[str] = []
        seal_then(Watching(tx, compiled), seal.certificate_digest, house.clock())
        assert len(compiled) == 1
        if house.database.dialect == "postgresql":
            tx.execute(text("SET LOCAL enable_seqscan = off"))  # a test table is too small
            plan = tx.exec_driver_sql("EXPLAIN " + compiled[0]).scalars().all()
        else:
            plan = [row[3] for row in tx.exec_driver_sql("EXPLAIN QUERY PLAN " + compiled[0])]

    told = "\n".join(plan)
    assert "certificate_digest" in told.lower(), told
    assert "ix_seal_states_seal_id_since" in told, told
    assert "Seq Scan" not in told
    assert "SCAN" not in told


class Watching:
    """A transaction that keeps the text of what is executed."""

    def __init__(self, tx: Any, seen: list[str]) -> None:
        self._tx, self._seen = tx, seen

    def execute(self, query: Any) -> Any:
        compiled = query.compile(self._tx.engine, compile_kwargs={"literal_binds": True})
        self._seen.append(str(compiled))
        return self._tx.execute(query)


def test_times_only_go_forward_even_when_a_clock_does_not(house: House) -> None:
    seal = in_use(house)
    do(house, "suspend", seal.id, reason="audit")
    house.clock.advance(-60 * MINUTE)

    do(house, "revoke", seal.id, reason="by a machine whose clock is slow")

    assert house.seals.get(seal.id).state is SealState.REVOKED
    times = [change.since for change in house.seals.history(seal.id)]
    assert times == sorted(times)
    house.clock.advance(120 * MINUTE)
    with pytest.raises(IllegalSealChange):
        do(house, "resume", seal.id, reason="it was only suspended, was it not?")


def test_revoking_ends_the_certificates_with_reason_and_date(house: House) -> None:
    seal = in_use(house)
    sealed = house.sealed(seal).data

    do(house, "revoke", seal.id, reason="dissolved")

    listed = x509.load_der_x509_crl(house.keys.authority.crl(f"department-{OWNER}"))
    (entry,) = listed
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.cessation_of_operation
    assert entry.revocation_date_utc == house.clock().replace(microsecond=0)
    assert house.signing.validate_pdf(sealed).check("seal").result == "pass"
    with pytest.raises(SealNotUsable):
        house.sealed(house.seals.get(seal.id))


def test_a_stolen_key_is_revoked_as_such_and_destroyed_at_once(house: House) -> None:
    seal = in_use(house)

    do(
        house,
        "revoke",
        seal.id,
        reason="the token was stolen",
        cause=RevocationReason.KEY_COMPROMISE,
    )

    listed = x509.load_der_x509_crl(house.keys.authority.crl(f"department-{OWNER}"))
    reasons = [
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason for entry in listed
    ]
    assert reasons == [x509.ReasonFlags.key_compromise]
    with pytest.raises(NoActiveKey):
        house.keys.active(seal.use)


def test_destroying_takes_the_private_keys_of_every_version(house: House) -> None:
    seal = in_use(house)
    with house.database.write() as tx:
        renewed = house.seals.renew(tx, seal.id, by=CLERK, approved_by=APPROVER, now=house.clock())
    old, new = house.keys.active(seal.use), house.keys.active(renewed.use)
    with pytest.raises(IllegalSealChange):
        do(house, "destroy", seal.id, reason="too early")
    do(house, "revoke", seal.id, reason="reorganised")

    destroyed = do(house, "destroy", seal.id, reason="as the law wants it")

    assert destroyed.state is SealState.DESTROYED
    for key in (old, new):
        assert house.keys.find(key.kid).state == "retired"
        with pytest.raises((NoActiveKey, KeyMayNotSign)):
            house.keys.active(key.use)
    with pytest.raises(IllegalSealChange):
        do(house, "resume", seal.id, reason="regret")


def test_revoking_and_resuming_at_once_never_leaves_a_revoked_seal_active(
    house: House, database: Database
) -> None:
    for _ in range(5):
        seal = house.register(code=f"35010000{house.clock().timestamp():.0f}"[:20])
        do(house, "suspend", seal.id, reason="audit")
        barrier = threading.Barrier(2)

        def change(what: str, seal_id: str = seal.id, barrier: Any = barrier) -> None:
            barrier.wait()
            try:
                with database.write() as tx:
                    getattr(house.seals, what)(
                        tx, seal_id, by=KEEPER, now=house.clock(), reason=what
                    )
            except IllegalSealChange:
                pass

        threads = [threading.Thread(target=change, args=(what,)) for what in ("resume", "revoke")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert house.seals.get(seal.id).state is SealState.REVOKED


def test_a_register_of_seals_that_exist_is_entered_with_its_own_second_person(
    house: House,
) -> None:
    seal = house.register()

    (application,) = house.seals.applications(seal.id)
    assert (application.applied_by, application.decided_by) == ("keeper-1", "register")
    assert seal.state is SealState.ACTIVE
    with pytest.raises(FourEyesViolated), house.database.write() as tx:
        house.seals.renew(tx, seal.id, by=KEEPER, approved_by=KEEPER, now=house.clock())


def test_a_citizen_has_no_seal(house: House) -> None:
    citizen = Actor(ActorKind.PERSON, "chen", roles=frozenset({"keeper", "approver"}))

    with pytest.raises(UnknownSeal):
        apply(house, by=citizen)
