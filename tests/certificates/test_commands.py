"""The desk at a terminal: results on stdout, errors row by row, exit codes that mean something."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from certificates.commands import build
from certificates.errors import BatchNotFound, EncodingNotConfirmed, UnknownColumns
from certificates.models import certificates
from tests.certificates.bulk.test_batches import CHICAGO, SAMPLE, few, written
from tests.certificates.conftest import AUTHORITY


@pytest.fixture
def run(request, batches, jobs):
    room = request.getfixturevalue("certificates")

    @contextmanager
    def open_office():
        yield SimpleNamespace(certificates=room, batches=batches, jobs=jobs)

    app = build(open_office)

    def call(*words, name="wang"):
        told = ["--authority", AUTHORITY, "--as", name]
        if words[0] in {"types", "settle", "fsck"}:
            told = []
        return CliRunner().invoke(app, [*words, *told])

    return call


def test_types_are_listed(run):
    listed = json.loads(run("types", "--json").stdout)

    assert CHICAGO in {each["name"] for each in listed}


def test_a_certificate_is_listed_shown_and_revoked(run, issued):
    listed = json.loads(run("list", "--json").stdout)
    shown = json.loads(run("show", issued.identifier, "--json").stdout)
    changed = run("change", issued.identifier, "revoked", "serious_violation", "--json", name="li")

    assert listed[0]["identifier"] == issued.identifier
    assert shown[0]["fields"]["operator_name"]
    assert changed.exit_code == 0, changed.output
    assert json.loads(changed.stdout)["state"] == "revoked"
    assert (
        f"operator_name: {issued.fields['operator_name']}"
        in run("show", issued.identifier).stdout.splitlines()
    )


def test_fsck_ends_with_three_when_registry_and_lists_differ(run, issued, database):
    good = run("fsck", "--json")
    with database.write() as tx:
        tx.execute(update(certificates).values(state="suspended"))
    bad = run("fsck")

    assert (good.exit_code, json.loads(good.stdout)) == (
        0,
        {"ok": True, "certificates": 1, "problems": []},
    )
    assert bad.exit_code == 3
    assert "its list says 0" in bad.stdout


def test_settle_sets_a_status_that_was_changed_by_hand_back_and_says_which(run, issued, database):
    with database.write() as tx:
        tx.execute(update(certificates).values(state="suspended"))
    refused = run("change", issued.identifier, "active", "suspension_lifted", name="li")
    settled = run("settle", "--json")

    assert refused.exit_code != 0
    assert refused.exception.code == "status_contradicted"
    said = [{"identifier": issued.identifier, "outcome": "restored"}]
    assert (settled.exit_code, json.loads(settled.stdout)) == (0, said)
    assert run("fsck").exit_code == 0


def test_a_file_is_imported_by_two_people(run, tmp_path):
    file = tmp_path / "register.csv"
    file.write_bytes(written(few()))

    words = ("import", str(file), "--type", CHICAGO, "--mapping", "chicago", "--submit", "--json")
    checked = json.loads(run(*words).stdout)
    done = run("approve", checked["batch"], checked["digest"], "--run", "--json", name="li")

    assert json.loads(done.stdout)[0]["issued"] == 3
    progress = json.loads(run("progress", checked["batch"], "--json").stdout)
    assert progress[0]["state"] == "done"


def test_unknown_columns_are_waived_by_name_at_a_terminal_too(run, tmp_path):
    file = tmp_path / "register.csv"
    file.write_bytes(written([row | {"OWNER": "x", "NOTE": "y"} for row in few()]))
    words = ("import", str(file), "--type", CHICAGO, "--mapping", "chicago", "--submit", "--json")

    some = run(*words, "--waive", "OWNER")
    every = run(*words, "--waive", "OWNER", "--waive", "note")
    other = run(*words, "--waive", "OWNER", "--waive", "NOTE", "--waive", "ID")

    assert (some.exit_code, json.loads(some.stdout)["state"]) == (3, "checked")
    assert {each["rule"] for each in json.loads(some.stdout)["errors"]} == {"unknown_column"}
    assert (every.exit_code, json.loads(every.stdout)["state"]) == (0, "submitted")
    assert json.loads(every.stdout)["waived"] == ["OWNER", "NOTE"]
    assert isinstance(other.exception, UnknownColumns)


def test_a_guessed_encoding_is_shown_and_confirmed_by_both_at_a_terminal_too(run, tmp_path):
    file = tmp_path / "register.csv"
    file.write_bytes(written(few(LEGAL_NAME="老街面馆"), "gb18030"))
    words = ("import", str(file), "--type", CHICAGO, "--mapping", "chicago", "--json")

    dry = run(*words)
    unsure = run(*words, "--submit")
    sure = json.loads(run(*words, "--submit", "--encoding", "gb18030").stdout)
    hasty = run("approve", sure["batch"], sure["digest"], name="li")
    done = run("approve", sure["batch"], sure["digest"], "--encoding", "GB18030", name="li")

    told = json.loads(dry.stdout)
    assert (dry.exit_code, told["encoding"], told["guessed"]) == (0, "gb18030", True)
    assert told["strange_rows"] == [{"row": 3, "fields": {"legal_name": "老街面馆"}}]
    assert (unsure.exit_code, json.loads(unsure.stdout)["state"]) == (3, "checked")
    assert sure["state"] == "submitted"
    assert isinstance(hasty.exception, EncodingNotConfirmed)
    assert "row 3, legal_name: 老街面馆" in hasty.stderr
    assert done.exit_code == 0, done.output


def test_a_digest_that_begins_with_a_dash_is_no_option(run):
    answer = run("approve", "no-such-batch", "-" + "A" * 42)

    assert isinstance(answer.exception, BatchNotFound)


def test_a_wrong_file_exits_with_three_and_names_every_error(run, tmp_path):
    file = tmp_path / "register.csv"
    file.write_bytes(written(few(ID="")))

    answer = run("import", str(file), "--type", CHICAGO, "--mapping", "chicago", "--json")

    assert answer.exit_code == 3
    assert json.loads(answer.stdout)["errors"][0]["column"] == "ID"


def test_the_sample_is_where_the_readme_says():
    assert SAMPLE.exists()
    assert "City of Chicago Data Portal" in SAMPLE.with_name("README.md").read_text()
