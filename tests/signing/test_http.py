"""POST /api/v1/documents/validate and `documents …` at a terminal."""

import hashlib
import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from typer.testing import CliRunner, Result

from foundation.actor import Actor, ActorKind
from foundation.batching.routes import problem
from foundation.canonical import b64url
from foundation.errors import Conflict, YinzhengError
from signing import Approval, Seal, commands, http
from signing.errors import PermitExhausted, UnknownPermit
from signing.validation.reasons import PASSED, REASONS, reason_for
from tests.exchange.departments import Bearers, Door, bearing
from tests.signing.conftest import KEEPER, House
from tests.signing.foreign.test_sealing import letter

AGENCY = Actor(ActorKind.CLIENT, "agency-1", name="agency", roles=frozenset({http.SCOPE}))
NOBODY = Actor(ActorKind.CLIENT, "nobody", name="nobody", roles=frozenset())
OFFICER = replace(KEEPER, id="clerk-1", roles=frozenset({"drafter"}))
DAY = timedelta(days=1)
PATH = "/api/v1/documents/validate"


@pytest.fixture
def door(house: House) -> Door:
    app = FastAPI()
    app.include_router(http.router(house.signing, Bearers(AGENCY, NOBODY)))

    @app.exception_handler(YinzhengError)
    def _problem(_request: Any, error: YinzhengError) -> JSONResponse:
        answer = problem(error)
        return JSONResponse(orjson.loads(answer.body), answer.status)

    return Door(app)


def ask(door: Door, **files: bytes) -> Any:
    parts = {name: (f"{name}.bin", data) for name, data in files.items()}
    return door.post(PATH, files=parts, headers=bearing(AGENCY))


def test_a_sealed_document_is_told_in_full(door: Door, seal: Seal, sealed: bytes) -> None:
    answer = ask(door, document=sealed)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    report = answer.json()
    assert report["indication"] == "valid"
    assert report["etsi"] == {"indication": "TOTAL-PASSED", "sub_indication": ""}
    assert report["level"] == "B-LT"
    assert report["seal"] == {
        "id": seal.id,
        "name": seal.name,
        "owner": seal.owner,
        "owner_name": seal.owner_name,
        "state_then": "active",
    }
    assert report["signatures"] == [
        {
            "signer": seal.name,
            "signed_at": "2026-11-24T08:00:00Z",
            "time_proved": True,
            "coverage": "file",
            "changes_after": "none",
        }
    ]
    assert [check["name"] for check in report["checks"]][:4] == [
        "integrity",
        "seal",
        "authority",
        "time",
    ]
    assert {language for check in report["checks"] for language in check["text"]} == {
        "en",
        "zh-Hans",
        "zh-Hant",
    }


def test_a_bad_document_is_a_good_answer_with_the_same_members(door: Door, sealed: bytes) -> None:
    good = ask(door, document=sealed).json()

    for data in (b"hello", sealed + b"%", b"%PDF-1.7\nnothing"):
        answer = ask(door, document=data)
        assert answer.status_code == 200
        assert answer.json().keys() == good.keys()
        assert answer.json()["indication"] == "invalid"
        assert answer.json()["etsi"]["indication"] == "TOTAL-FAILED"


def test_a_file_and_the_signature_beside_it(door: Door, house: House, seal: Seal) -> None:
    data = b"minutes of a meeting"
    approval = Approval(b64url(hashlib.sha256(data).digest()), "a", "b", house.clock())
    signature = house.signing.seal_file(seal, data, approval, now=house.clock()).data

    assert ask(door, document=data, signature=signature).json()["indication"] == "valid"
    assert ask(door, document=b"x", signature=signature).json()["indication"] == "invalid"


def test_without_token_or_scope_nothing_is_validated(door: Door, sealed: bytes) -> None:
    files = {"document": ("a.pdf", sealed)}

    assert door.post(PATH, files=files).status_code == 401
    assert door.post(PATH, files=files, headers=bearing(NOBODY)).status_code == 403


def test_a_signature_above_its_limit_is_refused(door: Door) -> None:
    answer = ask(door, document=b"x", signature=bytes(300_000))

    assert answer.status_code == 413


# --- reasons ----------------------------------------------------------------------------------


def test_every_reason_is_told_in_three_languages() -> None:
    for code, reason in REASONS.items():
        assert all(reason.text.values()), code
        assert reason.en.endswith(".")
        assert reason.zh_hans.endswith("。")
        assert reason.zh_hant.endswith("。")


def test_every_code_the_room_can_give_has_a_row() -> None:
    """Read from the source, so that a new code cannot be forgotten."""
    import re

    found: set[str] = set()
    for path in Path("signing").rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'(?:Doubt|_failed|unread)\(\s*(?:"pdf", |kind, )?"(\w+)"', text))
        found |= set(re.findall(r'Check\(\s*"\w+", (?:"\w+"|result), "(\w+)"', text))
    found -= {"unknown", "pdf"}  # the format, not the code

    assert len(found) > 20
    for code in found:
        assert reason_for(code), code


def test_an_idle_seal_and_an_unreached_check_have_words_too() -> None:
    assert reason_for("seal_filed").indication == "TOTAL-FAILED"
    assert reason_for("time_not_reached").indication != PASSED


# --- at a terminal ----------------------------------------------------------------------------


def run(house: House, *words: object) -> Result:
    return CliRunner().invoke(commands.build(lambda: nullcontext(house)), list(map(str, words)))


@pytest.mark.parametrize(("ending", "code"), [(b"", 0), (b"%", 3)])
def test_validate_ends_with_0_or_3(
    house: House, sealed: bytes, tmp_path: Path, ending: bytes, code: int
) -> None:
    (tmp_path / "a.pdf").write_bytes(sealed + ending)

    done = run(house, "validate", tmp_path / "a.pdf")

    assert done.exit_code == code
    assert done.stdout.startswith("VALID  TOTAL-PASSED" if code == 0 else "INVALID  TOTAL-FAILED")


@pytest.fixture
def permit(house: House, seal: Seal) -> str:
    """Leave to use the seal once, asked by one officer and approved by another."""
    permits, now = house.seals.permits, house.clock()
    with house.database.write() as tx:
        permit = permits.ask(
            tx, seal.id, purpose="minutes", quota=1, by=OFFICER, now=now, until=now + DAY
        )
        permits.approve(tx, permit, by=KEEPER, now=now)
    return permit


def run_seal(house: House, seal: Seal, permit: str, file: Path, out: Path, *more: str) -> Result:
    words = ("--seal", seal.id, "--permit", permit, "--purpose", "minutes", "--output", out)
    return run(house, "seal", file, *words, *more)


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    path = tmp_path / "minutes.txt"
    path.write_bytes(b"minutes of a meeting")
    return path


def test_a_file_is_sealed_and_validated_at_a_terminal(
    house: House, seal: Seal, permit: str, minutes: Path
) -> None:
    out = minutes.with_suffix(".p7s")

    done = run_seal(house, seal, permit, minutes, out)

    assert done.exit_code == 0, done.output
    found = run(house, "validate", minutes, "--signature", out, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["seal"]["id"] == seal.id
    (use,) = [use for _number, use in house.keys.uses_of(seal.use)]
    assert (use.drafter, use.approver, use.approval) == (OFFICER.id, KEEPER.id, permit)


def test_a_jws_alone_ends_with_4_because_its_time_is_only_claimed(
    house: House, seal: Seal, permit: str, minutes: Path
) -> None:
    out = minutes.with_suffix(".jws")

    run_seal(house, seal, permit, minutes, out, "--form", "jws")

    assert run(house, "validate", minutes, "--signature", out).exit_code == 4


def test_a_pdf_is_sealed_on_its_page_at_a_terminal(
    house: House, seal: Seal, permit: str, tmp_path: Path
) -> None:
    (tmp_path / "letter.pdf").write_bytes(letter(2))
    out = tmp_path / "sealed.pdf"

    place = ("--form", "pdf", "--page", "2", "--box", "100", "100", "80")
    done = run_seal(house, seal, permit, tmp_path / "letter.pdf", out, *place)

    assert done.exit_code == 0, done.output
    assert "B-LT" in done.stdout
    assert run(house, "validate", out).exit_code == 0


def test_a_permit_for_one_use_seals_one_file(
    house: House, seal: Seal, permit: str, minutes: Path, tmp_path: Path
) -> None:
    run_seal(house, seal, permit, minutes, tmp_path / "first")

    again = run_seal(house, seal, permit, minutes, tmp_path / "second")

    assert isinstance(again.exception, PermitExhausted)
    assert not (tmp_path / "second").exists()
    other = house.register(code="3501000012346")
    stolen = run_seal(house, other, permit, minutes, tmp_path / "third")
    assert isinstance(stolen.exception, UnknownPermit)


def test_an_existing_file_is_never_overwritten_and_no_permit_spent(
    house: House, seal: Seal, permit: str, minutes: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_bytes(b"important")

    done = run_seal(house, seal, permit, minutes, tmp_path / "taken")

    assert isinstance(done.exception, Conflict)
    assert (tmp_path / "taken").read_bytes() == b"important"
    assert run_seal(house, seal, permit, minutes, tmp_path / "free").exit_code == 0
