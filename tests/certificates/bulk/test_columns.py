"""Every column of a bulk file is accounted for, and nothing a program left behind is sealed."""

import pytest
from sqlalchemy import select, update

from certificates.bulk.columns import find, read_mapping
from certificates.bulk.sheets import letters, read_sheet, spoiled
from certificates.errors import BatchHasErrors, ContentChanged, UnknownColumns
from certificates.models import batch_rows
from certificates.models import batches as table
from ledger.entries import read_leaf
from ledger.models import ledger_entries
from tests.certificates.bulk.test_batches import CHICAGO, SAMPLE, few, told, upload, written
from tests.certificates.conftest import FOOD, LI, WANG

KIND = "food-business-licence"


@pytest.fixture
def food(batches):
    """Upload a sheet of one food licence with these cells more, or instead."""

    def send(**cells):
        return batches.upload(WANG, KIND, "", written([FOOD | cells]), "food.csv")

    return send


def strays(checked):
    return [(each.name, each.field, each.tells_state) for each in checked.unknown_columns]


# ── columns that nobody knows ────────────────────────────────────────────────────────────────


def test_a_misspelt_column_of_numbers_is_an_error_and_no_number_is_invented(food):
    checked = food(许可证号="JY23205069900001")

    assert told(checked) == [(1, "许可证号", "unknown_column")]
    assert "licence_number" in checked.errors[0].detail
    assert "waive" in checked.errors[0].fix


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("licence_nummer", "licence_number"),
        ("许可证号", "licence_number"),
        ("License No.", "licence_number"),
        ("统一社会信用代码证", "organisation_code"),
        ("单位名称", "operator_name"),
        ("签发日期", "issue_date"),
        ("Expiry Date", "valid_until"),
        ("備考", ""),
    ],
)
def test_the_error_names_the_likeliest_field(food, name, field):
    assert strays(food(**{name: "x"})) == [(name, field, False)]


@pytest.mark.parametrize("name", ["状态", "證照狀態", "Status", "licence status", "是否吊销"])
def test_a_column_of_states_is_told_as_one(food, name):
    checked = food(**{name: "吊销"})

    assert strays(checked) == [(name, "", True)]
    assert "not valid" in checked.errors[0].detail


def test_a_second_column_for_one_field_is_not_passed_over(food, types):
    label = types[KIND].fields["operator_name"].labels["zh-Hans"]

    assert strays(food(**{label: "另一家"})) == [(label, "operator_name", False)]


def test_a_column_without_a_name_is_an_error_when_something_stands_there(batches):
    header = [*FOOD, "", ""]
    empty = written([FOOD]).decode().replace("\r\n", ",,\r\n").encode()
    full = empty.replace(b",,\r\n", b",,revoked\r\n").replace(b",,revoked", b",,", 1)

    assert told(batches.upload(WANG, KIND, "", empty, "x.csv")) == []
    assert told(batches.upload(WANG, KIND, "", full, "x.csv")) == [
        (1, letters(len(header) - 1), "unnamed_column")
    ]


def test_a_file_without_a_header_has_none_of_its_cells_repeated(batches):
    checked = batches.upload(WANG, KIND, "", "陈静怡,SECRET\n林志强,SECRET\n".encode(), "x.csv")

    assert (1, "", "no_header") in told(checked)
    assert checked.unknown_columns == ()
    assert "SECRET" not in str(checked)


def test_the_mapping_of_the_register_accounts_for_each_of_its_columns(types):
    mapping, sheet = read_mapping("chicago"), read_sheet(SAMPLE.read_bytes())
    columns = find(types[CHICAGO], mapping, sheet)
    used = {sheet.header[position] for position in columns.positions.values()}

    assert (len(sheet.header), len(used), len(mapping.ignore)) == (34, 17, 17)
    assert used | set(mapping.ignore) == set(sheet.header)
    assert columns.unknown == ()


def test_a_column_that_the_mapping_does_not_name_is_unknown(batches):
    checked = upload(batches, written([row | {"OWNER": "X"} for row in few()]))

    assert told(checked) == [(1, "OWNER", "unknown_column")]


@pytest.mark.parametrize(
    ("position", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ")]
)
def test_columns_are_lettered_as_in_a_spreadsheet(position, name):
    assert letters(position) == name


# ── waiving ──────────────────────────────────────────────────────────────────────────────────


def test_only_who_waives_every_unknown_column_by_name_may_submit(batches, food):
    checked = food(备注="x", 状态="吊销")

    for named in ([], ["备注"], ["备注", "状态", "operator_name"]):
        with pytest.raises(UnknownColumns):
            batches.submit(WANG, checked.id, waived=named)
    assert batches.get(WANG, checked.id).state == "checked"

    submitted = batches.submit(WANG, checked.id, waived=["状态", " 备注 "])
    assert (submitted.state, submitted.error_count) == ("submitted", 0)
    assert submitted.waived_columns == ("备注", "状态")


def test_waiving_does_not_help_against_another_mistake(batches, food):
    checked = food(备注="x", organisation_code="1")

    with pytest.raises(BatchHasErrors):
        batches.submit(WANG, checked.id, waived=["备注"])


def test_what_is_waived_is_part_of_what_the_second_officer_agrees_to(batches, food, database):
    checked = food(备注="x")
    submitted = batches.submit(WANG, checked.id, waived=["备注"])

    assert submitted.content_digest != checked.content_digest
    with pytest.raises(ContentChanged):
        batches.approve(LI, checked.id, checked.content_digest)
    with database.write() as tx:
        tx.execute(update(table).values(waived_columns=[]))
    with pytest.raises(ContentChanged):
        batches.approve(LI, checked.id, submitted.content_digest)
    with database.write() as tx:
        tx.execute(update(table).values(waived_columns=["备注"]))
    assert batches.approve(LI, checked.id, submitted.content_digest).state == "running"


def entries_of(ledger, database):
    """Every leaf of the log, by kind of entry."""
    ledger.integrate_all()
    with database.read() as tx:
        leaves = [read_leaf(each) for each in tx.execute(select(ledger_entries.c.leaf)).scalars()]
    return {leaf["kind"]: leaf for leaf in leaves}


def test_the_entries_tell_what_was_waived_and_hold_its_names_committed(
    batches, food, ledger, database
):
    checked = food(备注="x")
    submitted = batches.submit(WANG, checked.id, waived=["备注"])
    batches.approve(LI, checked.id, submitted.content_digest)

    entries = entries_of(ledger, database)
    for kind in ("batch.submitted", "batch.approved"):
        assert entries[kind]["details"]["waived_columns"] == "1"
        assert entries[kind]["details"]["content_digest"] == submitted.content_digest
        assert "private.waived_columns" in entries[kind]["commitments"]
        assert "备注" not in str(entries[kind])


def test_a_returned_batch_has_to_be_waived_again(batches, food):
    checked = food(备注="x")
    batches.submit(WANG, checked.id, waived=["备注"])
    batches.return_(LI, checked.id, "look again")

    with pytest.raises(UnknownColumns):
        batches.submit(WANG, checked.id)
    assert batches.submit(WANG, checked.id, waived=["备注"]).state == "submitted"


def test_rows_changed_between_dry_run_and_submitting_are_not_given_a_new_digest(
    batches, food, database
):
    checked = food(备注="x")
    with database.write() as tx:
        tx.execute(update(batch_rows).values(content_digest="A" * 43))

    with pytest.raises(ContentChanged):
        batches.submit(WANG, checked.id, waived=["备注"])


# ── what a spreadsheet left behind ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        *("#N/A", "#n/a", "NULL", "null", "(null)", "<NULL>", "\\N", "NaN", "None", "N/A"),
        *("#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#¿NOMBRE?", "#WERT!", "＃N/A", "undefined"),
    ],
)
def test_what_programs_write_for_no_value_is_no_value(food, text):
    assert told(food(operator_name=text)) == [(2, "operator_name", "not_a_value")]


@pytest.mark.parametrize(
    "text", ["#1 KITCHEN", "Null Ltd", "NULL ISLAND", "NA", "C#", "4E COFFEE", "E+17", "无", "#"]
)
def test_a_name_that_only_looks_like_that_is_a_value(text):
    assert spoiled(text) is None


def test_a_lost_character_is_refused_by_name(food):
    checked = food(operator_name="张\ufffd")

    assert told(checked) == [(2, "operator_name", "lost_character")]
    assert "U+FFFD" in checked.errors[0].detail


@pytest.mark.parametrize("text", ["4.40E+17", "4,40E+17", "9.13205E+17", "4e+17", "########"])
def test_a_number_that_a_spreadsheet_shortened_is_told_as_that(food, text):
    checked = food(organisation_code=text)

    assert told(checked) == [(2, "organisation_code", "digits_lost")]
    assert "digits were lost in a spreadsheet" in checked.errors[0].detail


def test_a_number_kept_as_text_is_the_text(batches, food):
    code = FOOD["organisation_code"]
    checked = food(organisation_code=f'="{code}"')

    assert told(checked) == []
    assert [(each.column, each.code) for each in checked.notices] == [
        ("organisation_code", "kept_as_text")
    ]
    assert batches.rows(WANG, checked.id).items[0].fields["organisation_code"] == code


def test_quotes_inside_a_number_kept_as_text_are_doubled_and_a_formula_is_none(batches, food):
    checked = food(operator_name='="甲""乙""店"')
    assert batches.rows(WANG, checked.id).items[0].fields["operator_name"] == '甲"乙"店'

    kept = food(operator_name='="甲"&"乙"')
    assert batches.rows(WANG, kept.id).items[0].fields["operator_name"] == '="甲"&"乙"'


def test_what_was_kept_as_text_may_still_be_spoiled(food):
    assert told(food(operator_name='="#N/A"')) == [(2, "operator_name", "not_a_value")]


def test_a_value_composed_of_nothing_is_refused(batches):
    checked = upload(batches, written(few(ADDRESS="", CITY="", STATE="", ZIP_CODE="")))

    assert told(checked) == [(3, "ADDRESS + CITY + STATE + ZIP CODE", "composed_of_nothing")]


def test_a_part_of_a_composed_value_that_is_none_is_told_at_its_column(batches):
    assert told(upload(batches, written(few(CITY="NULL")))) == [(3, "CITY", "not_a_value")]


def test_a_state_or_a_date_that_is_no_value_is_told_once(batches):
    checked = upload(batches, written(few(LICENSE_STATUS="#N/A", DATE_ISSUED="NULL")))

    assert sorted(told(checked)) == [
        (3, "DATE ISSUED", "not_a_value"),
        (3, "LICENSE STATUS", "not_a_value"),
    ]
