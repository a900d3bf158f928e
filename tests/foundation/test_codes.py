"""Numbers of people and organisations; their check characters are tested beside `identifier`."""

import pytest

from foundation.codes import as_written, is_passport, is_resident_number, resident_check


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
