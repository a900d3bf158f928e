"""Validator × level × algorithm × pages: who accepts what, as docs/standards.md shows it.

WRITE_DOCS=1 ./run test tests/signing/test_matrix.py      writes the table into the page
"""

import os
import re
from datetime import datetime
from pathlib import Path

import pytest

from keys.encoding.algorithms import ALGORITHMS
from signing import cms
from signing.foreign import gap as pdf_gap
from tests.signing import readers
from tests.signing.conftest import House
from tests.signing.pages import page

PAGE = Path("docs/standards.md")
MARKS = ("<!-- seals: begin -->", "<!-- seals: end -->")
LEVELS = ("B-B", "B-T", "B-LT")
PAGES = (1, 2, 12)
HEAD = (
    "| `level` | algorithm | pages | our own | pdfsig | qpdf | pyHanko | openssl cms | openssl ts|",
    "|---|---|---|---|---|---|---|---|---|",
)
# What a reader does not know at all is a dash; anything else must be accepted.
UNKNOWN_TO = {
    "pdfsig": {"EdDSA", "PS256"},  # NSS: neither Ed25519 nor PSS in CMS
    "openssl cms": {"EdDSA"},  # openssl 3.0: no Ed25519 in CMS
}

pytestmark = [pytest.mark.slow, pytest.mark.poppler, pytest.mark.qpdf, pytest.mark.openssl]


def test_every_reader_accepts_every_seal_it_understands(house: House, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(readers.pem(house.keys.authority.certificate("root")))
    rows = [_row(house, level, name, tmp_path) for level in LEVELS for name in ALGORITHMS]

    table = "\n".join([MARKS[0], *HEAD, *rows, MARKS[1]])
    text = PAGE.read_text()
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(re.sub(f"{MARKS[0]}.*{MARKS[1]}", table, text, flags=re.DOTALL))
    else:
        assert table in text, "the table in docs/standards.md is not what the readers say today"


def _row(house: House, level: str, algorithm: str, folder: Path) -> str:
    code = f"3501{LEVELS.index(level)}{list(ALGORITHMS).index(algorithm)}0000000"
    seal = house.register(code=code, algorithm=algorithm)
    cells: dict[str, set[str]] = {}
    for pages in PAGES:
        data = house.sealed(seal, page(pages=pages), page=pages - 1, level=level).data
        for reader, verdict in _verdicts(house, data, level, algorithm, folder).items():
            cells.setdefault(reader, set()).add(verdict)
    said = [" / ".join(sorted(verdicts)) for verdicts in cells.values()]
    return f"| `{level}` | {algorithm} | {', '.join(map(str, PAGES))} | {' | '.join(said)} |"


def _verdicts(
    house: House, data: bytes, level: str, algorithm: str, folder: Path
) -> dict[str, str]:
    path = folder / "sealed.pdf"
    path.write_bytes(data)
    root, now = house.keys.authority.certificate("root"), house.clock()
    found = house.signing.validate(data)
    assert found.level == level
    asked = readers.pyhanko_long_term if level == "B-LT" else readers.pyhanko
    status = asked(data, root, now)
    return {
        "our own": found.indication if level != "B-B" else "unknown: no time-stamp",
        "pdfsig": _known("pdfsig", algorithm, readers.pdfsig(path)),
        "qpdf": "clean" if readers.qpdf(path) == "" else "errors",
        "pyHanko": "trusted" if status.bottom_line else "refused",
        "openssl cms": _known("openssl cms", algorithm, _cms(data, now, folder)),
        "openssl ts": "–" if level == "B-B" else _ts(data, now, folder),
    }


def _known(reader: str, algorithm: str, verdict: str) -> str:
    if algorithm in UNKNOWN_TO.get(reader, ()):
        return "–"
    return {"Signature is Valid. whole": "valid"}.get(verdict, verdict)


def _cms(data: bytes, now: datetime, folder: Path) -> str:
    gap = pdf_gap.find(data)
    (folder / "signature").write_bytes(gap.contents(data))
    (folder / "signed").write_bytes(data[: gap.start] + data[gap.end :])
    done = readers.openssl(
        *("cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "signature"),
        *("-content", "signed", "-CAfile", "root.pem", "-purpose", "any"),
        *("-attime", str(int(now.timestamp()) + 60), "-out", "/dev/null"),
        folder=folder,
    )
    return "verified" if done.returncode == 0 else "refused"


def _ts(data: bytes, now: datetime, folder: Path) -> str:
    signed = cms.read_signed_data(pdf_gap.find(data).contents(data))
    (folder / "token").write_bytes(signed.unsigned[cms.SIGNATURE_TIME_STAMP])
    (folder / "stamped").write_bytes(signed.signature)
    done = readers.openssl(
        *("ts", "-verify", "-token_in", "-in", "token", "-data", "stamped"),
        *("-CAfile", "root.pem", "-attime", str(int(now.timestamp()) + 60)),
        folder=folder,
    )
    return "verified" if "Verification: OK" in done.stdout else "refused"
