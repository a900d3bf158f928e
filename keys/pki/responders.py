"""Who answers for the status of certificates, and what has been signed before anybody asked.

- Each issuing authority has a responder: a key of the use "ocsp/<authority>" with a certificate by
  that authority, so the authority's own key never answers the public.
- `presign` writes answers for every living certificate, so that a question costs one indexed look
  and no key (RFC 5019 §4: pre-produced responses). A revocation deletes what it makes untrue in its
  own transaction, and both take the authority's lock, so a stale "good" cannot be written after it.
"""

from datetime import datetime
from typing import Final

from foundation.clock import Clock
from foundation.database import Database, Tx
from keys.custody import store
from keys.custody.key_stores import Custody
from keys.custody.store import StoredKey
from keys.errors import UnknownCertificate
from keys.models import KeyCertificate, KeyState
from keys.pki.authority import Authority, published_name
from keys.pki.ocsp import GOOD_FOR, OcspResponder, PreparedResponse, Responder, Status
from keys.pki.profiles import PROFILES

# An answer is replaced when half of its time is over, so one missed night harms nobody.
_REPLACED_BEFORE: Final = GOOD_FOR / 2
_PAGE: Final = 200
_ANSWERING: Final = (KeyState.ACTIVE, KeyState.RETIRING)


class Responders:
    """Implements `keys.pki.ocsp.Sources` over the database."""

    def __init__(
        self, database: Database, custody: Custody, authority: Authority, clock: Clock, name: str
    ) -> None:
        self._database = database
        self._custody = custody
        self._authority = authority
        self._clock = clock
        self._name = name

    def by_hash(self, key_hash: bytes) -> Responder | None:
        """Who answers for the issuing authority whose key has this SHA-1 or SHA-256."""
        with self._database.read() as tx:
            kid = store.authority_by_hash(tx, key_hash.hex())
        return None if kid is None else self.by_kid(kid)

    def by_kid(self, kid: str) -> Responder | None:
        """Who answers for the issuing authority with this key; None for the root and strangers."""
        with self._database.read() as tx:
            issuer = store.key_by_kid(tx, kid)
            if issuer is None or not _answers(issuer):
                return None
            found = self._responder(tx, issuer)
        return found or self._make(issuer)

    def status(self, issuer_kid: str, serial: int) -> Status:
        """What is known about a serial number of one authority."""
        with self._database.read() as tx:
            certificate = store.certificate_by_serial(tx, f"{serial:x}")
        if certificate is None or certificate.issuer_kid != issuer_kid:
            return Status(known=False)
        return _status(certificate)

    def presigned(self, question: str, now: datetime) -> bytes | None:
        """The answer to a question (by its digest) that was signed before and still holds."""
        with self._database.read() as tx:
            return store.presigned_answer(tx, question, now)

    def presign(self, ocsp: OcspResponder, now: datetime) -> int:
        """Sign what will be asked; answers how many certificates got new answers."""
        with self._database.read() as tx:
            due = store.authorities_without_answers(tx, now, now + _REPLACED_BEFORE)
            issuers = [kid for kid in due if self._may_answer(tx, kid)]
        return sum(self._presign_for(ocsp, kid, now) for kid in issuers)

    def _presign_for(self, ocsp: OcspResponder, issuer_kid: str, now: datetime) -> int:
        responder, done = self.by_kid(issuer_kid), 0
        while responder is not None:
            with self._database.write() as tx:
                self._authority.locked(tx, issuer_kid)
                due = store.certificates_without_answer(
                    tx, issuer_kid, now, now + _REPLACED_BEFORE, _PAGE
                )
                for certificate in due:
                    answers = ocsp.presign(responder, certificate, _status(certificate), now)
                    self._keep(tx, certificate, answers, now)
            done += len(due)
            if len(due) < _PAGE:
                break
        return done

    def _keep(
        self, tx: Tx, certificate: KeyCertificate, answers: list[PreparedResponse], now: datetime
    ) -> None:
        store.drop_answers(tx, certificate.serial)
        for answer in answers:
            store.add_answer(
                tx, answer.question, certificate.serial, answer.der, now, answer.good_until
            )

    def _may_answer(self, tx: Tx, kid: str) -> bool:
        issuer = store.key_by_kid(tx, kid)
        return issuer is not None and _answers(issuer)

    def _responder(self, tx: Tx, issuer: StoredKey) -> Responder | None:
        stored = store.active_key(tx, _use(issuer))
        certificate = None if stored is None else store.certificate_of(tx, stored.key.kid, "ocsp")
        if stored is None or certificate is None:
            return None
        if self._clock() > certificate.not_after - PROFILES["ocsp"].lifetime / 10:
            return None
        return Responder(
            issuer_kid=issuer.key.kid,
            issuer=self._authority.certificate_of(tx, issuer).der,
            certificate=certificate.der,
            algorithm=stored.key.algorithm,
            sign=self._custody.signer(stored),
        )

    def _make(self, issuer: StoredKey) -> Responder:
        name = {
            "organization_name": self._name,
            "common_name": f"{self._name} OCSP {published_name(issuer)}",
        }
        with self._database.write() as tx:
            stored = self._custody.ensure(tx, _use(issuer), "ES256")
            responder = self._responder(tx, issuer)
            if responder is None:
                self._authority.issue_responder(tx, stored, name, issuer)
                responder = self._responder(tx, issuer)
        if responder is None:
            raise UnknownCertificate(f"the authority {published_name(issuer)} is at its end")
        return responder


def _answers(issuer: StoredKey) -> bool:
    """The root has no responder: what it issued is on its list."""
    return issuer.key.state in _ANSWERING and issuer.key.use != "ca.root"


def _use(issuer: StoredKey) -> str:
    return f"ocsp/{published_name(issuer)}"


def _status(certificate: KeyCertificate) -> Status:
    since = certificate.revoked_at or certificate.not_before
    revoked = certificate.revoked_at is not None
    return Status(known=True, revoked=revoked, since=since, reason=certificate.reason)
