"""A real register in bulk: 300 rows of the City of Chicago, through the pages, verified three ways.

Source of the rows: `certificates/samples/README.md`. One row is given the status REV here and one a
term that still runs, because the published extract holds neither.
"""

import csv
import io
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from server.sandbox import seeds
from server.sandbox.visitors import Browser, Program, ReceivedPage, photograph
from tests.simulators.office import PATIENCE, Office

SAMPLE = Path("certificates/samples/chicago-business-licences.csv")
REASON = {
    "purpose": "loan-application",
    "legal_basis": "Consent of the licence holder",
    "case_ref": "LOAN-2026-0300",
}
ENDED = {"REV": "revoked", "AAC": "cancelled"}
HEADER_AND_ROWS = SAMPLE.read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


def sample_rows() -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(HEADER_AND_ROWS)))
    rows[0] |= {"LICENSE STATUS": "REV", "LICENSE STATUS CHANGE DATE": "01/02/2006"}
    rows[1] |= {"LICENSE TERM EXPIRATION DATE": "12/31/2099"}
    return rows


def sheet(rows: list[dict[str, str]], encoding: str = "utf-8") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def due_verdict(row: Mapping[str, str]) -> str:
    """What the register says of a row, read independently of the product."""
    if row["LICENSE STATUS"] in ENDED:
        return ENDED[row["LICENSE STATUS"]]
    end = row["LICENSE TERM EXPIRATION DATE"]
    if end and datetime.strptime(end, "%m/%d/%Y").replace(tzinfo=UTC) < datetime.now(UTC):
        return "expired"
    return "valid"


def upload(drafter: Browser, data: bytes, name: str = "register.csv") -> ReceivedPage:
    chosen = {"type": "chicago-business-licence", "mapping": "chicago"}
    file = {"file": (name, data, "text/csv")}
    return drafter.open("/staff/bulk").send("/staff/bulk", chosen, file)


@dataclass
class Register:
    """The 300 licences as they were issued: their rows, and the officer and the bank who look."""

    rows: list[dict[str, str]]
    officer: Browser
    bank: Program
    identifiers: Mapping[str, str]  # by record number

    def pdf(self, row: Mapping[str, str]) -> bytes:
        path = f"/staff/certificates/{self.identifiers[row['ID']]}/certificate.pdf"
        return self.officer.download(path)


@pytest.fixture(scope="module")
def officers(office: Office) -> Iterator[tuple[Browser, Browser]]:
    adams, baker = Browser(office.origin), Browser(office.origin)
    adams.sign_in("adams", seeds.PASSWORD)
    baker.sign_in("baker", seeds.PASSWORD)
    yield adams, baker
    adams.close()
    baker.close()


@pytest.fixture(scope="module")
def register(office: Office, officers: tuple[Browser, Browser]) -> Iterator[Register]:
    """Upload, dry run, second officer, and wait until the last row is sealed."""
    adams, baker = officers
    rows = sample_rows()
    batch = upload(adams, sheet(rows))
    batch.send(f"{batch.path}/submit", {})
    baker.open(batch.path).send(f"{batch.path}/approve", {})
    progress = baker.open(f"{batch.path}/progress")  # answers when all is done
    assert "300" in progress.text, progress.text[-300:]
    bank = Program(office.origin, "shili-bank", office.new_secret("shili-bank"))
    yield Register(rows, baker, bank, dict(everything(baker)))
    bank.close()


def everything(officer: Browser) -> Iterator[tuple[str, str]]:
    """(number, identifier) of every certificate, page by page, as the officer turns them."""
    page = officer.open("/staff/certificates")
    while True:
        _, _, table = page.response.text.partition("<tbody>")
        for cell in table.split('href="/staff/certificates/')[1:]:
            identifier, _, rest = cell.partition('">')
            yield rest.partition("<")[0], identifier
        if not page.onward:
            return
        page = officer.open(f"/staff/certificates{page.onward}")


def test_all_300_rows_are_sealed_each_once(register: Register) -> None:
    assert len(register.identifiers) == 300
    assert len(set(register.identifiers.values())) == 300
    assert register.identifiers.keys() == {row["ID"] for row in register.rows}


def test_every_licence_has_the_right_verdict_by_number(register: Register) -> None:
    wanted = {row["ID"]: due_verdict(row) for row in register.rows}
    numbers, found = list(wanted), {}

    for start in range(0, 300, 100):
        some = numbers[start : start + 100]
        answer = register.bank.client.post(
            "/api/v1/verifications/batch", json={"numbers": some, **REASON}
        ).json()
        found |= {n: each["verdict"] for n, each in zip(some, answer["items"], strict=True)}

    assert found == wanted
    assert sorted(set(wanted.values())) == ["cancelled", "expired", "revoked", "valid"]
    assert list(wanted.values()).count("cancelled") == 26


def test_every_licence_has_the_right_verdict_by_its_sealed_file_and_by_its_code(
    register: Register, request: pytest.FixtureRequest
) -> None:
    """All 300 on SQLite; on PostgreSQL, whose rows are the same, every tenth and all that ended."""
    whole = "sqlite" in request.node.name
    rows = [
        row
        for at, row in enumerate(register.rows)
        if whole or at % 10 == 0 or row["LICENSE STATUS"] in ENDED
    ]

    with ThreadPoolExecutor(3) as visitors:
        found = dict(visitors.map(lambda row: look_at(register, row), rows))

    assert found == {row["ID"]: (due_verdict(row), due_verdict(row)) for row in rows}


def look_at(register: Register, row: Mapping[str, str]) -> tuple[str, tuple[str, str]]:
    """The verdicts on the sealed file and on the code in a photo of it."""
    pdf = register.pdf(row)
    by_file = register.bank.verify(REASON, pdf)
    picture = Image.open(io.BytesIO(photograph(pdf)))
    codes = [code.text for code in zxingcpp.read_barcodes(picture)]
    offline = next(text for text in codes if text.startswith("YZ1:"))
    by_code = register.bank.verify({"qr": offline, **REASON})
    assert by_file["fields"]["legal_name"] == " ".join(row["LEGAL NAME"].split())
    return row["ID"], (by_file["verdict"], by_code["verdict"])


def test_the_ledger_is_clean_after_the_bulk(register: Register, office: Office) -> None:
    owed = 300 + 27  # issued, and ended
    deadline = time.monotonic() + PATIENCE
    size, problems = office.fsck()
    while size < owed and time.monotonic() < deadline:  # the integrator has its own pace
        size, problems = office.fsck()

    assert problems == []
    assert size >= owed


# ── broken files: told row by row, and nothing is issued from them ──────────────────────────────


def broken(row: int, **changed: str) -> list[dict[str, str]]:
    rows = [each | {"ID": f"7{each['ID']}"} for each in sample_rows()[:5]]
    rows[row] |= {name.replace("_", " "): value for name, value in changed.items()}
    return rows


def doubled() -> list[dict[str, str]]:
    rows = broken(0)
    return [*rows, rows[2]]


def without(column: str) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != column} for row in broken(0)]


@pytest.mark.parametrize(
    ("data", "row", "column", "rule"),
    [
        (sheet(broken(1, DATE_ISSUED="02/30/2005")), "3", "DATE ISSUED", "bad_date"),
        (sheet(broken(1, DATE_ISSUED="31.12.2005"), "utf-8-sig"), "3", "DATE ISSUED", "bad_date"),
        (sheet(broken(2, ID="编号"), "gb18030"), "4", "ID", "wrong_form"),
        (sheet(broken(2, ID="１２３"), "utf-8"), "4", "ID", "wrong_form"),
        (sheet(doubled()), "7", "ID", "duplicate_in_file"),
        (sheet(without("LEGAL NAME")), "1", "LEGAL NAME", "missing_column"),
        (sheet(broken(3, LEGAL_NAME="X" * 10_000_000)), "5", "", "cell_too_large"),
    ],
    ids=["bad date", "BOM", "GB18030", "full-width", "duplicate", "missing column", "10 MB cell"],
)
def test_a_broken_file_is_told_row_by_row_and_nothing_is_issued_from_it(
    officers: tuple[Browser, Browser], data: bytes, row: str, column: str, rule: str
) -> None:
    adams, _ = officers
    page = upload(adams, data, "broken.csv")
    told = list(
        csv.reader(io.StringIO(adams.download(f"{page.path}/errors.csv").decode("utf-8-sig")))
    )

    assert page.status == 200
    assert [row, column, rule] in [line[:3] for line in told], told
    assert not any("/submit" in form.action for form in page.forms)
    assert not any(number.startswith("7") for number, _ in everything(adams))
