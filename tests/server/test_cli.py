"""The command line: one sentence and an exit code for whatever goes wrong, never a stack trace."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest


def run(
    folder: Path, *words: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    settings = {"PATH": "", "YINZHENG_DATA_DIR": str(folder), "YINZHENG_MANAGEMENT_PORT": "0"}
    command = [sys.executable, "-m", "server", *words]
    return subprocess.run(
        command, env=settings | (environment or {}), capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "environment", "code", "said"),
    [
        (["doctor"], {"YINZHENG_PORT": "abc"}, 1, "YINZHENG_PORT: "),
        (["doctor"], {"YINZHENG_PROT": "80"}, 1, "unknown setting YINZHENG_PROT"),
        (["serve"], {"YINZHENG_DATABASE_URL": "nonsense"}, 1, "YINZHENG_DATABASE_URL must be"),
        (
            ["migrate"],
            {"YINZHENG_DATABASE_URL": "postgresql://yz:hunter2@127.0.0.1:1/none"},
            1,
            "the database cannot be reached",
        ),
        (["serve"], {"YINZHENG_MODE": "production"}, 1, "must begin with https://"),
        (["no-such-word"], {}, 2, "No such command"),
        (["keys", "show", "nonsense"], {}, 2, "no key has this kid"),
        (["verify", "--number", "JY00000000000000"], {}, 3, ""),
        (["demo", "--once"], {"YINZHENG_MODE": "production"}, 1, "https"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_code(
    tmp_path: Path, words: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    done = run(tmp_path, *words, environment=environment)

    assert said in done.stderr, done.stderr
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    assert "hunter2" not in done.stderr + done.stdout


def test_a_master_key_is_written_once_and_for_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "master.key"

    first, again = run(tmp_path, "master-key", str(file)), run(tmp_path, "master-key", str(file))

    assert (first.returncode, again.returncode) == (0, 6)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "never overwritten" in again.stderr


def test_the_sandbox_may_be_loaded_again_and_again(tmp_path: Path) -> None:
    first, again = run(tmp_path, "sandbox"), run(tmp_path, "sandbox")
    people = run(tmp_path, "idp", "people", "list")

    assert (first.returncode, again.returncode) == (0, 0)
    assert people.stdout.count("username=") == 9


def test_doctor_shows_settings_without_secrets_and_says_what_works(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor")

    assert done.returncode == 0, done.stderr
    assert "database                 ok" in done.stdout
    for name in ("access token", "ID token by ES256", "ID token by RS256", "receipt"):
        assert f"{name:24} ok" in done.stdout
    assert "sqlite://…" in done.stdout


def test_in_production_what_failed_is_listed_with_its_reason_and_tried_again(
    tmp_path: Path,
) -> None:
    run(tmp_path, "master-key", str(tmp_path / "master.key"))
    production = {
        "YINZHENG_MODE": "production",
        "YINZHENG_PUBLIC_URL": "https://licences.example.gov",
        "YINZHENG_MASTER_KEY_FILE": str(tmp_path / "master.key"),
    }
    before = run(tmp_path, "jobs", "list", environment=production)
    failed = ("certificates.seal", '{"draft":"d1"}', "", "failed", 8, 0, "ValueError at x.py:1")
    with sqlite3.connect(tmp_path / "yinzheng.db") as database:
        database.execute(
            "INSERT INTO jobs (task, payload, lock, state, attempts, run_after, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            failed,
        )
    database.close()

    listed = run(tmp_path, "jobs", "list", "--json", environment=production)
    shown = run(tmp_path, "jobs", "list", environment=production)
    wrong = run(tmp_path, "jobs", "retry", environment=production)
    missing = run(tmp_path, "jobs", "retry", "99", environment=production)
    again = run(tmp_path, "jobs", "retry", "--all", environment=production)
    after = run(tmp_path, "jobs", "list", "--json", environment=production)

    assert (before.returncode, before.stdout) == (0, "no job has failed\n"), before.stderr
    [job] = json.loads(listed.stdout)
    assert job == {
        "number": 1,
        "task": "certificates.seal",
        "about": {"draft": "d1"},
        "state": "failed",
        "attempts": 8,
        "next": "not by itself",
        "why": "ValueError at x.py:1",
    }
    assert "draft=d1" in shown.stdout
    assert (wrong.returncode, missing.returncode) == (2, 2)
    assert "nothing to try again: 99" in missing.stderr
    assert (again.returncode, again.stdout) == (0, "1 tried again\n")
    [waiting] = json.loads(after.stdout)
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 0)
