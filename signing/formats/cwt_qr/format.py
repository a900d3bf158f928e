"""The row of the table: what a phone without a network can check about a certificate."""

from datetime import datetime, timedelta
from typing import Any, Final

from keys import Keys
from signing.formats.credential import (
    CredentialContent,
    CredentialReading,
    CredentialRecord,
    CredentialSigner,
)
from signing.formats.cwt_qr.code import PREFIX, issue, trusted, verify

QR_USE: Final = "certificates.qr"
WHENEVER: Final = timedelta(days=400 * 365)  # the register, not the code, says what ran out

# What a code says → what the record calls it.
_CLAIMS: Final = {
    "id": "identifier",
    "number": "number",
    "holder": "holder_name",
    "by": "authority_name",
    "from": "valid_from",
    "until": "valid_until",
}


class CwtQr:
    """Who, what, until when, and by whom; signed by a key for all codes, and not by a seal's."""

    name: Final = "cwt-qr"
    title: Final = "CWT"
    media_type: Final = "text/plain"
    suffix: Final = ".txt"
    is_code: Final = True
    vouches: Final = False

    def issue(self, content: CredentialContent, signer: CredentialSigner) -> bytes:
        """Short names keep the symbol coarse enough for paper; `status` is list and index under the
        issuer's /status-lists. No `exp`: an old certificate is still genuine, `until` says its end.
        """
        signer.keys.ensure(QR_USE)
        claims: dict[str, Any] = {
            "id": content.identifier,
            "number": content.number,
            "holder": content.holder_name,
            "by": content.authority_name,
            "from": content.valid_from.isoformat(),
            "status": list(content.status),
        }
        if content.valid_until:
            claims["until"] = content.valid_until.isoformat()
        text = issue(signer.keys, QR_USE, claims, iss=content.issuer, iat=content.issued_at)
        return text.encode()

    def recognises(self, data: bytes) -> bool:
        """By its prefix."""
        return data.startswith(PREFIX.encode())

    def claimed(self, data: bytes) -> CredentialReading:
        """Nothing: what it says lies behind its signature."""
        return CredentialReading(self.name, data)

    def read(self, data: bytes, keys: Keys, now: datetime) -> CredentialReading | None:
        """Nobody but us writes such codes: one that does not hold was altered."""
        text = data.decode("utf-8", "replace")
        found = verify(text, key_for=trusted(keys, QR_USE), now=now, leeway=WHENEVER)
        claims = {name: str(value) for name, value in found.claims.items()}
        facts = {theirs: claims[ours] for ours, theirs in _CLAIMS.items() if ours in claims}
        identifier = claims.get("id", "")
        return CredentialReading(
            self.name, data, identifier, facts=facts, issued_at=found.issued_at, use=QR_USE
        )

    def same_as(self, said: CredentialReading, record: CredentialRecord) -> bool:
        """Each of its facts, word for word."""
        return bool(said.facts) and all(
            str(getattr(record, name)) == value for name, value in said.facts.items()
        )
