"""Numbers of people and organisations; their check characters are tested beside `identifier`."""

from datetime import date

import pytest

from foundation.codes import (
    as_written,
    birth_date,
    is_passport,
    is_resident_number,
    organisation_check,
    resident_check,
    sex,
)


@pytest.mark.parametrize("region", ["810000", "820000", "830000", "911156"])
def test_permits_bear_numbers_of_the_same_make(region):
    first = f"{region}19900307002"
    good = [digit for digit in "0123456789X" if is_resident_number(first + digit)]

    assert good == [resident_check(first)]


@pytest.mark.parametrize(
    "typed",
    ["11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ", " 110105 19491231\u3000002X"],
)
def test_a_number_is_the_same_however_it_was_typed(typed):
    assert as_written(typed) == "11010519491231002X"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("UTO-L898902C3", True),  # the example printed in ICAO 9303-4
        ("D-C01X00T47", True),  # Germany's code has one letter
        ("L898902C3", False),  # of which state?
        ("UTO-PASSPORT", False),
        ("UTO-1234", False),
        ("11010519491231002X", False),
    ],
)
def test_a_passport_is_named_with_its_state(text, good):
    assert is_passport(text) == good


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("18500101", date(1850, 1, 1)),
        ("18491231", None),
        ("20000229", date(2000, 2, 29)),
        ("19000229", None),
        ("19901301", None),
    ],
)
def test_the_day_inside_a_number_exists_and_somebody_born_then_may_have_one(written, day):
    assert birth_date(f"110105{written}002X") == day


@pytest.mark.parametrize(
    ("sequence", "said"),
    [("001", "male"), ("002", "female"), ("003", "male"), ("004", "female"), ("130", "female")],
)
def test_the_sequence_of_a_number_says_the_sex(sequence, said):
    first = f"11010519491231{sequence}"

    assert sex(first + resident_check(first)) == said


@pytest.mark.parametrize("check", [organisation_check, resident_check])
@pytest.mark.parametrize("length", [16, 18])
def test_a_check_character_is_of_17_others(check, length):
    with pytest.raises(ValueError, match="zip"):
        check("1" * length)
