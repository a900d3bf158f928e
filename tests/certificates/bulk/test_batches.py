"""Bulk issuing: told row by row, approved by a second officer, issued once whatever happens."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select, update

from certificates import Catalogue, CertificateType
from certificates.bulk import dry_run
from certificates.bulk.sheets import MAX_BYTES, read_sheet, safe_cell
from certificates.catalogue import read
from certificates.errors import (
    BatchHasErrors,
    BatchNotFound,
    ContentChanged,
    InvalidCatalogue,
    OwnDraft,
    RoleMissing,
    UnreadableFile,
    UploadTooLarge,
    WrongState,
)
from certificates.models import batch_rows
from certificates.models import certificates as table
from certificates.rules import State
from server.services import assemble
from tests.certificates.conftest import BOTH, FOOD, LI, PERMIT, PUBLIC_URL, STRANGER, WANG
from tests.certificates.test_catalogue import FOLDER

CHICAGO = "chicago-business-licence"
SAMPLE = Path("certificates/samples/chicago-business-licences.csv").resolve()


def rows_of(data=None):
    return list(csv.DictReader(io.StringIO((data or SAMPLE.read_bytes()).decode())))


def written(rows, encoding="utf-8", header=None):
    out = io.StringIO()
    writer = csv.DictWriter(out, header or list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def few(count=3, **changed):
    """The first rows of the register; `changed` cells go into the second one."""
    rows = rows_of()[:count]
    rows[1] = rows[1] | {name.replace("_", " "): value for name, value in changed.items()}
    return rows


def upload(batches, data, actor=WANG, mapping="chicago"):
    return batches.upload(actor, CHICAGO, mapping, data, "register.csv")


def run_through(batches, jobs, data):
    checked = upload(batches, data)
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    jobs.run_pending()
    return checked


def told(checked):
    return [(error.row, error.column, error.rule) for error in checked.errors]


# ── the real register ────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_real_register_is_issued_and_ends_as_the_register_says(
    batches, jobs, certificates, database, ledger
):
    rows = rows_of()
    rows[0]["LICENSE STATUS"], rows[0]["LICENSE STATUS CHANGE DATE"] = "REV", "01/02/2006"
    checked = run_through(batches, jobs, written(rows))

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("done", 300, 0)
    with database.read() as tx:
        found = certificates.load_many(tx, [row["ID"] for row in rows])
        states = dict(tx.execute(select(table.c.state, func.count()).group_by(table.c.state)).all())
    assert len(found) == 300
    assert states == {"active": 273, "cancelled": 26, "revoked": 1}
    revoked = found[rows[0]["ID"]]
    assert revoked.state is State.REVOKED
    assert revoked.state_since.date() <= date(2006, 1, 2)
    assert revoked.fields["legal_name"] == rows[0]["LEGAL NAME"]
    kinds = {entry.kind for entry in ledger.history(revoked.identifier)}
    assert kinds == {"certificate.issued", "certificate.revoked"}
    ledger.integrate_all()
    assert ledger.fsck().ok
    lists = certificates.status_lists.publish(1)
    assert lists.version == 27


def test_the_sample_is_read_as_published(batches):
    checked = upload(batches, SAMPLE.read_bytes())

    assert (checked.rows, checked.error_count, checked.encoding) == (300, 0, "utf-8")
    assert {notice.code for notice in checked.notices} == {"stray_spaces"}


# ── the dry run ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ID": "nonsense"}, (3, "ID", "wrong_form")),
        ({"ID": ""}, (3, "ID", "missing")),
        ({"LEGAL_NAME": "A\u202eB"}, (3, "LEGAL NAME", "invisible_character")),
        ({"LEGAL_NAME": "\U000323ae"}, (3, "", "missing_glyph")),
        ({"LEGAL_NAME": "X" * 121}, (3, "LEGAL NAME", "too_long")),
        ({"LICENSE_STATUS": "ZZZ"}, (3, "LICENSE STATUS", "unknown_outcome")),
        ({"DATE_ISSUED": "13/45/2005"}, (3, "DATE ISSUED", "bad_date")),
        ({"DATE_ISSUED": "2005-12-07"}, (3, "DATE ISSUED", "bad_date")),
        ({"DATE_ISSUED": "02/29/2005"}, (3, "DATE ISSUED", "bad_date")),
        (
            {"LICENSE_TERM_EXPIRATION_DATE": "01/01/1999"},
            (3, "LICENSE TERM EXPIRATION DATE", "dates_out_of_order"),
        ),
        ({"ADDRESS": "1 " + "W" * 170}, (3, "ADDRESS + CITY + STATE + ZIP CODE", "too_long")),
        ({"BUSINESS_ACTIVITY": "X" * 10_001}, (3, "", "cell_too_large")),
    ],
)
def test_every_mistake_is_told_with_row_column_and_rule(batches, changed, expected):
    checked = upload(batches, written(few(**changed)))

    assert told(checked) == [expected]
    assert checked.errors[0].fix
    assert checked.rows == 0


def test_no_error_repeats_a_value_of_the_file(batches, database):
    checked = upload(batches, written(few(ID="SECRET-ID", LEGAL_NAME="SECRET\u202e")))

    assert checked.error_count == 2
    assert "SECRET" not in str(checked.errors)
    assert b"SECRET" not in batches.error_file(WANG, checked.id)


def test_a_missing_column_is_told_by_name(batches):
    rows = [{k: v for k, v in row.items() if k != "LEGAL NAME"} for row in few()]

    assert told(upload(batches, written(rows))) == [(1, "LEGAL NAME", "missing_column")]


def test_a_column_that_occurs_twice_is_told(batches):
    data = written(few()).replace(b"SITE NUMBER", b"ID", 1)

    assert (1, "id", "duplicate_column") in told(upload(batches, data))


def test_a_row_with_too_few_cells_is_told(batches):
    data = written(few()) + b"only,three,cells\r\n"

    assert told(upload(batches, data)) == [(5, "", "wrong_cell_count")]


def test_duplicates_within_the_file_and_against_the_registry_are_told(batches, jobs):
    rows = few(2)
    run_through(batches, jobs, written(rows))

    checked = upload(batches, written([*rows_of()[1:4], rows_of()[3]]))

    assert told(checked) == [
        (2, "ID", "number_taken"),
        (5, "ID", "duplicate_in_file"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_the_encodings_of_real_offices_are_read(batches, encoding):
    checked = upload(batches, written(few(LEGAL_NAME="老街面馆"), encoding))

    assert checked.error_count == 0
    assert checked.encoding == encoding


def test_full_width_digits_and_stray_spaces_are_put_right_with_a_notice(batches):
    data = written(few(ACCOUNT_NUMBER="１８８４９ ", LEGAL_NAME="  JUNG　W  "))
    checked = upload(batches, data)

    assert checked.error_count == 0
    codes = {(notice.row, notice.column, notice.code) for notice in checked.notices}
    assert (3, "ACCOUNT NUMBER", "full_width_characters") in codes
    assert (3, "LEGAL NAME", "stray_spaces") in codes


def test_a_ten_megabyte_cell_is_an_error_of_its_row_and_nothing_else(batches):
    checked = upload(batches, written(few(LEGAL_NAME="X" * 10_000_000)))

    assert told(checked) == [(3, "", "cell_too_large")]


def test_a_ten_megabyte_cell_with_line_breaks_ends_the_reading_where_it_is(batches):
    checked = upload(batches, written(few(LEGAL_NAME="X\n" * 5_000_000)))

    assert told(checked) == [(3, "", "cell_too_large"), (4, "", "unreadable_from_here")]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnreadableFile),
        (b"\n\n\n", UnreadableFile),
        (b"\xff\xff\xff\xff", UnreadableFile),
        (b"ID,NAME\n1,\x00\n", UnreadableFile),
        (b"\x89PNG\r\n\x1a\n\x00\x00", UnreadableFile),
        (b"x" * (MAX_BYTES + 1), UploadTooLarge),
        (b"ID\n" + b"1\n" * 100_001, UploadTooLarge),
    ],
    ids=["empty", "blank", "no text", "zero byte", "picture", "too many bytes", "too many rows"],
)
def test_what_is_no_table_is_refused_as_a_whole(batches, data, error):
    with pytest.raises(error):
        upload(batches, data)


def test_a_file_with_only_a_header_has_nothing_to_issue(batches):
    assert told(upload(batches, written(few()).splitlines()[0])) == [(1, "", "no_rows")]


def test_nothing_is_issued_from_a_file_with_errors(batches, database, jobs):
    checked = upload(batches, written(few(ID="")))

    with pytest.raises(BatchHasErrors):
        batches.submit(WANG, checked.id)
    jobs.run_pending()
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(table)).scalar() == 0
        assert tx.execute(select(func.count()).select_from(batch_rows)).scalar() == 0


def test_missing_dates_of_the_register_are_tolerated_and_told(batches, jobs, certificates):
    changed = {"LICENSE_TERM_START_DATE": "", "LICENSE_TERM_EXPIRATION_DATE": ""}
    rows = few(**changed)
    checked = run_through(batches, jobs, written(rows))

    assert (3, "DATE ISSUED", "stands_in_for_valid_from") in {
        (notice.row, notice.column, notice.code) for notice in checked.notices
    }
    found = certificates.search(LI, rows[1]["ID"]).items[0]
    assert found.valid_until is None
    assert found.valid_from == found.issued_on


def test_the_error_file_cannot_run_formulas(batches):
    header = ["=cmd|' /C calc'!A0", "+1+1", *list(rows_of()[0])[2:]]
    rows = [dict(zip(header, row.values(), strict=True)) for row in few()]
    checked = batches.upload(WANG, CHICAGO, "", written(rows), "x.csv")

    cells = [
        cell
        for row in csv.reader(io.StringIO(batches.error_file(WANG, checked.id).decode("utf-8-sig")))
        for cell in row
    ]
    assert cells[0] == "row"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1"])
def test_a_cell_that_looks_like_a_formula_stays_text(text):
    assert safe_cell(text) == "'" + text


def test_a_file_made_from_the_template_of_a_type_needs_no_mapping(batches, jobs):
    template = read_sheet(batches.template_file("food-business-licence"))
    assert template.header[0] == "licence_number"
    data = written([FOOD, FOOD | {"operator_name": "另一家"}])

    checked = batches.upload(WANG, "food-business-licence", "", data, "food.csv")
    assert checked.errors == ()
    assert checked.rows == 2


def test_columns_may_be_named_by_label(batches, types):
    kind = types["food-business-licence"]
    row = {kind.fields[name].labels["zh-Hant"]: value for name, value in FOOD.items()}

    checked = batches.upload(WANG, kind.name, "", written([row]), "food.csv")
    assert checked.errors == ()


def test_a_mapping_of_another_type_is_refused(batches):
    with pytest.raises(InvalidCatalogue):
        batches.upload(WANG, "residence-permit", "chicago", SAMPLE.read_bytes(), "x.csv")
    with pytest.raises(InvalidCatalogue):
        batches.upload(WANG, CHICAGO, "../chicago", SAMPLE.read_bytes(), "x.csv")


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("02/16/2005", "MM/DD/YYYY", date(2005, 2, 16)),
        ("2/6/2005", "MM/DD/YYYY", date(2005, 2, 6)),
        ("16.02.2005", "DD.MM.YYYY", date(2005, 2, 16)),
        ("2005年2月16日", "YYYY年MM月DD日", date(2005, 2, 16)),
        ("16/02/2005", "MM/DD/YYYY", None),
        ("02/30/2005", "MM/DD/YYYY", None),
        ("02-16-2005", "MM/DD/YYYY", None),
        ("38399", "MM/DD/YYYY", None),
    ],
)
def test_dates_are_read_only_in_the_form_of_the_mapping(text, form, expected):
    assert dry_run.read_date(text, form) == expected


# ── four eyes ────────────────────────────────────────────────────────────────────────────────


def test_a_batch_needs_a_second_officer(batches):
    checked = upload(batches, written(few()), actor=BOTH)
    batches.submit(BOTH, checked.id)

    with pytest.raises(OwnDraft):
        batches.approve(BOTH, checked.id, checked.content_digest)
    with pytest.raises(RoleMissing):
        batches.approve(WANG, checked.id, checked.content_digest)
    with pytest.raises(BatchNotFound):
        batches.approve(STRANGER, checked.id, checked.content_digest)


def test_a_batch_that_was_not_submitted_cannot_be_approved(batches):
    checked = upload(batches, written(few()))

    with pytest.raises(WrongState):
        batches.approve(LI, checked.id, checked.content_digest)


def test_rows_changed_after_the_dry_run_are_not_issued(batches, database, jobs):
    checked = upload(batches, written(few()))
    batches.submit(WANG, checked.id)
    with database.write() as tx:
        tx.execute(update(batch_rows).values(outcome="active", content_digest="A" * 43))

    with pytest.raises(ContentChanged):
        batches.approve(LI, checked.id, checked.content_digest)


def submitted(batches, actor=WANG):
    checked = upload(batches, written(few()), actor=actor)
    return batches.submit(actor, checked.id)


def test_another_page_than_that_of_the_dry_run_is_not_approved(batches, renderer, monkeypatch):
    """New templates were installed between the dry run and the second officer."""
    batch = submitted(batches)
    monkeypatch.setattr(renderer, "template_hash", "the hash of another page")

    with pytest.raises(ContentChanged, match="type or its page"):
        batches.approve(LI, batch.id, batch.content_digest)

    assert batches.get(LI, batch.id).state == "submitted"
    monkeypatch.undo()
    assert batches.approve(LI, batch.id, batch.content_digest).state == "running"


def test_another_version_of_the_type_than_that_of_the_dry_run_is_not_approved(
    batches, types, monkeypatch
):
    batch = submitted(batches)
    definition = replace(types[CHICAGO].definition, version=types[CHICAGO].version + 1)
    monkeypatch.setitem(types._types, CHICAGO, CertificateType(definition))

    with pytest.raises(ContentChanged, match="type or its page"):
        batches.approve(LI, batch.id, batch.content_digest)


def test_a_page_swapped_after_the_approval_issues_nothing(batches, jobs, renderer, monkeypatch):
    batch = submitted(batches)
    batches.approve(LI, batch.id, batch.content_digest)
    monkeypatch.setattr(renderer, "template_hash", "the hash of another page")
    jobs.run_pending()

    progress = batches.progress(LI, batch.id)
    assert (progress.issued, progress.failed) == (0, 3)
    assert {failure.problem for failure in progress.failures} == {"content_changed"}


def test_only_what_was_looked_at_is_approved(batches):
    batch, other = submitted(batches), submitted(batches)

    for digest in (other.content_digest, "A" * 43):
        with pytest.raises(ContentChanged, match="looked at"):
            batches.approve(LI, batch.id, digest)


def test_rows_changed_between_dry_run_and_submission_are_not_handed_on(batches, database):
    checked = upload(batches, written(few()))
    with database.write() as tx:
        tx.execute(update(batch_rows).values(outcome="active", content_digest="A" * 43))

    with pytest.raises(ContentChanged):
        batches.submit(WANG, checked.id)
    assert batches.get(WANG, checked.id).state == "checked"


def test_each_step_is_taken_once_and_in_its_order(batches, jobs):
    batch = submitted(batches)
    approve = (LI, batch.id, batch.content_digest)
    for early in (batches.pause, batches.resume):
        with pytest.raises(WrongState):
            early(LI, batch.id)
    with pytest.raises(WrongState):
        batches.submit(WANG, batch.id)

    batches.approve(*approve)
    with pytest.raises(WrongState):
        batches.approve(*approve)
    with pytest.raises(WrongState):
        batches.return_(LI, batch.id, "too late")
    with pytest.raises(WrongState):
        batches.resume(LI, batch.id)
    jobs.run_pending()

    assert batches.progress(LI, batch.id).state == "done"
    with pytest.raises(WrongState):
        batches.resume(LI, batch.id)  # nothing failed
    with pytest.raises(WrongState):
        batches.pause(LI, batch.id)


def test_every_step_of_a_batch_asks_for_its_role_and_its_authority(batches):
    batch = submitted(batches, actor=BOTH)

    for step in (
        lambda actor: batches.upload(actor, CHICAGO, "chicago", SAMPLE.read_bytes(), "x.csv"),
        lambda actor: batches.submit(actor, batch.id),
    ):
        with pytest.raises(RoleMissing):
            step(LI)
    for step in (
        lambda actor: batches.return_(actor, batch.id, "because"),
        lambda actor: batches.pause(actor, batch.id),
        lambda actor: batches.resume(actor, batch.id),
    ):
        with pytest.raises(RoleMissing):
            step(WANG)
        with pytest.raises(BatchNotFound):
            step(STRANGER)
    with pytest.raises(OwnDraft):
        batches.return_(BOTH, batch.id, "because")
    with pytest.raises(BatchNotFound):
        batches.submit(STRANGER, batch.id)


def test_another_authority_sees_nothing_of_a_batch(batches):
    batch = submitted(batches)

    for look in (
        batches.get, batches.rows, batches.strange_rows, batches.progress, batches.trouble,
        batches.error_file, lambda actor, name: batches.preview_png(actor, name, 2),
    ):  # fmt: skip
        with pytest.raises(BatchNotFound):
            look(STRANGER, batch.id)
    assert list(batches.list(STRANGER).items) == []


def test_a_row_changed_after_the_approval_fails_and_the_others_are_issued(batches, database, jobs):
    checked = upload(batches, written(few()))
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    with database.write() as tx:
        row = tx.execute(select(batch_rows).where(batch_rows.c.row == 3)).first()
        swapped = dict(row.fields) | {"legal_name": "SOMEBODY ELSE"}
        tx.execute(update(batch_rows).where(batch_rows.c.row == 3).values(fields=swapped))
    jobs.run_pending()

    progress = batches.progress(LI, checked.id)
    assert (progress.issued, progress.failed, progress.state) == (2, 1, "done")
    assert progress.failures[0].problem == "content_changed"


def test_a_returned_batch_issues_nothing(batches, jobs):
    checked = upload(batches, written(few()))
    batches.submit(WANG, checked.id)
    batches.return_(LI, checked.id, "wrong year")
    jobs.run_pending()

    assert batches.progress(LI, checked.id).issued == 0


# ── pause, resume, crash ─────────────────────────────────────────────────────────────────────


def test_a_paused_batch_goes_on_where_it_stopped(batches, jobs, clock):
    checked = upload(batches, written(rows_of()[:30]))
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    batches.pause(LI, checked.id)
    jobs.run_pending()
    assert batches.progress(LI, checked.id).issued == 0

    clock.advance(timedelta(seconds=3))
    batches.resume(LI, checked.id)
    jobs.run_pending()

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued) == ("done", 30)
    assert progress.rate == pytest.approx(10)
    assert len(progress.recent) == 10


def test_a_batch_whose_seal_is_suspended_says_so_and_goes_on_when_it_is_back(
    batches, jobs, seals, database, clock
):
    checked = upload(batches, written(few()))
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    (seal,) = seals.for_owner(WANG.organisation)
    with database.write() as tx:
        seals.suspend(tx, seal.id, by=LI, now=clock(), reason="lost")
    jobs.run_pending()

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("done", 0, 3)
    assert {failure.problem for failure in progress.failures} == {"seal_not_usable"}

    with database.write() as tx:
        seals.resume(tx, seal.id, by=LI, now=clock(), reason="found")
    batches.resume(LI, checked.id)
    jobs.run_pending()
    assert batches.progress(LI, checked.id).issued == 3


def test_running_a_chunk_again_issues_nothing_twice(batches, jobs, database):
    checked = run_through(batches, jobs, written(few()))
    batches.issue_chunk(checked.id, 2)

    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(table)).scalar() == 3


def test_two_workers_on_one_chunk_issue_each_row_once(batches, database):
    import threading

    checked = upload(batches, written(rows_of()[:40]))
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)

    workers = [threading.Thread(target=batches.issue_chunk, args=(checked.id, 2)) for _ in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("done", 40, 0)
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(table)).scalar() == 40


def test_a_number_used_meanwhile_fails_only_its_row_and_can_be_tried_again(
    batches, jobs, certificates, database
):
    rows = few()
    checked = upload(batches, written(rows))
    other = upload(batches, written(rows[:1]))
    for each in (checked, other):
        batches.submit(WANG, each.id)
    batches.approve(LI, other.id, other.content_digest)
    jobs.run_pending()
    batches.approve(LI, checked.id, checked.content_digest)
    jobs.run_pending()

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("done", 2, 1)
    assert progress.failures[0].problem == "number_taken"

    batches.resume(LI, checked.id)
    jobs.run_pending()
    assert batches.progress(LI, checked.id).failed == 1


def test_officers_see_the_batches_of_their_authority(batches):
    checked = upload(batches, written(few()))

    assert [each.id for each in batches.list(LI).items] == [checked.id]
    assert batches.list(STRANGER).items == ()
    with pytest.raises(BatchNotFound):
        batches.get(STRANGER, checked.id)


_WORKER = """
import sys
from tests.certificates.crash import worker
worker(*sys.argv[1:])
"""


def test_numbers_that_we_draw_are_not_taken_in_the_file_nor_in_the_register(
    certificates, database, keys, clock, renderer, tmp_path
):
    """Nobody could correct a number that stands in no file."""
    text = (FOLDER / "residence-permit.toml").read_text()
    (tmp_path / "few.toml").write_text(text.replace("{digits:8}", "0000000{digits:1}"))
    services = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=PUBLIC_URL,
        ledger=certificates.ledger,
        catalogue=Catalogue([read(tmp_path / "few.toml")]),
        renderer=renderer,
    )
    batches = services.batches
    draft = services.certificates.draft
    drafted = {draft(WANG, "residence-permit", PERMIT).number for _ in range(4)}

    checked = batches.upload(WANG, "residence-permit", "", written([PERMIT] * 4), "permits.csv")

    rows = batches.rows(WANG, checked.id).items
    assert checked.errors == ()
    assert len(drafted | {row.number for row in rows}) == 8


@pytest.mark.slow
def test_a_killed_worker_leaves_every_row_issued_once_or_waiting(
    batches, certificates, database, ledger, master_key, clock
):
    checked = upload(batches, SAMPLE.read_bytes())
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    url = database.engine.url.render_as_string(hide_password=False)

    for issued_before_kill in (1, 60, 140):
        told = (url, master_key.hex(), checked.id, clock().isoformat())
        arguments = [sys.executable, "-c", _WORKER, *told]
        process = subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": "."})
        while batches.progress(LI, checked.id).issued < issued_before_kill:
            assert process.poll() is None, "the worker ended by itself"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _assert_consistent(database, ledger, checked.id)
    for first in (2, 102, 202):
        batches.issue_chunk(checked.id, first)

    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("done", 300, 0)
    _assert_consistent(database, ledger, checked.id)
    ledger.integrate_all()
    assert ledger.fsck().ok


def _assert_consistent(database, ledger, batch_id):
    """Marked rows and certificates agree, and each certificate has exactly one "issued" entry."""
    with database.read() as tx:
        marked = set(
            tx.execute(
                select(batch_rows.c.row).where(
                    batch_rows.c.batch_id == batch_id, batch_rows.c.state == "issued"
                )
            ).scalars()
        )
        issued = list(
            tx.execute(select(table.c.batch_row).where(table.c.batch_id == batch_id)).scalars()
        )
        identifiers = tx.execute(select(table.c.identifier, table.c.state)).all()
    assert sorted(marked) == sorted(issued)
    for identifier, state in identifiers[:: max(1, len(identifiers) // 40)]:
        kinds = sorted(entry.kind for entry in ledger.history(identifier))
        ended = [] if state == "active" else [f"certificate.{state}"]
        assert kinds == sorted(["certificate.issued", *ended])
