"""What is put right on the way in, what is refused, and that no value leaks into an error."""

from datetime import date

import pytest

from certificates.catalogue import fields as field_rules
from certificates.identifier import mod_11_10
from tests.certificates.conftest import AUTHORITY, FOOD, PERMIT

TODAY = date(2026, 11, 24)


def prepared(kind, given):
    normal, notices = field_rules.normalise(kind, given)
    return field_rules.complete(kind, normal, AUTHORITY, TODAY, lambda _number: False), notices


def codes(kind, given):
    fields, _ = prepared(kind, given)
    return {
        error.pointer.removeprefix("/fields/"): error.code
        for error in field_rules.check(kind, fields, TODAY)
    }


def test_good_fields_have_no_errors(types, food):
    assert codes(food, FOOD) == {}
    assert codes(types["residence-permit"], PERMIT) == {}


def test_full_width_digits_and_stray_spaces_are_put_right_and_told(food):
    wide = "".join(chr(ord(c) + 0xFEE0) for c in FOOD["organisation_code"])
    fields, notices = prepared(
        food, FOOD | {"organisation_code": f" {wide[:9]}　{wide[9:]}", "operator_name": " 面馆  A "}
    )

    assert fields["organisation_code"] == FOOD["organisation_code"]
    assert fields["operator_name"] == "面馆 A"
    assert {(notice.field, notice.code) for notice in notices} == {
        ("organisation_code", "full_width_characters"),
        ("operator_name", "stray_spaces"),
    }


def test_chinese_punctuation_is_left_alone(food):
    fields, notices = prepared(food, FOOD | {"operator_name": "面馆（总店）"})

    assert fields["operator_name"] == "面馆（总店）"
    assert notices == []


def test_a_choice_may_be_written_by_its_label(food):
    fields, _ = prepared(food, FOOD | {"business_form": "餐饮服务经营者"})

    assert fields["business_form"] == "catering"


def test_number_dates_and_end_are_filled_by_the_rules_of_the_type(food):
    fields, _ = prepared(food, FOOD)

    number = fields["licence_number"]
    assert number.startswith("JY2" + AUTHORITY[2:8])
    assert number[-1] == mod_11_10(number[2:-1])
    assert (fields["issue_date"], fields["valid_from"]) == ("2026-11-24", "2026-11-24")
    assert fields["valid_until"] == "2031-11-23"


def test_a_licence_from_29_february_ends_on_28_february(food):
    fields, _ = prepared(food, FOOD | {"valid_from": "2024-02-29"})

    assert fields["valid_until"] == "2029-02-28"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("organisation_code", "91990000MA1B00068X", "bad_check_character"),
        ("business_form", "casino", "not_a_choice"),
        ("operator_name", "", "missing"),
        ("operator_name", "面" * 81, "too_long"),
        ("operator_name", "A\u202eB", "invisible_character"),
        ("operator_name", "A\u200bB", "invisible_character"),
        ("operator_name", "A\ue000B", "invisible_character"),
        ("operator_name", "A\nB", "invisible_character"),
        ("valid_from", "2026-02-30", "bad_date"),
        ("valid_until", "2020-01-01", "dates_out_of_order"),
        ("licence_number", "JY9", "wrong_form"),
        ("colour", "red", "unknown_field"),
    ],
)
def test_each_broken_rule_has_its_own_code(food, field, value, code):
    assert codes(food, FOOD | {field: value}) == {field: code}


def test_a_resident_number_with_a_wrong_check_character_is_refused(types):
    number = PERMIT["resident_number"]
    wrong = number[:17] + ("0" if number[17] != "0" else "1")

    assert codes(types["residence-permit"], PERMIT | {"resident_number": wrong}) == {
        "resident_number": "bad_check_character"
    }


def test_no_error_repeats_the_value_it_is_about(types):
    kind = types["residence-permit"]
    given = {name: f"SECRET{name}" * 40 for name in kind.fields}
    fields, _ = prepared(kind, given)

    for error in field_rules.check(kind, fields, TODAY):
        assert "SECRET" not in error.detail


@pytest.mark.parametrize(
    "unseen",
    ["\u3164", "\ufe0f", "\U000e0100", "\u034f", "\u115f", "\u200b", "\u202e", "\U000e0041"],
)
def test_a_character_nobody_sees_is_named_by_its_number(food, unseen):
    fields, _ = prepared(food, FOOD | {"operator_name": f"面{unseen}馆"})

    [error] = field_rules.check(food, fields, TODAY)

    assert error.code == "invisible_character"
    assert f"U+{ord(unseen):04X}" in error.detail


def test_radicals_from_a_copied_pdf_become_the_characters_they_look_like(food):
    fields, notices = prepared(food, FOOD | {"operator_name": "⼈民⾯馆"})

    assert fields["operator_name"] == "人民面馆"
    assert [notice.code for notice in notices] == ["rewritten"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("birth_date", "1991-03-07", "contradicts_number"),
        ("sex", "male", "contradicts_number"),
        ("birth_date", "2990-03-07", "date_in_future"),
        ("birth_date", "0001-01-01", "bad_date"),
        ("issue_date", "2026-11-25", "date_in_future"),
    ],
)
def test_a_permit_must_agree_with_its_holder_s_number_and_the_calendar(types, field, value, code):
    assert codes(types["residence-permit"], PERMIT | {field: value})[field] == code


def test_the_day_of_issue_is_not_in_the_future_but_the_start_may_be(food):
    assert codes(food, FOOD | {"issue_date": "2026-11-24", "valid_from": "2027-01-01"}) == {}


def test_dates_at_the_end_of_the_calendar_break_nothing(food):
    assert codes(food, FOOD | {"valid_until": "9999-12-31"}) == {}
    assert codes(food, FOOD | {"valid_from": "9998-01-01"}) == {"valid_until": "bad_date"}


def test_a_name_with_a_slash_is_one_place(food):
    fields, _ = prepared(food, FOOD | {"a/b~c": "1"})

    assert [each.pointer for each in field_rules.check(food, fields, TODAY)] == ["/fields/a~1b~0c"]
