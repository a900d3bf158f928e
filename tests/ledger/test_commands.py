"""The auditor's terminal: exit codes 0 good, 3 bad, 4 undecided."""

import contextlib
import json
import shutil
import threading
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from foundation.actor import SYSTEM
from ledger import Entry
from ledger.commands import build
from ledger.models import ledger_entries
from ledger.tiles import TilePath, levels, tile_width


@pytest.fixture
def run(ledger):
    @contextlib.contextmanager
    def open_ledger():
        yield ledger

    app = build(open_ledger)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def ref(ledger, database, clock):
    return grow(ledger, database, clock, 5)[2]


def grow(ledger, database, clock, count):
    refs = []
    with database.write() as tx:
        for _ in range(count):
            at = clock.advance(timedelta(milliseconds=1))
            entry = Entry(kind="verification", actor=SYSTEM, at=at, subject="5b" * 32)
            refs.append(ledger.append(tx, entry))
    ledger.integrate_all()
    return refs


def test_fsck_says_good_and_bad(run, ref, database):
    good = run("fsck", "--json")
    with database.write() as tx:
        tx.execute(update(ledger_entries).where(ledger_entries.c.seq == 2).values(leaf=b"{}"))
    bad = run("fsck")

    assert (good.exit_code, json.loads(good.stdout)["size"]) == (0, 5)
    assert bad.exit_code == 3
    assert "entry 2 cannot be read" in bad.stdout


def test_fsck_compares_with_a_checkpoint_kept_elsewhere(run, ref, ledger, tmp_path):
    kept = tmp_path / "checkpoint"
    kept.write_text(run("checkpoint").stdout, encoding="utf-8")
    assert run("fsck", "--witnessed", kept).exit_code == 0

    kept.write_text(kept.read_text(encoding="utf-8").replace("\n5\n", "\n6\n"), encoding="utf-8")
    assert run("fsck", "--witnessed", kept).exit_code == 3


def test_a_proof_file_is_checked_without_the_house(run, ref, tmp_path):
    file = tmp_path / "entry.tlog-proof"
    file.write_text(run("proof", ref.id).stdout, encoding="utf-8")
    vkey = run("keys").stdout.strip()

    checked = run("verify-proof", file, "--key", vkey, "--json")

    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["index"] == 2
    assert run("verify-proof", file).exit_code == 0


def test_a_bad_proof_ends_with_3(run, ref, tmp_path):
    file = tmp_path / "entry.tlog-proof"
    text = run("proof", ref.id).stdout
    file.write_text(text.replace("index 2", "index 3"), encoding="utf-8")
    vkey = run("keys").stdout.strip()

    refused = run("verify-proof", file, "--key", vkey, "--json")

    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["code"] == "proof_invalid"


def test_what_cannot_be_decided_ends_with_4(run, ref, ledger, tmp_path):
    bare = tmp_path / "bare.tlog-proof"
    bare.write_text(ledger.proof(ref.id), encoding="utf-8")
    leaf = tmp_path / "leaf.json"
    leaf.write_bytes(ref.leaf)

    assert run("verify-proof", bare).exit_code == 4
    assert run("verify-proof", tmp_path / "absent").exit_code == 4
    assert run("proof", "no-such-entry").exit_code == 4
    assert run("verify-proof", bare, "--entry", leaf).exit_code == 0
    assert run("verify-proof", bare, "--entry", leaf, "--key", "no key").exit_code == 2


@pytest.fixture
def published(ledger, tmp_path):
    """The log as static files behind a plain web server, as a mirror would serve it."""
    folder = tmp_path / "mirror"

    def publish():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        note = ledger.checkpoint()
        (folder / "checkpoint").write_text(note, encoding="utf-8")
        size = int(note.split("\n")[1])
        for level in (None, *levels(size)):
            number = 0
            while width := tile_width(size, level or 0, number):
                path = TilePath(level, number, width)
                file = folder / "tile" / str(path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(ledger.resource(path))
                number += 1

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield publish, f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_a_monitor_follows_the_log_and_notices_when_it_goes_back(
    run, ledger, database, clock, published, tmp_path
):
    publish, url, folder = published
    grow(ledger, database, clock, 5)
    publish()
    state, vkey = tmp_path / "state", str(ledger.verifier_keys()[0])
    early = (folder / "checkpoint").read_text(encoding="utf-8")

    assert run("monitor", url, "--state", state, "--key", vkey).exit_code == 0
    grow(ledger, database, clock, 300)
    publish()
    assert run("monitor", url, "--state", state, "--key", vkey).exit_code == 0
    assert state.read_text(encoding="utf-8").split("\n")[1] == "305"
    (folder / "checkpoint").write_text(early, encoding="utf-8")
    rewound = run("monitor", url, "--state", state, "--key", vkey)

    assert rewound.exit_code == 3
    assert "log_rewound" in rewound.stdout
    assert state.read_text(encoding="utf-8").split("\n")[1] == "305", "the evidence is kept"
    assert run("monitor", url + "/nowhere", "--state", state, "--key", vkey).exit_code == 4


def test_a_monitor_reads_every_entry_unless_told_not_to(
    run, ledger, database, clock, published, tmp_path
):
    publish, url, folder = published
    grow(ledger, database, clock, 5)
    publish()
    bundle = folder / "tile" / str(TilePath(None, 0, 5))
    bundle.write_bytes(bundle.read_bytes().replace(b"verification", b"verificatioN", 1))
    state, vkey = tmp_path / "state", str(ledger.verifier_keys()[0])

    altered = run("monitor", url, "--state", state, "--key", vkey, "--json")

    assert altered.exit_code == 3
    assert json.loads(altered.stdout)["code"] == "log_altered"
    assert not state.exists()
    quick = run("monitor", url, "--state", state, "--key", vkey, "--no-entries", "--json")
    assert quick.exit_code == 0
    assert json.loads(quick.stdout)["checkpoint"] == ledger.checkpoint()


def test_programs_read_json_everywhere(run, ledger, ref):
    for command, member in (
        (("checkpoint",), "checkpoint"),
        (("keys",), "keys"),
        (("proof", ref.id), "proof"),
        (("fsck",), "size"),
    ):
        told = run(*command, "--json")
        assert told.exit_code == 0
        assert json.loads(told.stdout)[member]
