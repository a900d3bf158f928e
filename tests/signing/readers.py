"""What other people's readers say about a sealed file: poppler, qpdf, pyHanko, openssl."""

import io
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext


def pdfsig(path: Path) -> str:
    """Poppler's verdict on the last signature ("Signature is Valid."), and what it covers."""
    done = subprocess.run(
        ["pdfsig", "-nocert", str(path)], capture_output=True, text=True, check=False
    )
    verdicts = re.findall(r"Signature Validation: (.*)", done.stdout)
    whole = "Total document signed" in done.stdout
    return f"{verdicts[-1] if verdicts else 'none'} {'whole' if whole else 'part'}"


def qpdf(path: Path) -> str:
    """Empty when `qpdf --check` is clean."""
    done = subprocess.run(["qpdf", "--check", str(path)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def pyhanko(data: bytes, root: bytes, moment: datetime, place: int = 0) -> Any:
    """PyHanko's status of one signature, with our root as its only anchor and no network."""
    reader = PdfFileReader(io.BytesIO(data))
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(root)], moment=moment, allow_fetching=False
    )
    return validate_pdf_signature(
        reader.embedded_signatures[place],
        signer_validation_context=context,
        ts_validation_context=context,
    )


def pyhanko_long_term(data: bytes, root: bytes, moment: datetime) -> Any:
    """The same by what is in the file alone: revocation is required, the network is not there."""
    reader = PdfFileReader(io.BytesIO(data))
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(
        {
            "trust_roots": [asn1_x509.Certificate.load(root)],
            "moment": moment,
            "revocation_mode": "require",
            "allow_fetching": False,
        }
    )
    return validate_pdf_signature(
        reader.embedded_signatures[0],
        signer_validation_context=context,
        ts_validation_context=context,
    )


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def pem(der: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der)
