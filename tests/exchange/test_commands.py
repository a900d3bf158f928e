"""`verify` at a terminal: exit codes, words, and a receipt without a house."""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from certificates.rules import State
from exchange import commands
from tests.exchange.conftest import FOOD, FOOD_BASIS, INSPECTOR, LI, asking


@pytest.fixture
def verify(house):
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.add_verify(app, lambda: nullcontext(house.verifications))

    def verify(*words: object) -> Any:
        return CliRunner().invoke(app, ["verify", *map(str, words)])

    return verify


@pytest.fixture
def receipt(house, licence, tmp_path):
    verdict = house.ask(asking(licence.number))
    house.ledger.integrate_all()
    path = tmp_path / "receipt.json"
    path.write_bytes(orjson.dumps(house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)))
    return path


def test_a_licence_in_force_ends_with_0(verify, licence):
    answer = verify("--number", licence.number)

    assert answer.exit_code == 0
    assert answer.stdout.startswith("valid")
    assert FOOD["operator_name"] in answer.stdout


def test_a_revoked_licence_ends_with_3(verify, house, licence, tmp_path):
    path = tmp_path / "licence.pdf"
    path.write_bytes(house.certificates.pdf(LI, licence.identifier))
    house.change(licence, State.REVOKED, "serious_violation")

    for words in (("--number", licence.number), (path,), ("--qr", f"/v/{licence.qr_token}")):
        answer = verify(*words)
        assert answer.exit_code == 3
        assert answer.stdout.startswith("revoked")


def test_a_purpose_that_is_not_held_ends_with_5(verify, licence):
    answer = verify(
        "--number",
        licence.number,
        "--purpose",
        "food-inspection",
        "--legal-basis",
        FOOD_BASIS,
        "--case",
        "7",
    )

    assert answer.exit_code == 5


def test_programs_read_json(verify, licence):
    answer = verify("--number", licence.number, "--json")

    assert json.loads(answer.stdout)["verdict"] == "valid"


def no_house() -> AbstractContextManager[Any]:
    raise AssertionError("a receipt with its anchors needs no house")


def test_a_receipt_is_checked_without_a_house(house, receipt, tmp_path):
    anchor = tmp_path / "root.pem"
    anchor.write_text(house.root_pem())

    outcome = commands.check_receipt(receipt, anchor, house.ledger_keys(), no_house)

    assert outcome.exit_code == 0
    assert outcome.report["claims"]["verdict"] == "valid"


def test_a_receipt_is_checked_against_our_own_anchors_when_none_are_given(verify, receipt):
    answer = verify("--receipt", receipt)

    assert answer.exit_code == 0
    assert "genuine" in answer.stdout
    assert "示例市食品安全局" in answer.stdout


def test_a_receipt_that_was_touched_ends_with_3(verify, receipt):
    receipt.write_bytes(receipt.read_bytes().replace(b"food-inspection", b"food-inspectiom"))

    answer = verify("--receipt", receipt, "--json")

    assert answer.exit_code == 3
    assert json.loads(answer.stdout)["code"] == "receipt_entry_differs"


def test_a_receipt_that_is_not_in_the_log_yet_ends_with_4(verify, house, licence, tmp_path):
    verdict = house.ask(asking(licence.number))
    path = tmp_path / "receipt.json"
    path.write_bytes(orjson.dumps(house.verifications.receipt_file(verdict.receipt_id)))

    assert verify("--receipt", path).exit_code == 4
