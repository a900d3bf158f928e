"""Check characters against published identifiers, and what they must catch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates.identifier import (
    compose,
    is_organisation_code,
    is_resident_number,
    mod_11_10,
    mod_37_36,
    new_serial,
    organisation_check,
    parse,
    resident_check,
)

# Identifiers of real certificates, as printed in public interface documents and file names.
PUBLISHED = [
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.002.S",
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
    "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
    "1.2.156.3005.2.11100000000013338W009.11330105002500287C.2025052201.002.0",
    "1.2.156.3005.2.11100000000013338W087.11370800MB28559184.37080001202411010001.001.3",
]
ALPHANUMERIC = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=60)
DIGITS = st.text("0123456789", min_size=1, max_size=30)


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_identifiers_are_read_and_written_back(text):
    identifier = parse(text)

    assert identifier is not None
    assert str(identifier) == text


@pytest.mark.parametrize("text", PUBLISHED)
def test_any_single_wrong_character_in_a_published_identifier_is_caught(text):
    for place in range(len("1.2.156.3005.2."), len(text)):
        if text[place] != ".":
            wrong = "0" if text[place] != "0" else "1"
            assert parse(text[:place] + wrong + text[place + 1 :]) is None


@given(ALPHANUMERIC, st.data())
def test_mod_37_36_catches_every_single_error(text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    changed = text[:place] + other + text[place + 1 :]

    assert (mod_37_36(changed) == mod_37_36(text)) == (changed == text)


@given(DIGITS, st.data())
def test_mod_11_10_catches_every_single_error(digits, data):
    place = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from("0123456789"))
    changed = digits[:place] + other + digits[place + 1 :]

    assert (mod_11_10(changed) == mod_11_10(digits)) == (changed == digits)


def test_published_examples_of_iso_7064_come_out():
    assert mod_11_10("0794") == "5"
    assert mod_11_10("0003") == "0"  # by hand: 10 → 9 → 7 → 3 → 1, and (11 - 1) mod 10
    assert mod_37_36("A12425GABC1234002") == "M"


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17), st.data())
def test_an_organisation_code_with_one_wrong_character_is_refused(first, data):
    body = first[:2] + "320506" + first[8:]
    code = body + organisation_check(body)
    place = data.draw(st.sampled_from([0, 1, *range(8, 18)]))
    other = data.draw(st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
    changed = code[:place] + other + code[place + 1 :]

    assert is_organisation_code(code)
    assert is_organisation_code(changed) == (changed == code)


@pytest.mark.parametrize(
    "code", ["11100000MB0143028R", "11100000000013338W", "11430000006122244L", "91110000600037341L"]
)
def test_published_organisation_codes_are_accepted(code):
    assert is_organisation_code(code)


@pytest.mark.parametrize(
    ("number", "good"),
    [
        ("11010519491231002X", True),  # the example printed in GB 11643
        ("440524188001010014", True),  # the other one
        ("110105194912310021", False),
        ("11010519490231002X", False),
        ("11010519491231002x", False),
        ("1101051949123100", False),
        ("١١010519491231002X", False),
    ],
)
def test_resident_numbers_need_a_real_date_and_their_check_character(number, good):
    assert is_resident_number(number) == good


@given(st.dates(), st.integers(0, 999))
def test_every_made_resident_number_is_accepted(day, sequence):
    first = f"320506{day:%Y%m%d}".replace(" ", "0")
    body = f"320506{day.year:04d}{day.month:02d}{day.day:02d}{sequence:03d}"

    assert len(first) <= 14
    assert is_resident_number(body + resident_check(body)) == (day.year >= 1850)


def test_serials_are_long_and_never_the_same():
    serials = {new_serial() for _ in range(1000)}

    assert len(serials) == 1000
    assert {len(serial) for serial in serials} == {16}


def test_a_composed_identifier_is_valid():
    identifier = compose("11100000MB0143028R901", "11430000006122244L", "ABC123")

    assert identifier.is_valid
    assert str(identifier).endswith(f".ABC123.001.{identifier.check}")  # versions count from 1
    assert parse(str(identifier)) == identifier
