"""Revocation lists (RFC 5280 §5): one series of numbers per authority, always complete.

A list is issued in the transaction of the revocation that it tells, and again when its time is half
over, so what is published is never out of date for long.
"""

from datetime import datetime, timedelta
from typing import Final

from foundation.database import Tx
from keys.custody import store
from keys.custody.key_stores import Custody
from keys.custody.store import StoredCrl, StoredKey
from keys.encoding import x509
from keys.encoding.algorithms import algorithm, spki
from keys.encoding.x509 import RevocationReason
from keys.models import KeyCertificate

# How long a list is good, and after which time a new one is made.
_ROOT_LIFE: Final = (timedelta(days=180), timedelta(days=30))
_LIFE: Final = (timedelta(days=7), timedelta(days=1))


def still_fresh(tx: Tx, issuer: StoredKey, now: datetime) -> bytes | None:
    """The latest list of an authority as DER, unless it is time for a new one."""
    latest = store.latest_crl(tx, issuer.key.kid)
    if latest is None or now >= latest.this_update + _life(issuer)[1]:
        return None
    return latest.der


def issue(tx: Tx, custody: Custody, issuer: StoredKey, certificate: bytes, now: datetime) -> bytes:
    """The next list of the authority with this certificate; the caller holds its lock."""
    at = now.replace(microsecond=0)
    latest = store.latest_crl(tx, issuer.key.kid)
    number = 1 if latest is None else latest.number + 1
    next_update = at + _life(issuer)[0]
    revoked = store.revoked_certificates(tx, issuer.key.kid)
    encoded = x509.crl(
        issuer=x509.subject_of(certificate),
        issuer_key_id=x509.key_identifier(spki(issuer.key.public_key)),
        number=number,
        this_update=at,
        next_update=next_update,
        revocations=[_revocation(each) for each in revoked],
        algorithm=algorithm(issuer.key.algorithm).x509_identifier,
        sign=custody.signer(issuer),
    )
    store.add_crl(tx, issuer.key.kid, StoredCrl(number, encoded, at, next_update))
    return encoded


def _life(issuer: StoredKey) -> tuple[timedelta, timedelta]:
    return _ROOT_LIFE if issuer.key.use == "ca.root" else _LIFE


def _revocation(certificate: KeyCertificate) -> x509.Revocation:
    return x509.Revocation(
        serial=int(certificate.serial, 16),
        at=certificate.revoked_at or certificate.not_before,
        reason=certificate.reason or RevocationReason.UNSPECIFIED,
    )
