"""The status list: packed as the draft says, public at once, never an index twice."""

import asyncio
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from certificates.models import certificates as table
from certificates.models import status_changes, status_lists
from certificates.register import status
from certificates.rules import State
from foundation.batching.routes import HotRequest
from foundation.canonical import b64url_decode
from foundation.errors import Malformed, NotFound
from keys.encoding.jose import verify_compact
from tests.certificates.conftest import LI, PUBLIC_URL


def fetch(lists, list_id="1", **headers):
    request = HotRequest(
        "GET", f"/status-lists/{list_id}", headers=headers, path_params={"id": list_id}
    )
    return asyncio.run(lists.answer(request))


def value_of(token, keys, index, now):
    verified = verify_compact(
        token, typ="statuslist+jwt", key_for=keys.trusted("certificates.status")
    )
    claims = verified.claims
    assert claims["exp"] > now.timestamp() >= claims["iat"]
    assert claims["status_list"]["bits"] == 2
    return status.get(zlib.decompress(b64url_decode(claims["status_list"]["lst"])), index)


def test_bits_are_packed_as_in_the_draft():
    # draft-ietf-oauth-status-list, "Compressed Byte Array" for 2 bits: 1,2,0,3,0,1,0,1,1,2,3,3
    packed = bytearray(3)
    for index, value in enumerate([1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]):
        status.put(packed, index, value)

    assert packed.hex() == "c944f9"


@given(st.dictionaries(st.integers(0, 999), st.integers(0, 3), max_size=50))
def test_what_is_put_is_what_is_got(values):
    packed = bytearray(250)
    for index, value in values.items():
        status.put(packed, index, 3)
        status.put(packed, index, value)

    assert all(status.get(packed, index) == values.get(index, 0) for index in range(1000))


def test_a_revocation_is_public_when_the_call_returns(certificates, issued, keys, clock):
    lists = certificates.status_lists
    before = fetch(lists)
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")
    during = fetch(lists)
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    after = fetch(lists)

    values = [
        value_of(answer.body.decode(), keys, issued.status_index, clock())
        for answer in (before, during, after)
    ]
    assert values == [0, 2, 1]


def test_another_process_sees_a_revocation_at_once(certificates, issued, database, keys, clock):
    elsewhere = status.StatusLists(database, keys, clock, PUBLIC_URL)
    fetch(elsewhere)

    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")

    token = fetch(elsewhere).body.decode()
    assert value_of(token, keys, issued.status_index, clock()) == 1
    elsewhere.close()


def test_a_restored_certificate_is_valid_in_the_list_again(certificates, issued, keys, clock):
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")
    certificates.change_state(LI, issued.identifier, State.ACTIVE, "suspension_lifted")

    token = certificates.status_lists.publish(1).token
    assert value_of(token, keys, issued.status_index, clock()) == 0


def test_an_unchanged_list_is_not_sent_twice(certificates, issued):
    first = fetch(certificates.status_lists)
    tag = dict(first.headers)["etag"]
    again = fetch(certificates.status_lists, **{"if-none-match": f'"x", W/{tag}'})
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    changed = fetch(certificates.status_lists, **{"if-none-match": tag})

    assert (first.status, again.status, changed.status) == (200, 304, 200)
    assert again.body == b""
    assert first.media_type == "application/statuslist+jwt"


def test_a_list_is_signed_anew_before_it_grows_old(certificates, issued, clock):
    first = fetch(certificates.status_lists)
    clock.advance(timedelta(hours=2))
    later = fetch(certificates.status_lists)

    assert first.body != later.body


@pytest.mark.parametrize("list_id", ["2", "0", "-1", "1.0", "١", "x" * 50, "99999999999"])
def test_a_list_that_does_not_exist_is_not_found(certificates, issued, list_id):
    with pytest.raises(NotFound):
        fetch(certificates.status_lists, list_id)


def test_a_slot_is_never_used_twice(database, issued):
    with database.read() as tx:
        row = tx.execute(select(table)).first()._asdict()
    twin = {
        "id": "2",
        "identifier": "other",
        "number": "other",
        "qr_token": "other",
        "draft_id": None,
        "batch_id": None,
    }
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(insert(table).values(row | twin))


def test_slots_are_random_and_free(database, clock):
    slots = status.choose_slots(database, 500, clock())
    numbers = [slot.index for slot in slots]

    assert len(set(numbers)) == 500
    assert numbers != sorted(numbers)
    assert {slot.list_id for slot in slots} == {1}


def test_a_full_list_makes_room_in_the_next(database, clock, issued, monkeypatch):
    monkeypatch.setattr(status, "SIZE", 1)
    monkeypatch.setattr("secrets.randbelow", lambda _: issued.status_index)

    with database.read() as tx:
        assert status._draw(tx, 1, 1) is None
    monkeypatch.undo()

    with database.write() as tx:
        tx.execute(insert(status_lists).values(id=2, size=4, version=0, opened_at=clock()))
    assert status.choose_slots(database, 1, clock())[0].list_id == 2


def test_the_history_of_a_slot_is_kept(certificates, issued, database):
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")

    with database.read() as tx:
        rows = tx.execute(select(status_changes).order_by(status_changes.c.version)).all()
    assert [(row.version, row.slot, row.value) for row in rows] == [
        (1, issued.status_index, 2),
        (2, issued.status_index, 1),
    ]


def test_a_value_the_list_does_not_know_is_refused_by_the_database(database, issued, certificates):
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(update(status_changes).values(value=3))


def test_the_list_of_any_moment_is_signed_and_says_how_long_it_was_so(
    certificates, issued, keys, clock
):
    """draft-ietf-oauth-status-list §8.4: was it valid on that day?"""
    lists, index = certificates.status_lists, issued.status_index
    opened = int(clock().timestamp())
    clock.advance(timedelta(days=10))
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")
    suspended = int(clock().timestamp())
    clock.advance(timedelta(days=10))
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    revoked = int(clock().timestamp())
    clock.advance(timedelta(days=10))

    for moment, value in (
        (opened, 0),
        (suspended - 1, 0),
        (suspended, 2),
        (revoked - 1, 2),
        (revoked, 1),
        (int(clock().timestamp()), 1),
    ):
        answer = at_time(lists, moment)
        past = value_of(answer.body.decode(), keys, index, datetime.fromtimestamp(moment, UTC))
        assert past == value, moment
        assert answer.body == at_time(lists, moment).body, "made once"
    assert value_of(fetch(lists).body.decode(), keys, index, clock()) == 1


def test_acts_of_one_second_count_from_its_beginning(certificates, issued, keys, clock):
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")
    clock.advance(timedelta(milliseconds=300))
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")

    moment = int(clock().timestamp())
    token = at_time(certificates.status_lists, moment).body.decode()

    at = datetime.fromtimestamp(moment, UTC)
    assert value_of(token, keys, issued.status_index, at) == 1


@pytest.mark.parametrize("moment", ["0", "1", "99999999999", "253402300799"])
def test_there_is_no_list_before_it_was_opened_and_none_of_tomorrow(
    certificates, issued, moment, clock
):
    for text in (moment, str(int(clock().timestamp()) + 1)):
        if len(text) <= 11:
            with pytest.raises(NotFound):
                at_time(certificates.status_lists, text)
    with pytest.raises(NotFound):
        at_time(certificates.status_lists, clock().timestamp().__floor__(), list_id="7")


@pytest.mark.parametrize("moment", ["", "-1", "1.5", "now", "1e9", "１", "9" * 12, "1&time=2"])
def test_a_moment_that_is_no_number_is_malformed(certificates, issued, moment):
    with pytest.raises(Malformed):
        at_time(certificates.status_lists, moment)


def at_time(lists, moment, list_id="1"):
    request = HotRequest(
        "GET", f"/status-lists/{list_id}", query=f"time={moment}", path_params={"id": list_id}
    )
    return asyncio.run(lists.answer(request))
