"""Wrong clocks (59): a process whose clock was ahead or behind, then corrected."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from certificates.models import certificates
from certificates.register.status import LIFETIME
from certificates.rules import State
from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from keys.encoding.jose import parse_object
from tests.exchange.conftest import asking, house, licence, renderer, types

__all__ = ["house", "licence", "renderer", "types"]  # fixtures of the exchange's own tests

HOUR, DAY, LONG = timedelta(hours=1), timedelta(days=1), timedelta(days=400)
WRONG = pytest.mark.parametrize("wrong", [HOUR, DAY, LONG, -HOUR, -DAY, -LONG], ids=str)


def answers(house, licence):
    """By number, by file, by offline code and by the printed link."""
    holder = house.holder(licence)
    pdf = house.certificates.pdf(holder, licence.identifier)
    code = house.certificates.rendition(holder, licence.identifier, "cwt-qr").decode()
    credential = house.certificates.rendition(holder, licence.identifier, "dc+sd-jwt")
    return {
        "number": house.ask(asking(licence.number)),
        "pdf": house.ask(asking(document=pdf)),
        "credential": house.ask(asking(document=credential)),
        "code": house.ask(asking(qr_text=code)),
        "link": house.ask(asking(qr_text=f"/v/{licence.qr_token}")),
    }


@pytest.mark.parametrize("ahead", [HOUR, DAY, LONG], ids=str)
def test_59_a_licence_sealed_by_a_clock_that_was_ahead_is_undecided_until_its_time_comes(
    house, ahead
):
    house.clock.advance(ahead)
    licence = house.issue()
    house.clock.advance(-ahead)

    for way, verdict in answers(house, licence).items():
        assert verdict.verdict == "source_unavailable", way
        assert verdict.reason == "time_in_future", way
        assert "fail" not in {check.result for check in verdict.checks[:5]}, way
        assert not verdict.fields

    house.clock.advance(ahead)
    assert {verdict.verdict for verdict in answers(house, licence).values()} == {"valid"}


@WRONG
def test_59_a_licence_asked_about_by_a_wrong_clock_is_never_tampered(house, licence, wrong):
    house.clock.advance(wrong)
    verdicts = {way: verdict.verdict for way, verdict in answers(house, licence).items()}
    house.clock.advance(-wrong)

    assert "tampered" not in verdicts.values(), verdicts
    assert set(verdicts.values()) == {"valid" if wrong > -HOUR else "source_unavailable"}
    assert {verdict.verdict for verdict in answers(house, licence).values()} == {"valid"}


@WRONG
def test_59_whatever_a_wrong_clock_seals_is_never_tampered(house, wrong):
    house.clock.advance(wrong)
    try:
        licence = house.issue()
    except YinzhengError:  # before the seal's period nothing is sealed at all
        assert wrong < timedelta(0)
        return
    finally:
        house.clock.advance(-wrong)

    verdicts = {way: verdict.verdict for way, verdict in answers(house, licence).items()}

    assert "tampered" not in verdicts.values(), verdicts


@pytest.mark.parametrize("behind", [HOUR, LONG], ids=str)
def test_59_a_time_of_sealing_before_the_seals_period_is_undecided(house, licence, behind):
    before = {"issued_at": licence.issued_at - behind}
    with house.database.write() as tx:
        tx.execute(update(certificates).values(**before))

    verdict = house.ask(asking(licence.number))

    assert (verdict.verdict, verdict.reason) == ("source_unavailable", "seal_outside_period")
    assert verdict.checks[1].result == "unknown"


def test_59_revoked_is_revoked_by_any_clock(house, licence):
    house.change(licence, State.REVOKED, "serious_violation")
    house.clock.advance(-DAY)

    assert {verdict.verdict for verdict in answers(house, licence).values()} == {"revoked"}


def test_59_no_list_from_the_future_is_served(house, licence):
    house.clock.advance(LONG)
    house.certificates.status_lists.publish(licence.status_list)
    now = house.clock.advance(-LONG).timestamp()

    token = house.certificates.status_lists.publish(licence.status_list).token

    claims = parse_object(b64url_decode(token.split(".")[1]))
    assert claims["iat"] <= now < claims["exp"] <= now + LIFETIME.total_seconds()
