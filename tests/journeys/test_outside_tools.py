"""Other people's tools on what the running house gave out: none of them knows our code."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.sandbox.demo import Story
from server.sandbox.visitors import Browser
from tests.simulators.office import Office


def run(*command: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture
def sealed(story: Story, tmp_path: Path) -> Path:
    """The sealed licence as a file."""
    path = tmp_path / "licence.pdf"
    path.write_bytes(story.pdf)
    return path


@pytest.fixture
def public(office: Office) -> Iterator[Browser]:
    browser = Browser(office.origin)
    yield browser
    browser.close()


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


@pytest.mark.poppler
def test_pdfsig_says_valid_and_of_the_whole_document(sealed: Path) -> None:
    said = run("pdfsig", "-nocert", sealed).stdout

    assert "Signature is Valid" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said


@pytest.mark.poppler
def test_pdfsig_says_otherwise_after_one_flipped_byte(sealed: Path) -> None:
    data = bytearray(sealed.read_bytes())
    data[len(data) // 3] ^= 1
    sealed.write_bytes(data)

    said = run("pdfsig", "-nocert", sealed)

    assert "Signature is Valid" not in said.stdout
    assert "Digest Mismatch" in said.stdout, said


@pytest.mark.qpdf
def test_qpdf_finds_nothing_wrong_in_the_file(sealed: Path) -> None:
    checked = run("qpdf", "--check", sealed)

    assert checked.returncode == 0, checked.stdout
    assert "No syntax or stream encoding errors found" in checked.stdout


@pytest.mark.openssl
def test_openssl_accepts_a_time_stamp_of_the_running_house(
    sealed: Path, public: Browser, tmp_path: Path
) -> None:
    query = ("openssl", "ts", "-query", "-data", sealed, "-sha256", "-cert", "-out", "query")
    assert run(*query, cwd=tmp_path).returncode == 0
    media_type = {"content-type": "application/timestamp-query"}
    asked = (tmp_path / "query").read_bytes()
    answer = public.client.post("/tsa", content=asked, headers=media_type)
    (tmp_path / "reply").write_bytes(answer.content)
    (tmp_path / "root.pem").write_bytes(pem(public.download("/pki/ca.crt")))
    (tmp_path / "issuing.pem").write_bytes(pem(public.download("/pki/issuing-1.crt")))
    verify = ("openssl", "ts", "-verify", "-in", "reply", "-queryfile", "query")
    trust = ("-CAfile", "root.pem", "-untrusted", "issuing.pem")

    verified = run(*verify, *trust, cwd=tmp_path)
    reply = bytearray(answer.content)
    reply[-1] ^= 1
    (tmp_path / "reply").write_bytes(reply)

    assert "Verification: OK" in verified.stdout + verified.stderr, verified
    assert run(*verify, *trust, cwd=tmp_path).returncode != 0


def test_pyjwt_verifies_our_tokens_receipts_and_status_lists(
    story: Story, public: Browser, office: Office
) -> None:
    keys = jwt.PyJWKSet.from_dict(public.client.get("/keys/jwks.json").json())
    file = json.loads(story.bank.receipt_file(story.receipt_id))

    token = decode(story.bank.token, keys, audience=f"{office.origin}/api/v1")
    receipt = decode(file["receipt"], keys)
    listed = public.client.get("/status-lists/1", headers={"accept": "application/statuslist+jwt"})
    status = decode(listed.text, keys)

    assert token["client_id"] == "shili-bank"
    assert receipt["iss"] == status["iss"] == office.origin
    assert status["status_list"]["bits"] == 2


def test_pyjwt_refuses_a_token_with_one_changed_character(story: Story, public: Browser) -> None:
    keys = jwt.PyJWKSet.from_dict(public.client.get("/keys/jwks.json").json())
    head, body, signature = story.bank.token.split(".")
    changed = f"{head}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{signature}"

    with pytest.raises(jwt.InvalidTokenError):
        decode(changed, keys)


def decode(token: str, keys: jwt.PyJWKSet, audience: str | None = None) -> dict:
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_aud": audience is not None}
    return jwt.decode(token, key, algorithms=["ES256"], audience=audience, options=options)


@pytest.mark.go
def test_a_reader_in_go_recomputes_the_checkpoint_from_the_tiles(
    story: Story, public: Browser, office: Office, ledger_reader: Path
) -> None:
    vkey = public.download("/ledger/keys").decode().split()[0]

    read = run(ledger_reader, f"{office.origin}/ledger", vkey)

    assert read.returncode == 0, read.stderr
    origin, size, root = read.stdout.split()
    assert origin == f"localhost:{office.port}/ledger"
    assert int(size) > 30
    assert len(b64decode(root)) == 32


@pytest.fixture(scope="session")
def ledger_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("go") / "ledger-reader"
    built = run("go", "build", "-o", program, ".", cwd=Path("tests/ledger/go_reader").resolve())
    if built.returncode and "dial tcp" in built.stderr:
        pytest.skip("the Go modules of the reader cannot be fetched here")
    assert built.returncode == 0, built.stderr
    return program


def test_a_receipt_is_verified_offline_with_two_public_anchors(
    story: Story, public: Browser, tmp_path: Path
) -> None:
    """No house, no database, no network: the environment of this command names none of them."""
    (tmp_path / "receipt.json").write_bytes(story.bank.receipt_file(story.receipt_id))
    (tmp_path / "root.pem").write_bytes(pem(public.download("/pki/ca.crt")))
    vkey = public.download("/ledger/keys").decode().split()[0]
    away = Office(tmp_path / "nothing-here")
    away.folder.mkdir()
    words = ("verify", "--receipt", tmp_path / "receipt.json", "--ledger-key", vkey)
    anchors = ("--trust-anchor", tmp_path / "root.pem")

    report = away.json(*map(str, (*words, *anchors)))
    forged = (tmp_path / "receipt.json").read_text().replace("LOAN-2026-0417", "LOAN-2026-0418")
    (tmp_path / "receipt.json").write_text(forged)
    refused = away.json(*map(str, (*words, *anchors)), expect=3)

    assert (report["genuine"], report["in_log"]) == (True, True)
    assert refused["genuine"] is False
    assert not list(away.folder.iterdir())  # nothing was opened, nothing was written
