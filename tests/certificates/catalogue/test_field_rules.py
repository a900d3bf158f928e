"""Each rule of `fields` by itself: what is put right, what an error says, which number is made."""

import msgspec
import pytest

from certificates.catalogue import Number, fields
from certificates.catalogue.fields import Correction
from foundation.errors import FieldError, Invalid
from tests.certificates.catalogue.test_fields import TODAY, codes, prepared
from tests.certificates.conftest import AUTHORITY, FOOD, PERMIT


def told(kind, given):
    """Pointer → what the error says."""
    done, _ = prepared(kind, given)
    return {each.pointer: each.detail for each in fields.check(kind, done, TODAY)}


# ── what is put right ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "typed", "kept", "notices"),
    [
        ("operator_name", "\ufeff面馆", "面馆", ["rewritten"]),
        ("operator_name", "面馆Ａｚ０ ！", "面馆Az0 ！", ["full_width_characters"]),
        ("operator_name", "面馆 \u3000A\t", "面馆 A", ["stray_spaces"]),
        ("operator_name", "面馆\n", "面馆\n", []),
        ("operator_name", "｟面馆｠ ", "｟面馆｠", ["stray_spaces"]),
        ("licence_number", "jy1 ！", "JY1!", ["full_width_characters"]),
        ("licence_number", "jy1～", "JY1~", ["full_width_characters"]),
        ("licence_number", "jy1", "JY1", ["rewritten"]),
        ("business_form", "food retailer", "food-sales", ["rewritten"]),
        ("business_form", "ＦＯＯＤ　Ｒｅｔａｉｌｅｒ", "food-sales", ["full_width_characters"]),
        ("business_form", "餐飲服務 經營者", "catering", ["rewritten"]),
        ("business_form", "Catering", "Catering", []),
        ("business_items", "热食 \u3000A\r\n\n  冷食\n", "热食 A\n冷食", ["rewritten"]),
        ("issue_date", "2026/3/2", "2026-03-02", ["rewritten"]),
        ("issue_date", "２０２６ 年 11 月 24 日", "2026-11-24", ["full_width_characters"]),
        ("issue_date", "2.3.2026", "2.3.2026", []),
    ],
)
def test_what_people_type_becomes_what_is_meant_and_is_told(food, field, typed, kept, notices):
    normal, told = fields.normalise(food, {field: typed})

    assert normal == {field: kept}
    assert told == [Correction(field, code) for code in notices]


def test_an_empty_field_is_none_and_an_unknown_one_is_left_for_the_check(food):
    normal, notices = fields.normalise(food, {"operator_name": " ", "a": "", "b": " x"})

    assert normal == {"a": "", "b": " x"}
    assert notices == [Correction("operator_name", "stray_spaces")]


def test_what_is_no_text_is_nobody_s_name():
    assert fields.not_text("a/b", "None") is None
    assert fields.not_text("a/b", None) == FieldError("/fields/a~1b", "not_text", "is not text")


@pytest.mark.parametrize(
    ("text", "day"),
    [("2026-11-24", TODAY), ("2026-02-30", None), ("", None), (None, None), ("24.11.2026", None)],
)
def test_a_date_is_written_one_way(text, day):
    assert fields.as_date(text) == day


# ── the end of validity ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-01", "2030-12-31"),
        ("9994-01-02", "9999-01-01"),
        ("9995-01-01", ""),
        ("2026-02-30", None),
    ],
)
def test_an_end_is_computed_from_a_start_that_exists(food, start, end):
    done, _ = prepared(food, FOOD | {"valid_from": start})

    assert done.get("valid_until") == end


def test_a_licence_may_be_for_one_day_and_as_old_as_1850(food):
    assert codes(food, FOOD | {"valid_from": "1850-01-01", "valid_until": "1850-01-01"}) == {}
    assert told(food, FOOD | {"valid_from": "1849-12-31"}) == {
        "/fields/valid_from": "lies before 1850"
    }


# ── what an error says ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("operator_name", "面" * 81, "is longer than 80 characters"),
        ("business_form", "casino", "is none of food-sales, catering, canteen"),
        ("licence_number", "JY9", "does not have the form JY[1-3][0-9]{13}"),
        ("issue_date", "2026-02-30", "is not a date that exists, written YYYY-MM-DD"),
        ("organisation_code", "91990000MA1B00068X", "is not a valid organisation code"),
        ("operator_name", "", "is required"),
        ("valid_until", "2020-01-01", "is earlier than the start"),
        ("operator_name", "A\u202e\u200bB", "holds characters nobody can see: U+200B, U+202E"),
    ],
)
def test_an_error_says_the_rule(food, field, value, said):
    assert told(food, FOOD | {field: value})[f"/fields/{field}"] == said


def test_an_error_about_a_person_says_the_rule(permit):
    number = PERMIT["resident_number"]
    wrong = number[:17] + ("0" if number[17] != "0" else "1")

    assert told(permit, PERMIT | {"resident_number": wrong}) == {
        "/fields/resident_number": "is not a valid resident number"
    }
    assert told(permit, PERMIT | {"sex": "male", "birth_date": "1990-03-08"}) == {
        "/fields/sex": "contradicts the resident number",
        "/fields/birth_date": "contradicts the resident number",
    }
    without = {name: value for name, value in PERMIT.items() if name != "sex"}
    assert told(permit, without) == {"/fields/sex": "is required"}


def test_a_person_s_type_that_repeats_nothing_of_the_number_contradicts_nothing(permit):
    holder = msgspec.structs.replace(permit.holder, birth_date="", sex="")
    kind = type(permit)(msgspec.structs.replace(permit.definition, holder=holder))

    assert codes(kind, PERMIT | {"birth_date": "1990-03-08"}) == {}


def test_a_field_that_is_there_and_empty_is_told_apart_from_one_that_is_missing(food):
    [error] = fields.check(food, prepared(food, FOOD)[0] | {"operator_name": ""}, TODAY)

    assert error == FieldError("/fields/operator_name", "empty", "is empty")


def test_an_unknown_field_is_named_by_its_first_60_characters(food):
    [error] = fields.check(food, prepared(food, FOOD)[0] | {"x" * 70: "1"}, TODAY)

    said = "is not a field of this type"
    assert error == FieldError("/fields/" + "x" * 60, "unknown_field", said)


def test_an_unknown_field_with_a_slash_is_one_place_also_when_it_holds_what_nobody_sees(food):
    errors = fields.check(food, prepared(food, FOOD)[0] | {"a/b": "\u200b"}, TODAY)

    assert [(each.pointer, each.code) for each in errors] == [("/fields/a~1b", "unknown_field")]


def test_lines_are_seen_where_several_are_meant(food):
    assert codes(food, FOOD | {"business_items": "热食\n冷食"}) == {}
    assert codes(food, FOOD | {"business_items": "热食\u2028冷食\x00"}) == {
        "business_items": "invisible_character"
    }


def test_a_computed_field_is_missing_only_when_nothing_else_is_wrong(food):
    assert codes(food, FOOD | {"operator_name": "", "organisation_code": "x"}) == {
        "operator_name": "missing",
        "organisation_code": "bad_check_character",
    }
    assert codes(food, FOOD | {"business_form": "casino"}) == {"business_form": "not_a_choice"}
    done, _ = prepared(food, FOOD)
    del done["licence_number"]
    assert [each.code for each in fields.check(food, done, TODAY)] == ["missing"]


# ── notes ────────────────────────────────────────────────────────────────────────────────────


def test_a_note_is_trimmed_and_may_have_lines():
    assert fields.checked_note("  看不清\r\n\t第二行 ") == "看不清\r\n\t第二行"
    assert fields.checked_note(" ") == ""
    assert fields.checked_note("字" * 500) == "字" * 500
    assert fields.checked_note("a", needed="write why") == "a"


@pytest.mark.parametrize(
    ("text", "needed", "said", "next_step"),
    [
        (" ", "write why", "a reason is needed", "write why"),
        ("字" * 501, "", "a note has at most 500 characters", "shorten it"),
        ("a\u202eb", "", "the note holds characters nobody can see: U+202E", ""),
        ("a\x0bb", "", "the note holds characters nobody can see: U+000B", ""),
    ],
)
def test_another_note_is_refused(text, needed, said, next_step):
    with pytest.raises(Invalid) as refused:
        fields.checked_note(text, needed)

    assert (refused.value.detail, refused.value.next_step) == (said, next_step)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────


def test_a_number_that_is_taken_is_not_given_again(food):
    drawn = []

    def taken(number):
        drawn.append(number)
        return len(drawn) < 3

    assert fields.free_number(food, FOOD, AUTHORITY, taken) == drawn[2]
    assert len(set(drawn)) == len(drawn) == 3


def test_who_has_hardly_a_free_number_gets_the_last_of_fifty(food):
    drawn = []

    def taken(number):
        drawn.append(number)
        return True

    assert fields.free_number(food, FOOD, AUTHORITY, taken) == drawn[-1]
    assert len(drawn) == 50


def test_a_number_holds_the_year_and_the_division(permit):
    done, _ = prepared(permit, PERMIT)

    number = done["permit_number"]
    assert number.startswith(f"JZ{AUTHORITY[2:8]}2026")
    assert len(number) == 20


@pytest.mark.parametrize(
    ("form", "given", "number"),
    [
        ("N{choice}{year}-{other}", {}, "N-{other}"),
        ("N{division}{year}", {"issue_date": "2026-11-24"}, f"N{AUTHORITY[2:8]}2026"),
    ],
)
def test_a_form_is_filled_with_what_is_there(permit, form, given, number):
    definition = msgspec.structs.replace(permit.definition, number=Number("permit_number", form))
    kind = type(permit)(definition)

    assert fields.free_number(kind, given, AUTHORITY, lambda _number: False) == number


def test_no_number_is_made_while_the_choice_that_it_counts_is_wrong(food):
    for wrong in ({}, {"business_form": "casino"}):
        assert fields.free_number(food, wrong, AUTHORITY, lambda _number: False) == ""
