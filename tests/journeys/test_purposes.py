"""Production, without made-up people: a purpose is applied for and approved at a terminal, and a
program's question turns from `not_permitted` to an answer, and back at the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from foundation.actor import SYSTEM
from idp import Client
from server.assembly import Installation
from server.settings import load
from tests.exchange.conftest import AUTHORITY, BANK, FOOD, LI, WANG

URL = "https://licences.example.gov"
TEXTS = dict.fromkeys(("zh-Hans", "zh-Hant", "en"), "Bank")
BASIS = "《中华人民共和国食品安全法》第一百一十条"
FORM = f"""
organisation = "{BANK}"
code = "food-inspection"
service_item = "日常监督检查"
legal_bases = ["{BASIS}"]
types = ["food-business-licence"]
fields = ["operator_name", "valid_until"]
predicates = ["valid_today"]
channel = "api"
retention_days = 180
quota = 1000
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    key = tmp_path / "master.key"
    environment = {
        "YINZHENG_MODE": "production",
        "YINZHENG_PUBLIC_URL": URL,
        "YINZHENG_MASTER_KEY_FILE": str(key),
        "YINZHENG_DATA_DIR": str(tmp_path),
        "YINZHENG_MANAGEMENT_PORT": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert terminal("master-key", str(key)).returncode == 0
    return load()


def terminal(*words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "server", *words]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def found_city(installation: Installation) -> tuple[str, str]:
    """A seal, a sealed licence and a program; its number and the program's secret."""
    with installation.database.write() as tx:
        installation.seals.register(
            tx,
            owner=AUTHORITY,
            owner_name="示例市市场监督管理局",
            name="示例市市场监督管理局",
            code="9900010000000",
            by=LI,
            now=installation.clock(),
        )
        client = Client(
            client_id="bank",
            profile="standard",
            token_endpoint_auth_method="client_secret_basic",
            name=TEXTS,
            purpose=TEXTS,
            organisation=BANK,
            organisation_name="示例银行",
            grant_types=("client_credentials",),
            scopes=("certificates.verify",),
            resources=(installation.idp.api_audience,),
        )
        secret = installation.idp.clients.register(tx, client, by=SYSTEM).client_secret
    draft = installation.certificates.draft(WANG, "food-business-licence", FOOD)
    draft = installation.certificates.submit(WANG, draft.id)
    installation.certificates.approve(LI, draft.id, draft.content_digest)
    return installation.certificates.issue(draft.id).number, secret


def test_in_production_a_purpose_is_approved_by_a_second_person_and_answers(
    settings, tmp_path: Path
):
    for name in ("anna", "bert"):
        words = ("--role", "operator", "--organisation", AUTHORITY, "--organisation-name", "City")
        added = terminal(
            "idp", "people", "add", name, name.title(), *words, typed="correct-horse-7\n" * 2
        )
        assert added.returncode == 0, added.stderr
    file = tmp_path / "purpose.toml"
    file.write_text(FORM, encoding="utf-8")
    installation = Installation(settings)
    try:
        number, secret = found_city(installation)
        web = TestClient(installation.app(), base_url=URL)

        def asked() -> str:
            form = {"grant_type": "client_credentials", "scope": "certificates.verify"}
            token = web.post("/oauth/token", data=form, auth=("bank", secret)).json()
            question = {
                "number": number,
                "purpose": "food-inspection",
                "legal_basis": BASIS,
                "case_ref": "1",
            }
            bearer = {"authorization": f"Bearer {token['access_token']}"}
            answer = web.post("/api/v1/verifications", json=question, headers=bearer)
            return str(answer.json()["verdict"])

        assert asked() == "not_permitted"
        applied = terminal("purposes", "apply", str(file), "--by", "anna")
        assert applied.returncode == 0, applied.stderr
        application = applied.stdout.strip()
        own = terminal("purposes", "approve", application, "--by", "anna")
        assert own.returncode == 5
        assert "application_four_eyes" in own.stderr
        assert asked() == "not_permitted"

        approved = terminal("purposes", "approve", application, "--by", "bert")
        assert approved.returncode == 0, approved.stderr
        assert asked() == "valid"

        ended = terminal("purposes", "end", application, "--by", "anna", "--reason", "closed")
        assert ended.returncode == 0, ended.stderr
        assert asked() == "not_permitted"
        listed = json.loads(terminal("purposes", "list", "--json").stdout)
        assert [each["state"] for each in listed] == ["ended"]
        assert json.loads(terminal("purposes", "show", application).stdout)["reason"] == "closed"
    finally:
        installation.close()


def test_a_wrong_file_names_each_field_and_the_remedy(settings, tmp_path: Path):
    file = tmp_path / "purpose.toml"
    file.write_text('code = 7\nquota = "many"\nshoe = 1\n', encoding="utf-8")

    done = terminal("purposes", "apply", str(file), "--by", "anna")

    assert done.returncode == 2
    for said in ("/code: ", "/quota: ", "/shoe: ", "/legal_bases: ", "next: "):
        assert said in done.stderr
