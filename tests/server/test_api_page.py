"""The programs of docs/api.md run as they are copied."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from foundation.errors import YinzhengError
from keys.errors import MessageSignatureRefused
from tests.attacks.test_messages import register
from tests.simulators.department import Department
from tests.simulators.office import Office, open_office
from tests.simulators.receiver import ASKING, PAGE


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("page")) as office:
        yield office


def test_the_signed_question_is_answered(office: Office, tmp_path: Path) -> None:
    department = Department(office.origin, "shili-page", kid="2026-11")
    register(office, department)
    pem = department.keys["2026-11"].private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "signing-key.pem").write_bytes(pem)
    token = department.http.headers["authorization"].removeprefix("Bearer ")

    done = run(ASKING, tmp_path, SERVICE=office.origin, TOKEN=token)

    assert done.strip() == "not_found"


def run(program: str, folder: Path, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_codes_of_refused_signatures_are_all_listed() -> None:
    page = PAGE.read_text()
    listed = set(re.findall(r"^\| `((?:signature|content)_\w+)` \|", page, re.MULTILINE))

    def below(kind: type[YinzhengError]) -> set[str]:
        return {each.code for each in kind.__subclasses__()}

    assert listed == below(MessageSignatureRefused)
