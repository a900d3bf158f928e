"""Evidence for later years: collected when sealing, weighed when validating (PAdES level B-LT).

- What is collected: every certificate on the paths of seal and time-stamp, and the current
  revocation list of every authority on them. All of it is ours, so it is at hand before sealing.
- It is made again every few minutes; a revocation issues a new list in the same transaction.
- What is weighed: for each certificate on a path, a list signed by its issuer that was in force at
  the moment in question. A list that names the certificate is found by `Trust`, not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import Unavailable
from keys import (
    Keys,
    NoActiveKey,
    UnknownCertificate,
)
from signing.errors import SealNotUsableNow


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verifier needs years later, when nobody answers any more: DER certificates of both
    paths (seal and time-stamp) and the revocation lists of every authority on them."""

    certificates: tuple[bytes, ...] = ()
    lists: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.certificates)


NO_EVIDENCE = Evidence()


_KEPT = timedelta(minutes=5)
_SKEW = timedelta(minutes=5)


class EvidenceSource:
    """Evidence for what one use signs and our authority stamps."""

    def __init__(self, keys: Keys, use: str, stamp_use: str = "tsa") -> None:
        self._keys = keys
        self._uses = (use, stamp_use)
        self._made = NO_EVIDENCE
        self._at: datetime | None = None

    def at(self, now: datetime) -> Evidence:
        """The evidence as of now; nothing when a list is due and its signer does not answer.

        Raises `SealNotUsableNow` when the certificate is no longer a good one, or its key stopped.
        """
        if self._at is None or not timedelta(0) <= now - self._at < _KEPT:
            try:
                self._made, self._at = self._collected(now), now
            except Unavailable:
                return NO_EVIDENCE
            except (NoActiveKey, UnknownCertificate):
                raise SealNotUsableNow(
                    "the certificate of the seal was revoked, or its key stopped",
                    next_step="Ask the keeper to renew the seal.",
                ) from None
        return self._made

    def _collected(self, now: datetime) -> Evidence:
        chains = [der for use in self._uses for der in self._keys.chain(use)]
        lists = self._keys.revocation_lists(*self._uses, now=now)
        return Evidence(tuple(dict.fromkeys(chains)), tuple(lists))


def covers(evidence: Evidence, path: Sequence[x509.Certificate], at: datetime) -> bool:
    """Can this path be judged from the evidence alone, as it was at that moment?"""
    if not evidence.lists or not {_der(member) for member in path} <= set(evidence.certificates):
        return False
    return all(
        any(_in_force(der, issuer, at) for der in evidence.lists)
        for _member, issuer in pairwise(path)
    )


def _in_force(der: bytes, issuer: x509.Certificate, at: datetime) -> bool:
    if not _signed_by(der, issuer):
        return False
    listed = _list(der)
    until = listed.next_update_utc
    return listed.last_update_utc <= at + _SKEW and until is not None and at <= until


@lru_cache(maxsize=4096)
def _signed_by(der: bytes, issuer: x509.Certificate) -> bool:
    try:
        listed = _list(der)
        # Our authorities have keys of the four kinds; anything else signs no list of ours.
        return listed.issuer == issuer.subject and listed.is_signature_valid(
            issuer.public_key()  # type: ignore[arg-type]
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


@lru_cache(maxsize=1024)
def _list(der: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(der)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
