"""Attacks 55 and 56: uploads that keep our readers busy, and revisions that keep them from reading.

Whoever may hand in anything may also wait for it; nobody else does. And a reader that had to give
up says so: it has compared nothing, and found nothing unchanged.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from foundation.actor import ANONYMOUS, Actor, ActorKind
from foundation.errors import Unavailable
from signing import Seal, Validation
from signing.foreign import examination
from signing.foreign.examination import Budget, examine
from signing.trust.checks import Judge
from signing.validation.service import validate
from tests.attacks import pdf_edits as edits
from tests.attacks.test_pdf_bombs import a_million_pages
from tests.signing.conftest import KEEPER, House, house, seal, sealed  # noqa: F401
from tests.signing.foreign.test_sealing import letter, seal_it

BUDGETS = {
    "public": examination.PUBLIC,
    "departments": examination.DEPARTMENTS,
    "own": examination.OWN,
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a turn."""
    for budget in BUDGETS.values():
        monkeypatch.setattr(budget, "patience", 0.05)


@pytest.fixture
def busy() -> Iterator[Callable[[Budget], None]]:
    """Take every turn of a budget, as uploads do that cost half a minute each."""
    with ExitStack() as reading:

        def take(budget: Budget) -> None:
            for _ in range(budget.at_once):
                reading.enter_context(budget.slot())

        yield take


# --- 55: uploads that cost half a minute ------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_55_strangers_uploads_stop_neither_departments_nor_sealing(
    house: House,
    seal: Seal,
    busy: Callable[[Budget], None],
) -> None:
    busy(examination.PUBLIC)

    with pytest.raises(Unavailable) as refused:
        house.signing.validate(letter())
    found = house.signing.validate(letter(), budget=examination.DEPARTMENTS)
    document = seal_it(house, seal, letter())
    completed = house.signing.complete_pdf(document.data, now=house.clock())

    assert refused.value.retry_after == examination.RETRY_AFTER
    assert found.check("integrity").code == "not_sealed"
    assert (document.level, completed.level) == ("B-LT", "B-LT")


@pytest.mark.usefixtures("impatient")
def test_55_departments_do_not_stop_sealing_and_sealing_stops_nobody(
    house: House,
    seal: Seal,
    busy: Callable[[Budget], None],
) -> None:
    busy(examination.DEPARTMENTS)
    assert seal_it(house, seal, letter()).level == "B-LT"

    busy(examination.OWN)
    with pytest.raises(Unavailable):
        seal_it(house, seal, letter())
    assert house.signing.validate(letter()).check("integrity").code == "not_sealed"


def test_55_who_finds_every_place_taken_is_told_at_once() -> None:
    """Each upload that waits holds a thread; there are not many of those either."""
    budget, told = Budget(at_once=1, waiting=1, patience=30.0, niceness=0), threading.Event()

    def wait() -> None:
        with budget.slot():
            told.set()

    waiting = threading.Thread(target=wait)
    with budget.slot():
        waiting.start()
        while budget._places._value:  # until the other waits
            time.sleep(0.01)
        began = time.monotonic()
        with pytest.raises(Unavailable) as refused, budget.slot():
            pass
        assert time.monotonic() - began < 5.0
    waiting.join(timeout=10)

    assert refused.value.retry_after
    assert told.is_set()


def test_55_a_turn_is_free_again_whatever_became_of_it() -> None:
    budget = Budget(at_once=1, waiting=0, patience=0.05, niceness=0)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.slot():
            raise ZeroDivisionError

    assert examine(letter(), budget=budget).error == ""


def test_55_the_public_budget_is_for_all_who_work_for_no_department() -> None:
    citizen = Actor(ActorKind.PERSON, "chen", subjects=frozenset({"chen"}))
    officer = replace(KEEPER, roles=frozenset({"drafter"}))

    assert examination.budget_of(ANONYMOUS) is examination.PUBLIC
    assert examination.budget_of(citizen) is examination.PUBLIC
    assert examination.budget_of(officer) is examination.DEPARTMENTS
    assert examination.PUBLIC.niceness > examination.DEPARTMENTS.niceness > examination.OWN.niceness


# --- 56: a revision that nobody finishes reading ----------------------------------------------


def with_an_endless_table(data: bytes, entries: int = 4_000_000) -> bytes:
    """An update whose cross-reference stream has millions of entries, in a few kilobytes."""
    size, root = edits.trailer(data)
    packed = zlib.compress(bytes(7) * entries, 9)
    table = edits.stream(
        packed,
        b"/Type/XRef/Filter/FlateDecode/W[1 4 2]/Size %d/Root %d 0 R/Prev %d"
        % (size + entries, root, edits.last_startxref(data)),
    )
    data += b"\n"
    return data + b"%d 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (size, table, len(data))


def judged(house: House, data: bytes) -> Validation:
    """With a second of time instead of half a minute."""
    judge = Judge(house.signing._anchors(), house.seals.seal_at, house.clock())
    return validate(data, judge, partial(examine, seconds=1.0))


def test_56_what_follows_our_seal_is_a_change_even_where_nobody_can_read_it(
    house: House,
    seal: Seal,
    sealed: bytes,
) -> None:
    found = judged(house, with_an_endless_table(sealed))

    assert found.indication == "invalid"
    assert found.check("integrity").code == "changed_after_sealing"
    assert (found.covers_whole_file, found.seal_id) == (False, seal.id)


def test_56_only_an_intact_seal_of_ours_in_front_tells_that(
    house: House,
    sealed: bytes,
) -> None:
    for at in (600, len(sealed) // 4, len(sealed) // 2):
        broken = bytearray(with_an_endless_table(sealed))
        broken[at] ^= 1

        found = judged(house, bytes(broken))

        assert found.indication == "unknown"
        assert found.check("integrity").code == "too_complex"


def test_56_what_could_not_be_read_has_no_check_that_passed(
    house: House,
    seal: Seal,
) -> None:
    """A seal on somebody else's letter: read by the same program, which had to give up."""
    data = seal_it(house, seal, letter()).data

    found = judged(house, data + a_million_pages())

    assert found.indication != "valid"
    assert all(check.result != "pass" for check in found.checks)
