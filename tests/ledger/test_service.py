"""The ledger as the rooms above use it: append, integrate, prove, show, forget."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from foundation.actor import ANONYMOUS, SYSTEM, Actor, ActorKind
from foundation.errors import NotFound
from foundation.paging import MAX_LIMIT
from ledger import Entry, verify_proof
from ledger.entries import read_leaf
from ledger.errors import EntryRefused, ProofInvalid
from ledger.tiles import TilePath

SUBJECT = "5b" * 32
OTHER = "7c" * 32
CERTIFICATE = "1.2.156.3005.2.11100000000013338W.11310000MB2F30460T.310000123456.001.X"
AGENCY = Actor(
    ActorKind.CLIENT,
    "market-supervision",
    name="Inspection desk",
    organisation="11310000MB2F30460T",
    organisation_name="市场监督管理局",
)
OFFICER = Actor(
    ActorKind.PERSON,
    "officer-0017",
    name="王芳",
    organisation="11310000MB2F30460T",
    organisation_name="市场监督管理局",
)
CITIZEN = Actor(ActorKind.PERSON, "person-4711", name="李雷", subjects=frozenset({SUBJECT}))


def looked_up(clock, subject=SUBJECT, actor=AGENCY, **more):
    return Entry(
        kind="verification",
        actor=actor,
        at=clock.advance(timedelta(milliseconds=1)),
        subject=subject,
        certificate=CERTIFICATE,
        purpose="food-inspection",
        legal_basis="《食品安全法》第三十五条",
        case_ref="2026-SH-0001",
        verdict="valid",
        disclosed=("valid_until",),
        **more,
    )


def append(ledger, database, entry):
    with database.write() as tx:
        return ledger.append(tx, entry)


def test_an_entry_is_proved_offline_after_integration(ledger, database, clock):
    ref = append(ledger, database, looked_up(clock))
    assert ledger.proof(ref.id) is None

    assert ledger.integrate() == 1
    verified = verify_proof(ref.leaf, ledger.proof(ref.id), ledger.verifier_keys())

    assert (verified.index, verified.leaf_hash) == (0, ref.leaf_hash)
    assert verified.checkpoint.origin == ledger.origin
    assert ledger.fsck().ok


def test_an_entry_that_was_changed_is_not_proved(ledger, database, clock):
    ref = append(ledger, database, looked_up(clock))
    ledger.integrate()

    with pytest.raises(ProofInvalid):
        verify_proof(
            ref.leaf.replace(b"valid", b"inval", 1), ledger.proof(ref.id), ledger.verifier_keys()
        )


def test_no_commit_no_entry(ledger, database, clock):
    def fail_after_appending():
        with database.write() as tx:
            ledger.append(tx, looked_up(clock))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_appending()

    assert ledger.integrate() == 0
    assert ledger.about([SUBJECT]).items == ()


def test_the_fast_lane_resolves_after_the_commit(ledger, database, clock):
    async def many():
        return await asyncio.gather(*(ledger.record(looked_up(clock)) for _ in range(300)))

    refs = asyncio.run(many())

    assert ledger.integrate_all() == 300
    assert len({ref.id for ref in refs}) == 300
    assert all(ledger.proof(ref.id) for ref in refs[::50])
    assert ledger.fsck().ok


def test_one_bad_entry_does_not_fail_its_neighbours(ledger, clock):
    bad = dataclasses.replace(looked_up(clock), kind="Not A Code")

    async def both():
        return await asyncio.gather(
            ledger.record(looked_up(clock)), ledger.record(bad), return_exceptions=True
        )

    good, refused = asyncio.run(both())

    assert isinstance(refused, EntryRefused)
    assert ledger.integrate_all() == 1
    assert ledger.proof(good.id)


def test_the_citizen_reads_what_the_log_holds(ledger, database, clock):
    ref = append(ledger, database, looked_up(clock, private={"holder_name": "李雷"}))
    append(ledger, database, looked_up(clock, subject=OTHER))

    (access,) = ledger.about([SUBJECT]).items

    assert access.entry_id == ref.id
    assert (access.actor_name, access.organisation_name) == ("Inspection desk", "市场监督管理局")
    assert (access.purpose, access.verdict) == ("food-inspection", "valid")
    assert (access.case_ref, access.certificate) == ("2026-SH-0001", CERTIFICATE)
    assert access.disclosed == ("valid_until",)
    assert access.private == {"holder_name": "李雷"}
    assert access.seq is None
    ledger.integrate()
    assert ledger.about([SUBJECT]).items[0].seq == 0


def test_pages_go_from_new_to_old_without_gap_or_double(ledger, database, clock):
    refs = []
    for number in range(25):
        subject = SUBJECT if number % 3 else OTHER
        refs.append(append(ledger, database, looked_up(clock, subject=subject)).id)

    seen, after = [], None
    while True:
        page = ledger.about([SUBJECT, OTHER], after=after, limit=4)
        seen += [access.entry_id for access in page.items]
        if (after := page.next) is None:
            break

    assert seen == refs[::-1]


def test_nobody_is_about_the_empty_subject(ledger, database, clock):
    append(ledger, database, looked_up(clock, subject=""))

    assert ledger.about(["", SUBJECT]).items == ()


def test_an_officer_sees_the_life_of_one_certificate(ledger, database, clock):
    issued = dataclasses.replace(looked_up(clock), kind="certificate.issued", actor=OFFICER)
    append(ledger, database, issued)
    append(ledger, database, looked_up(clock))
    append(ledger, database, dataclasses.replace(looked_up(clock), certificate="another-one"))

    history = ledger.history(CERTIFICATE)

    assert [access.kind for access in history] == ["verification", "certificate.issued"]
    assert history[1].actor_name == "王芳"


def test_openings_show_the_asker_what_the_leaf_is_about(ledger, database, clock):
    ref = append(ledger, database, looked_up(clock))

    commitments = read_leaf(ref.leaf)["commitments"]

    assert set(commitments) == {"subject", "certificate", "case_ref"}
    assert ref.openings["case_ref"].value == "2026-SH-0001"
    assert all(ref.openings[name].opens(commitments[name]) for name in commitments)
    assert not ref.openings["case_ref"].opens(commitments["subject"])


def test_erasure_forgets_the_person_and_keeps_the_log_valid(ledger, database, clock):
    mine = [append(ledger, database, looked_up(clock)) for _ in range(MAX_LIMIT + 3)]
    theirs = append(ledger, database, looked_up(clock, subject=OTHER))
    official = append(ledger, database, looked_up(clock, actor=OFFICER))
    own = append(ledger, database, looked_up(clock, actor=CITIZEN))
    ledger.integrate_all()
    before = ledger.checkpoint()

    with database.write() as tx:
        assert ledger.erase(tx, SUBJECT) == len(mine) + 2
    ledger.integrate_all()

    assert ledger.about([SUBJECT]).items == ()
    assert [access.entry_id for access in ledger.history(CERTIFICATE)] == [theirs.id]
    assert ledger.fsck([before]).ok
    for ref in (mine[0], official, own):
        assert verify_proof(ref.leaf, ledger.proof(ref.id), ledger.verifier_keys())
    assert _kept_openings(database, cipher=database.cipher, ref=official) == {"actor", "actor_name"}
    assert _kept_openings(database, cipher=database.cipher, ref=own) == set()


def _kept_openings(database, cipher, ref):
    from sqlalchemy import select

    from ledger.entries import unseal_openings
    from ledger.models import ledger_openings

    query = select(ledger_openings.c.sealed).where(ledger_openings.c.entry_id == ref.id)
    with database.read() as tx:
        sealed = tx.execute(query).scalar()
    return set(unseal_openings(cipher, ref.id, sealed)) if sealed else set()


def test_erasing_nobody_leaves_no_trace(ledger, database):
    with database.write() as tx:
        assert ledger.erase(tx, SUBJECT) == 0
        assert ledger.erase(tx, "") == 0
    assert ledger.integrate() == 0


def test_a_person_acting_is_named_to_the_holder_but_not_to_the_world(ledger, database, clock):
    ref = append(ledger, database, looked_up(clock, actor=OFFICER))

    assert ledger.about([SUBJECT]).items[0].actor_name == "王芳"
    assert "王芳".encode() not in ref.leaf
    assert b"officer-0017" not in ref.leaf
    assert read_leaf(ref.leaf)["actor"]["organisation"] == OFFICER.organisation


@pytest.mark.parametrize("actor", [SYSTEM, ANONYMOUS])
def test_the_system_and_strangers_may_act(ledger, database, clock, actor):
    append(ledger, database, looked_up(clock, actor=actor))

    assert ledger.about([SUBJECT]).items[0].actor_kind == actor.kind


def test_an_empty_log_has_a_signed_checkpoint_that_the_first_entry_continues(
    ledger, database, clock
):
    empty = ledger.checkpoint()
    assert empty.split("\n")[1] == "0"

    append(ledger, database, looked_up(clock))
    ledger.integrate()

    assert ledger.fsck([empty]).ok
    assert ledger.fsck().checkpoints == 2


def test_a_tile_beyond_the_log_is_not_there(ledger, database, clock):
    with pytest.raises(NotFound):
        ledger.resource(TilePath(0, 0, 1))
    append(ledger, database, looked_up(clock))
    ledger.integrate()

    assert len(ledger.resource(TilePath(0, 0, 1))) == 32
    for beyond in (TilePath(0, 0, 2), TilePath(0, 0), TilePath(1, 0, 1), TilePath(None, 1, 1)):
        with pytest.raises(NotFound):
            ledger.resource(beyond)


def test_after_a_rotation_old_proofs_still_verify(ledger, keys, database, clock):
    first = append(ledger, database, looked_up(clock))
    ledger.integrate()
    old_proof = ledger.proof(first.id)

    keys.rotate("ledger.checkpoint", clock(), at_once=True)
    append(ledger, database, looked_up(clock))
    ledger.integrate()

    vkeys = [str(key) for key in ledger.verifier_keys()]
    assert len(vkeys) == 2
    assert verify_proof(first.leaf, old_proof, vkeys)
    assert verify_proof(first.leaf, ledger.proof(first.id), vkeys)
    assert ledger.fsck().ok
