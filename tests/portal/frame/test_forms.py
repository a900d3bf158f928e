"""What people type, as they meant it; and what nobody sees, made visible (attack 46)."""

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.frame import forms


@pytest.mark.parametrize(
    "typed",
    [
        "JY13201210000019",
        "".join(chr(ord(c) + 0xFEE0) for c in "JY13201210000019"),
        " JY1320 1210 000019 ",
        "JY1320\u200b1210000019",
    ],
)
def test_full_width_spaces_and_zero_width_characters_in_a_number_are_no_mistake(typed):
    assert forms.as_code(typed) == "JY13201210000019"


@pytest.mark.parametrize("dash", "-‐‑‒–—−－﹣")
def test_every_dash_is_the_one_in_the_number(dash):
    assert forms.as_code(f"1543954{dash}20050216") == "1543954-20050216"


def test_text_is_one_line_and_paragraphs_keep_theirs():
    form = {"a": "  two \u3000 words\n", "b": " one\r\ntwo\rthree "}
    assert forms.text(form, "a") == "two words"
    assert forms.paragraph(form, "b") == "one\ntwo\nthree"
    assert forms.text(form, "missing") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("老街面馆", "老街面馆"),
        ("Bank\u202eknab", "Bank⟨U+202E⟩knab"),
        ("老\u200b街", "老⟨U+200B⟩街"),
        ("a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("𠮷野家", "𠮷野家"),
    ],
)
def test_what_nobody_can_see_is_written_out(name, shown):
    assert forms.show_invisible(name) == shown


@given(st.text(max_size=40))
def test_nothing_invisible_is_left_on_a_page(name):
    shown = forms.show_invisible(name)
    assert not any(unicodedata.category(c) in {"Cf", "Cc", "Co", "Cs"} for c in shown)


@pytest.mark.parametrize("start", list("=+-@\t\r|%＝＋－＠"))
def test_a_cell_that_a_spreadsheet_would_run_is_written_as_text(start):
    assert forms.sheet_cell(f"{start}cmd|' /C calc'!A0").startswith("'")


@given(st.text(max_size=30))
def test_an_exported_cell_never_begins_a_formula_and_keeps_its_text(value):
    line = io.StringIO()
    csv.writer(line).writerow([forms.sheet_cell(value), "end"])
    read = next(csv.reader(io.StringIO(line.getvalue(), newline="")))
    assert read[0].lstrip(" ")[:1] not in set("=+-@＝＋－＠\t\r\n|%")
    assert read[0].removeprefix("'") == value.removeprefix("'") or read[0] == value
