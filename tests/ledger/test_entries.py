"""What a leaf says, what it only commits to, and what it refuses to hold."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from foundation.actor import Actor, ActorKind
from foundation.encryption import FieldCipher, Undecryptable
from ledger.entries import (
    Entry,
    Opening,
    is_identity_number,
    read_leaf,
    seal_openings,
    unseal_openings,
    write_leaf,
)
from ledger.errors import EntryRefused
from ledger.merkle import leaf_hash

AT = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
AGENCY = Actor(ActorKind.CLIENT, "inspection", name="Desk", organisation="11310000MB2F30460T")
PERSON = Actor(ActorKind.PERSON, "person-4711", name="李雷")
IDENTITY_NUMBER = "11010519491231002X"  # the example of GB 11643-1999

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
names = st.from_regex(r"[a-z][a-z0-9_.-]{0,12}", fullmatch=True)
secrets = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=12, max_size=60)
actors = st.builds(
    Actor, st.sampled_from(ActorKind), words, words, words, words, named_itself=st.booleans()
)
entries = st.builds(
    Entry,
    kind=names,
    actor=actors,
    at=st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    subject=st.just("5b" * 32),
    certificate=st.just("1.2.156.3005.2.SOMETHING-LONG"),
    purpose=words,
    legal_basis=words,
    case_ref=words,
    verdict=words,
    disclosed=st.lists(words, max_size=3).map(tuple),
    details=st.dictionaries(names, words, max_size=4),
    private=st.dictionaries(names, secrets, max_size=3),
)


def entry(**more):
    return Entry(kind="verification", actor=AGENCY, at=AT, **more)


@given(entries)
def test_a_leaf_is_canonical_json(written):
    leaf = write_leaf(written).leaf

    assert rfc8785.dumps(read_leaf(leaf)) == leaf


@given(entries)
def test_every_commitment_opens_with_its_own_opening_only(written):
    ref = write_leaf(written)
    commitments = read_leaf(ref.leaf).get("commitments", {})

    assert set(commitments) == set(ref.openings)
    for name, opening in ref.openings.items():
        assert opening.opens(commitments[name])
        assert not Opening(opening.salt, opening.value + " ").opens(commitments[name])
        assert not Opening(bytes(32), opening.value).opens(commitments[name])
    assert ref.leaf_hash == leaf_hash(ref.leaf)


def test_salts_are_never_shared():
    refs = [write_leaf(entry(subject="5b" * 32, case_ref="1")) for _ in range(50)]
    salts = [opening.salt for ref in refs for opening in ref.openings.values()]

    assert len(set(salts)) == len(salts) == 100
    assert {len(salt) for salt in salts} == {32}
    assert len({read_leaf(ref.leaf)["commitments"]["subject"] for ref in refs}) == 50


def test_a_boundary_moved_between_salt_and_value_opens_nothing():
    """SHA-256 sees only salt ‖ value: whoever moves the boundary must not say something else."""
    ref = write_leaf(entry(private={"finding": "not guilty"}))
    opening = ref.openings["private.finding"]
    commitment = read_leaf(ref.leaf)["commitments"]["private.finding"]

    eaten = Opening(opening.salt + b"not ", "guilty")
    given = Opening(opening.salt[:-1], opening.salt[-1:].decode("latin-1") + opening.value)
    ascii_salt = Opening(b"s" * 32, "guilty")
    shorter = Opening(ascii_salt.salt[:-4], "ssss" + ascii_salt.value)

    assert eaten.commitment() == commitment, "the same bytes are hashed"
    assert shorter.commitment() == ascii_salt.commitment()
    assert opening.opens(commitment)
    assert not eaten.opens(commitment)
    assert not given.opens(commitment)
    assert not shorter.opens(ascii_salt.commitment())
    assert not Opening(b"", "x").opens(Opening(b"", "x").commitment())


def test_a_person_is_committed_to_and_not_named():
    written = dataclasses.replace(entry(private={"note": "电话投诉"}), actor=PERSON)
    ref = write_leaf(written)

    for personal in ("person-4711", "李雷", "电话投诉"):
        assert personal.encode() not in ref.leaf
    assert read_leaf(ref.leaf)["actor"] == {"kind": "person"}
    assert {"actor", "actor_name", "private.note"} == set(ref.openings)


def test_the_name_that_a_program_gave_itself_is_committed_to():
    """Nobody has read it, and nothing can be taken out of the log again."""
    program = dataclasses.replace(AGENCY, name="致电 13800000000", named_itself=True)
    ref = write_leaf(dataclasses.replace(entry(), actor=program))

    assert read_leaf(ref.leaf)["actor"] == {
        "id": "inspection",
        "kind": "client",
        "organisation": "11310000MB2F30460T",
    }
    assert ref.openings["actor_name"].value == "致电 13800000000"


def test_a_client_program_is_named():
    assert read_leaf(write_leaf(entry()).leaf)["actor"] == {
        "id": "inspection",
        "kind": "client",
        "name": "Desk",
        "organisation": "11310000MB2F30460T",
    }


def test_ids_are_uuids_of_version_seven_and_order_entries_by_time():
    ids = []
    for milliseconds in range(100):
        at = AT + timedelta(milliseconds=milliseconds)
        ids.append(write_leaf(dataclasses.replace(entry(), at=at)).id)

    assert sorted(ids) == ids
    assert {(each[14], each[19] in "89ab", len(each)) for each in ids} == {("7", True, 36)}
    assert int(ids[0].replace("-", "")[:12], 16) == int(AT.timestamp() * 1000)


@pytest.mark.parametrize("microsecond", [123456, 120000, 7, 0])
def test_the_time_is_written_in_utc_to_the_microsecond(microsecond):
    at = AT.replace(microsecond=microsecond)

    for zone in (UTC, timezone(timedelta(hours=8))):
        written = read_leaf(write_leaf(dataclasses.replace(entry(), at=at.astimezone(zone))).leaf)
        assert written["at"] == f"2026-11-24T08:00:00.{microsecond:06d}Z"


def test_a_time_without_zone_is_refused():
    with pytest.raises(EntryRefused):
        write_leaf(dataclasses.replace(entry(), at=AT.replace(tzinfo=None)))


@pytest.mark.parametrize("kind", ["", "Verification", "a b", "a\n", "核验", "x" * 65])
def test_a_kind_is_a_code(kind):
    with pytest.raises(EntryRefused):
        write_leaf(dataclasses.replace(entry(), kind=kind))


@pytest.mark.parametrize("name", ["", "Holder", "a\n", "姓名", "😀"])
def test_names_are_codes(name):
    for where in ("details", "private"):
        with pytest.raises(EntryRefused):
            write_leaf(entry(**{where: {name: "value"}}))


def test_details_are_text():
    for value in (1, None, 1.5, ["x"], b"x"):
        with pytest.raises(EntryRefused):
            write_leaf(entry(details={"number": value}))


def test_half_a_character_is_refused():
    with pytest.raises(EntryRefused):
        write_leaf(entry(purpose="\ud800"))


def test_an_entry_that_does_not_fit_a_bundle_is_refused():
    assert len(write_leaf(entry(details={"text": "x" * 65_000})).leaf) <= 65_535
    with pytest.raises(EntryRefused):
        write_leaf(entry(details={"text": "x" * 65_500}))


@pytest.mark.parametrize("where", ["purpose", "legal_basis", "verdict"])
def test_an_identity_number_never_becomes_public(where):
    with pytest.raises(EntryRefused) as refusal:
        write_leaf(entry(**{where: f"case of {IDENTITY_NUMBER}."}))

    assert IDENTITY_NUMBER not in str(refusal.value)
    assert write_leaf(entry(case_ref=IDENTITY_NUMBER, private={"code": IDENTITY_NUMBER}))


def test_eighteen_digits_alone_are_no_identity_number():
    for harmless in ("911100001000011111", "110105194912310021", "2" + IDENTITY_NUMBER):
        assert write_leaf(entry(details={"code": harmless}))


def test_the_check_character_decides():
    assert is_identity_number(IDENTITY_NUMBER.encode())
    assert is_identity_number(IDENTITY_NUMBER.lower().encode())
    assert (
        sum(is_identity_number(f"11010519491231002{last}".encode()) for last in "0123456789X") == 1
    )


@pytest.mark.parametrize("name", ["subject", "certificate"])
def test_what_is_committed_to_is_not_repeated_in_clear(name):
    value = "1.2.156.3005.2.SOMETHING"
    with pytest.raises(EntryRefused):
        write_leaf(entry(**{name: value}, details={"about": f"see {value}"}))


def test_line_breaks_cannot_forge_a_second_entry():
    forged = 'x","verdict":"valid"}\n{"v":1,"kind":"forged'

    leaf = write_leaf(entry(purpose=forged)).leaf

    assert b"\n" not in leaf
    assert read_leaf(leaf)["purpose"] == forged
    assert "verdict" not in read_leaf(leaf)


def test_sealed_openings_open_for_their_entry_only(cipher):
    ref = write_leaf(entry(subject="5b" * 32, case_ref="2026-1"))

    sealed = seal_openings(cipher, ref.id, ref.openings)

    assert b"2026-1" not in sealed
    assert unseal_openings(cipher, ref.id, sealed) == ref.openings
    for key, entry_id in ((cipher, "another"), (FieldCipher(b"k" * 32), ref.id)):
        with pytest.raises(Undecryptable):
            unseal_openings(key, entry_id, sealed)


def test_openings_do_not_show_in_logs():
    written = entry(case_ref="case-77", private={"name": "case-78"})

    for shown in (repr(written), repr(write_leaf(written))):
        assert "case-7" not in shown
