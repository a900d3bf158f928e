"""Each rule of the published lists by itself: lists and changes on a database, no certificates."""

import asyncio
import zlib
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from certificates.register import status, status_store
from certificates.register.status import SIZE, Slot, StatusLists
from foundation.batching.routes import HotRequest
from foundation.canonical import b64url_decode
from foundation.errors import Malformed, NotFound
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.jose import unverified_header, verify_compact
from tests.certificates.conftest import PUBLIC_URL
from tests.certificates.register.rows import add_rows

SECOND = timedelta(seconds=1)
MEDIA_TYPE = "application/statuslist+jwt"


@pytest.fixture
def signing(sqlite_database, master_key, clock):
    return Keys(sqlite_database, SoftwareBackend(master_key), clock)


@pytest.fixture
def lists(sqlite_database, signing, clock):
    """The first list was opened now, at a whole second."""
    open_list(sqlite_database, 1, clock())
    lists = StatusLists(sqlite_database, signing, clock, PUBLIC_URL)
    yield lists
    lists.close()


@pytest.fixture
def change(sqlite_database):
    """Writes one change of a list, at a time."""

    def changed(value, at, *, slot=5, list_id=1):
        with sqlite_database.write() as tx:
            return status.record_change(tx, Slot(list_id, slot), value, at)

    return changed


def open_list(database, list_id, at):
    with database.write() as tx:
        status_store.open_list(tx, database, list_id, SIZE, at)


def read(signing, token):
    return verify_compact(
        token, typ="statuslist+jwt", key_for=signing.trusted("certificates.status")
    ).claims


def packed(signing, token):
    return zlib.decompress(b64url_decode(read(signing, token)["status_list"]["lst"]))


def asked(list_id: object = 1, query="", **headers):
    given: dict[str, Any] = {"path_params": {"id": str(list_id)}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HotRequest("GET", f"/status-lists/{list_id}", query=query, headers=named, **given)


def answered(lists, *about, **headers):
    return asyncio.run(lists.answer(asked(*about, **headers)))


def test_four_values_share_a_byte_and_keep_theirs():
    packed = bytearray(2)
    for index, value in enumerate((1, 2, 3, 1, 2)):
        status.put(packed, index, value)
    status.put(packed, 1, 0)

    assert [status.get(packed, index) for index in range(8)] == [1, 0, 3, 1, 2, 0, 0, 0]
    assert packed.hex() == "7102"


# ── the list as it is ────────────────────────────────────────────────────────────────────────


def test_a_list_is_a_token_of_all_its_values_for_a_day(lists, signing, change, clock):
    change(2, clock())
    change(1, clock(), slot=SIZE - 1)

    made = lists.publish(1)

    now = int(clock().timestamp())
    claims = read(signing, made.token)
    values = packed(signing, made.token)
    assert {name: value for name, value in claims.items() if name != "status_list"} == {
        "sub": f"{PUBLIC_URL}/status-lists/1",
        "iss": PUBLIC_URL,
        "iat": now,
        "exp": now + 86_400,
        "ttl": 60,
    }
    assert claims["status_list"] | {"lst": ""} == {
        "bits": 2,
        "lst": "",
        "aggregation_uri": f"{PUBLIC_URL}/status-lists",
    }
    assert len(values) == 262_144
    assert (status.get(values, 5), status.get(values, SIZE - 1)) == (2, 1)
    assert unverified_header(made.token)["typ"] == "statuslist+jwt"
    assert (made.version, made.signed_at, made.etag) == (2, clock(), f'"1.2.{now}"')


def test_lists_have_addresses(lists, sqlite_database, clock):
    open_list(sqlite_database, 2, clock())

    assert lists.uri(7) == f"{PUBLIC_URL}/status-lists/7"
    assert lists.uris() == [f"{PUBLIC_URL}/status-lists/1", f"{PUBLIC_URL}/status-lists/2"]


def test_a_list_is_signed_once_until_it_changes_or_an_hour_is_over(lists, change, clock):
    first = lists.publish(1)
    assert lists.publish(1) is first
    change(1, clock())
    changed = lists.publish(1)
    assert (changed.version, changed is first) == (1, False)

    clock.advance(timedelta(hours=1) - SECOND)
    assert lists.publish(1) is changed
    clock.advance(SECOND)
    assert lists.publish(1) is not changed


def test_a_list_that_was_signed_by_a_clock_that_was_ahead_is_kept_for_five_seconds(lists, clock):
    first = lists.publish(1)

    clock.advance(-5 * SECOND)
    assert lists.publish(1) is first
    clock.advance(-1 * SECOND)
    assert lists.publish(1) is not first


def test_two_who_ask_for_a_new_version_at_once_get_one_signature(lists):
    async def both():
        return await asyncio.gather(lists.answer(asked()), lists.answer(asked()))

    one, other = asyncio.run(both())

    assert one.body == other.body


def test_an_answer_is_the_token_with_its_tag_and_nothing_for_who_has_it(lists, clock):
    made = lists.publish(1)
    headers = (("etag", made.etag), ("cache-control", "no-cache"))

    for given in ({}, {"if_none_match": '"other"'}, {"if_none_match": made.etag[1:-1]}):
        answer = answered(lists, **given)
        assert (answer.status, answer.body) == (200, made.token.encode())
        assert (answer.media_type, answer.headers) == (MEDIA_TYPE, headers)
    for known in (made.etag, f"W/{made.etag}", f'"other" ,  W/{made.etag}', f"{made.etag},"):
        answer = answered(lists, if_none_match=known)
        assert (answer.status, answer.body) == (304, b"")
        assert (answer.media_type, answer.headers) == (MEDIA_TYPE, headers)


def test_each_list_has_its_own_values(lists, signing, sqlite_database, change, clock):
    open_list(sqlite_database, 2, clock())
    change(1, clock(), list_id=2)

    one, other = (answered(lists, each).body.decode() for each in (1, 2))

    assert status.get(packed(signing, one), 5) == 0
    assert status.get(packed(signing, other), 5) == 1
    assert read(signing, other)["sub"] == f"{PUBLIC_URL}/status-lists/2"


@pytest.mark.parametrize("name", ["x", "", "-1", "1.0", "١", "0", "2", "1234567890"])
def test_what_names_no_list_is_not_found(lists, sqlite_database, clock, name):
    open_list(sqlite_database, 1_234_567_890, clock())

    with pytest.raises(NotFound) as refused:
        answered(lists, name)

    assert refused.value.detail == "there is no such status list"


def test_a_name_has_up_to_nine_digits(lists, sqlite_database, clock):
    open_list(sqlite_database, 123_456_789, clock())

    assert answered(lists, "123456789").status == 200
    assert answered(lists, "01").status == 200
    with pytest.raises(NotFound, match="there is no such status list"):
        lists.publish(2)


def test_the_operation_is_told_with_its_parameters(lists):
    [route] = lists.routes()

    assert (route.method, route.path) == ("GET", "/status-lists/{id}")
    assert route.handler == lists.answer
    assert route.name == "get_status_list"
    assert route.tags == ("status",)
    assert set(route.openapi["responses"]) == {"200", "304", "404"}


# ── the list as it was ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def history(lists, change, clock):
    """Opened at 0; changed at 50, twice within second 100, and at 200; now 300."""
    start = clock()
    opened = int(start.timestamp())
    change(2, start + 50 * SECOND)
    change(0, start + 100 * SECOND)
    change(1, start + 100.5 * SECOND)
    change(0, start + 200 * SECOND)
    clock.advance(300 * SECOND)
    return opened


@pytest.mark.parametrize(
    ("at", "value", "begin", "end"),
    [
        (0, 0, 0, 50),
        (49, 0, 0, 50),
        (50, 2, 50, 100),
        (99, 2, 50, 100),
        (100, 1, 100, 200),
        (199, 1, 100, 200),
        (200, 0, 200, None),
        (300, 0, 200, None),
    ],
)
def test_a_list_of_the_past_says_since_when_and_until_when_it_was_so(
    lists, signing, history, at, value, begin, end
):
    past = lists.past(1, history + at)

    until = history + (300 + 60 if end is None else end)
    assert (past.begin, past.end, past.is_over) == (history + begin, until, end is not None)
    assert status.get(packed(signing, past.token), 5) == value
    claims = read(signing, past.token)
    assert (claims["iat"], claims["exp"]) == (history + begin, until)
    assert "ttl" not in claims


@pytest.mark.parametrize("at", [-1, 301, 99_999_999_999, 253_370_764_800, 253_402_300_799, 10**12])
def test_there_is_none_before_it_was_opened_and_none_of_tomorrow(lists, history, at):
    with pytest.raises(NotFound, match="there is no such status list at that time"):
        lists.past(1, at if at > 301 else history + at)


def test_there_is_none_of_a_list_that_nobody_opened(lists, history):
    with pytest.raises(NotFound):
        lists.past(2, history)


def test_what_is_over_is_signed_once_and_what_is_not_once_a_minute(lists, history, clock, change):
    over, still = lists.past(1, history + 150), lists.past(1, history + 250)

    clock.advance(59 * SECOND)
    assert lists.past(1, history + 101) is over
    assert lists.past(1, history + 300) is still
    clock.advance(SECOND)
    again = lists.past(1, history + 250)
    assert again is not still
    assert again.end == still.end + 60
    change(2, clock())
    clock.advance(SECOND)
    now_over = lists.past(1, history + 250)
    assert (now_over.end, now_over.is_over) == (history + 360, True)
    clock.advance(timedelta(days=900))
    assert lists.past(1, history + 250) is now_over
    assert lists.past(1, history + 101) is over


def test_an_answer_of_what_is_over_may_be_kept(lists, history):
    over, still = (answered(lists, 1, f"x=1&time={history + at}") for at in (150, 250))

    assert (over.status, over.media_type) == (200, MEDIA_TYPE)
    assert over.body == lists.past(1, history + 150).token.encode()
    assert over.headers == (("cache-control", "public, max-age=86400"),)
    assert still.headers == (("cache-control", "no-cache"),)
    assert answered(lists, 1, "x=1").headers[0][0] == "etag"


@pytest.mark.parametrize(
    "query", ["time=", "time=x", "time=1&time=2", "time=-1", "time=" + "1" * 12]
)
def test_a_time_is_one_number(lists, query):
    with pytest.raises(Malformed, match="time is one number of whole seconds since 1970"):
        answered(lists, 1, query)


VERSIONS = (0, 1, 2, 3, 4, None)


def test_values_up_to_a_version_are_those_of_that_version(sqlite_database, history):
    with sqlite_database.read() as tx:
        found = [status.get(status.read_bits(tx, 1, version), 5) for version in VERSIONS]

    assert found == [0, 2, 0, 1, 0, 0]


# ── places ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def taken(sqlite_database, lists):
    """Takes so many places of the first list, from 0 on."""

    def take(number):
        with sqlite_database.write() as tx:
            add_rows(tx, *({"status_index": place} for place in range(number)))

    return take


def drawn(database, monkeypatch, wanted, numbers):
    def randbelow(size):
        assert size == 1 << 20
        return next(numbers)

    monkeypatch.setattr("secrets.randbelow", randbelow)
    with database.read() as tx:
        return status._draw(tx, 1, wanted)


def test_a_list_of_which_half_is_taken_still_has_places(sqlite_database, taken, monkeypatch):
    taken(20)  # of the 2 * 4 + 32 that are drawn

    assert drawn(sqlite_database, monkeypatch, 4, count()) == [
        Slot(1, place) for place in (20, 21, 22, 23)
    ]


def test_a_list_of_which_more_is_taken_has_none(sqlite_database, taken, monkeypatch):
    taken(21)

    assert drawn(sqlite_database, monkeypatch, 4, count()) is None


def test_a_place_that_is_drawn_twice_is_one_place(sqlite_database, lists, monkeypatch):
    twice = (number // 40 for number in count())

    assert drawn(sqlite_database, monkeypatch, 1, iter([7] * 34)) == [Slot(1, 7)]
    assert drawn(sqlite_database, monkeypatch, 2, iter([7] * 36)) is None
    assert drawn(sqlite_database, monkeypatch, 4, twice) is None


def test_the_first_list_is_opened_when_somebody_needs_a_place(sqlite_database, clock):
    [slot] = status.choose_slots(sqlite_database, 1, clock())

    assert slot.list_id == 1
    assert 0 <= slot.index < 1 << 20
    with sqlite_database.read() as tx:
        assert status_store.opened_at(tx, 1) == clock()
        assert status_store.list_ids(tx) == [1]


def test_a_list_that_is_full_is_followed_by_the_next(sqlite_database, taken, clock, monkeypatch):
    taken(21)
    numbers = count()
    monkeypatch.setattr("secrets.randbelow", lambda _: next(numbers) % 34)

    assert status.choose_slots(sqlite_database, 1, clock())[0].list_id == 2
