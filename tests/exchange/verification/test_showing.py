"""A holder shows a certificate; the browser that opened the code may look again until its end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from certificates.models import certificates
from certificates.rules import State
from exchange import Verdict
from exchange.errors import ShowCodeExpired, ShowCodeUnknown
from exchange.models import ShowCode, show_codes
from foundation.actor import ANONYMOUS

WORD, ANOTHER = "word-of-this-browser", "word-of-another-browser"


@pytest.fixture
def code(house, licence) -> ShowCode:
    return house.verifications.create_show_code(house.holder(licence), licence.identifier)


def opened(house, code: ShowCode) -> Verdict:
    until = house.verifications.showing.open_for(WORD, code.token, ANONYMOUS)
    assert until == code.expires_at
    seen = house.verifications.showing.again(WORD, code.token)
    assert seen is not None
    return seen


def test_the_same_browser_sees_the_same_answer_without_a_new_question(house, licence, code):
    first = opened(house, code)
    house.clock.advance(timedelta(seconds=59))

    again = house.verifications.showing.again(WORD, code.token)

    assert again == first
    assert (first.verdict, first.purpose) == ("valid", "holder-show")
    assert first.fields["operator_name"] == licence.fields["operator_name"]
    [look] = house.looks(licence)
    assert look.entry_id == first.entry_id


def test_what_is_kept_for_the_browser_is_the_whole_answer(house, licence, code):
    other = house.verifications.create_show_code(house.holder(licence), licence.identifier)

    kept, told = opened(house, code), house.verifications.open(other.token, ANONYMOUS)

    for name in ("checks", "fields", "predicates", "type", "authority_name", "legal_basis"):
        assert getattr(kept, name) == getattr(told, name), name


@pytest.mark.parametrize("word", ["", ANOTHER])
def test_another_browser_sees_nothing_and_opens_nothing(house, licence, code, word):
    opened(house, code)

    assert house.verifications.showing.again(word, code.token) is None
    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.open_for(ANOTHER, code.token, ANONYMOUS)
    assert sorted(each.verdict for each in house.looks(licence)) == ["not_permitted", "valid"]


def test_nothing_is_seen_before_it_was_opened(house, licence, code):
    assert house.verifications.showing.again(WORD, code.token) is None
    assert house.verifications.showing.again(WORD, "show-AAAAAAAAAAAAAAAAAAAAAA") is None
    with pytest.raises(ShowCodeUnknown):
        house.verifications.showing.open_for(WORD, "show-AAAAAAAAAAAAAAAAAAAAAA", ANONYMOUS)
    assert house.looks(licence) == []


def test_a_form_sent_twice_at_once_opens_once(house, licence, code):
    gate = threading.Barrier(4)

    def open_it(_: int) -> bool:
        gate.wait()
        return house.verifications.showing.open_for(WORD, code.token, ANONYMOUS) == code.expires_at

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(open_it, range(4)))

    assert len(house.looks(licence)) == 1


def test_the_answer_ends_with_the_code_not_a_minute_after_it_was_opened(house, code):
    house.clock.advance(timedelta(seconds=40))
    opened(house, code)
    house.clock.advance(timedelta(seconds=20))

    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)


def test_taking_the_code_back_ends_it_at_once(house, licence, code):
    opened(house, code)
    holder = house.holder(licence)

    assert house.verifications.withdraw_show_codes(holder, licence.identifier) == 1

    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)
    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.open_for(WORD, code.token, ANONYMOUS)
    kinds = [entry.kind for entry in house.ledger.about([licence.subject]).items]
    assert kinds.count("certificate.show_withdrawn") == 1
    assert house.verifications.withdraw_show_codes(holder, licence.identifier) == 0


@pytest.mark.parametrize("to", [State.REVOKED, State.SUSPENDED])
def test_a_changed_status_ends_it_at_once(house, licence, code, to):
    opened(house, code)
    reason = {"revoked": "serious_violation", "suspended": "under_investigation"}[to]

    house.change(licence, to, reason)

    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)


def test_a_status_that_changed_and_changed_back_has_ended_it(house, licence, code):
    opened(house, code)
    house.clock.advance(timedelta(seconds=1))
    house.change(licence, State.SUSPENDED, "under_investigation")
    house.change(licence, State.ACTIVE, "suspension_lifted")

    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)


def test_a_record_that_was_changed_by_hand_is_not_shown_again(house, licence, code):
    opened(house, code)

    with house.database.write() as tx:
        mine = certificates.c.identifier == licence.identifier
        tx.execute(update(certificates).where(mine).values(authority_name="Somebody"))

    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)


def test_a_revoked_licence_that_is_shown_is_seen_as_revoked_and_again(house, licence, code):
    house.change(licence, State.REVOKED, "serious_violation")

    assert opened(house, code).verdict == "revoked"
    assert house.verifications.showing.again(WORD, code.token).verdict == "revoked"


def test_what_was_opened_is_forgotten_at_the_end_of_the_code(house, code):
    opened(house, code)
    house.clock.advance(timedelta(seconds=61))

    house.verifications.forget_old()

    with house.database.read() as tx:
        assert tx.execute(show_codes.select()).one().answer is None
    with pytest.raises(ShowCodeExpired):
        house.verifications.showing.again(WORD, code.token)


def test_a_thief_of_the_database_reads_neither_the_answer_nor_the_word(house, licence, code):
    opened(house, code)

    with house.database.read() as tx:
        row = str(tx.exec_driver_sql("SELECT * FROM show_codes").one())

    assert WORD not in row
    assert licence.fields["operator_name"] not in row
