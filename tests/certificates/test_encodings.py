"""An encoding that is a guess is confirmed by two people who have seen its strangest rows."""

import pytest
from sqlalchemy import update

from certificates.bulk.sheets import decode, is_guess, strangeness
from certificates.errors import ContentChanged, EncodingNotConfirmed
from certificates.models import batches as table
from tests.certificates.bulk.test_batches import few as rows_of_the_register
from tests.certificates.bulk.test_batches import upload, written
from tests.certificates.bulk.test_columns import KIND, entries_of
from tests.certificates.conftest import FOOD, LI, WANG

FOREIGN = [  # a name, and the encoding in which another office wrote it
    ("PEÑA GROCERY", "windows-1252"),
    ("BÄCKEREI MÜLLER", "windows-1252"),
    ("МОСКВА", "windows-1251"),
    ("老街麵館", "big5"),
    ("ラーメン屋", "shift_jis"),
]


@pytest.fixture
def sheet(batches):
    """Upload food licences, one a name, written in an encoding."""

    def send(encoding, *names):
        rows = [FOOD | {"operator_name": name, "legal_representative": "A"} for name in names]
        plain = {"registered_address": "A", "business_premises": "A", "business_items": "A"}
        data = written([row | plain for row in rows], encoding)
        return batches.upload(WANG, KIND, "", data, "food.csv")

    return send


def seen(batches, checked):
    return {each.row: each.fields for each in batches.strange_rows(WANG, checked.id)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_encoding_that_the_file_proves_is_no_guess(batches, sheet, encoding):
    checked = sheet(encoding, "示例面馆")

    assert not checked.guessed
    assert seen(batches, checked) == {}
    assert batches.submit(WANG, checked.id).state == "submitted"


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "windows-1252", "utf-16-be", ""])
def test_only_utf_8_and_utf_16_with_a_mark_are_certain(encoding):
    assert is_guess(encoding)


@pytest.mark.parametrize(("name", "encoding"), FOREIGN)
def test_bytes_of_another_encoding_are_read_as_a_guess_and_shown_as_garbage(
    batches, sheet, name, encoding
):
    ours = [f"示例市第{each}面馆" for each in "一二三四五六七八"]
    data = written([{"a": each} for each in ours], "gb18030")
    assert decode(data + name.encode(encoding) + b"\n")[0] == "gb18030"

    checked = sheet(encoding, name)
    assert checked.guessed
    assert name not in str(seen(batches, checked))
    assert set(seen(batches, checked)) == {2}


@pytest.mark.parametrize(
    ("name", "encoding"),
    [each for each in FOREIGN if each[1] != "windows-1251"],  # capitals look like common characters
)
def test_among_good_rows_the_strange_ones_are_found(name, encoding):
    """A file put together from two sources."""
    garbage = name.encode(encoding).decode("gb18030")
    good = "示例市老街面馆有限公司"

    assert strangeness(garbage) > strangeness(good)


def test_five_rows_are_shown_the_strangest_first_chosen(batches, sheet):
    garbage = "PEÑA GROCERY".encode("windows-1252").decode("gb18030")
    names = [f"示例面馆{number}" for number in range(30)]
    names[20], names[27] = garbage, "龘面馆"

    checked = sheet("gb18030", *names)

    shown = seen(batches, checked)
    assert len(shown) == 5
    assert shown[22] == {"operator_name": garbage}
    assert 29 in shown


def test_neither_person_gets_past_a_guess_without_confirming_it(batches, sheet):
    checked = sheet("gb18030", "示例面馆")

    for said in ("", "utf-8", "yes"):
        with pytest.raises(EncodingNotConfirmed):
            batches.submit(WANG, checked.id, encoding=said)
    submitted = batches.submit(WANG, checked.id, encoding="GB18030")
    for said in ("", "utf-8"):
        with pytest.raises(EncodingNotConfirmed):
            batches.approve(LI, checked.id, submitted.content_digest, encoding=said)
    assert batches.get(LI, checked.id).state == "submitted"
    approved = batches.approve(LI, checked.id, submitted.content_digest, encoding="gb18030")
    assert approved.state == "running"


def test_the_guess_is_part_of_the_digest(batches, sheet, database):
    checked = sheet("gb18030", "示例面馆")
    submitted = batches.submit(WANG, checked.id, encoding="gb18030")
    with database.write() as tx:  # somebody makes it look certain
        tx.execute(update(table).values(encoding="utf-8"))

    with pytest.raises(ContentChanged):
        batches.approve(LI, checked.id, submitted.content_digest)


def test_the_entries_name_a_guessed_encoding_and_no_other(batches, sheet, ledger, database):
    checked = sheet("gb18030", "示例面馆")
    submitted = batches.submit(WANG, checked.id, encoding="gb18030")
    batches.approve(LI, checked.id, submitted.content_digest, encoding="gb18030")

    entries = entries_of(ledger, database)
    for kind in ("batch.checked", "batch.submitted", "batch.approved"):
        assert entries[kind]["details"]["guessed_encoding"] == "gb18030"

    batches.submit(WANG, sheet("utf-8", "示例面馆").id)
    assert "guessed_encoding" not in entries_of(ledger, database)["batch.submitted"]["details"]


def test_a_guess_on_which_no_field_depends_is_confirmed_all_the_same(batches):
    rows = [row | {"LOCATION": "示例"} for row in rows_of_the_register()]
    checked = upload(batches, written(rows, "gb18030"))

    assert checked.guessed
    assert checked.strange_rows == ()
    with pytest.raises(EncodingNotConfirmed):
        batches.submit(WANG, checked.id)
