"""From draft to sealed certificate, and what the law may do afterwards."""

from tests.certificates.conftest import LI


def test_a_draft_becomes_a_sealed_certificate(certificates, issued, ledger):
    pdf = certificates.pdf(LI, issued.identifier)

    assert pdf.startswith(b"%PDF-")
    assert issued.is_intact
    assert issued.credential.count("~") > 5
    kinds = [entry.kind for entry in ledger.history(issued.identifier)]
    assert kinds.count("certificate.issued") == 1
