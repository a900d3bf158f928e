"""The X.509 authority: a root that signs almost nothing, and an issuing authority under it.

    ca.root     signs the issuing authority and its own revocation list; kept offline in style: no
                other code path reaches its use
    ca.issuing  signs seals, time-stamp, status, QR and receipt certificates and their list

- A certificate is never longer valid than its issuer, and never changed: renewal adds another.
- Names carry the version of their key ("issuing-2"), so what was published stays where it was.
- A revocation and the list that tells it are one transaction.
- `subject_name` uses the X.520 attribute names: common_name, organization_name,
  organization_identifier, organizational_unit_name, country_name, locality_name, serial_number.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from foundation.clock import Clock
from foundation.database import Database, Tx
from keys import store, x509
from keys.algorithms import algorithm, spki
from keys.custody import Custody
from keys.errors import NoActiveKey, UnknownCertificate
from keys.models import (
    KeyCertificate,
    RevocationReason,
    key_certificates,
    key_crls,
    keys,
)
from keys.store import StoredKey
from keys.x509 import CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN, NON_REPUDIATION

ROOT: Final = "ca.root"
ISSUING: Final = "ca.issuing"

# Our own arc: a random UUID under 2.25 (X.667), which needs no registration.
OWN_ARC: Final = "2.25.78684738376090541441742926238556002538"
DOCUMENT_SIGNING: Final = "1.3.6.1.5.5.7.3.36"  # RFC 9336
TIME_STAMPING: Final = "1.3.6.1.5.5.7.3.8"
OCSP_SIGNING: Final = "1.3.6.1.5.5.7.3.9"
# id-kp-oauthStatusSigning of the Token Status List still reads "id-kp TBD" in the last draft we
# could read (and 1.3.6.1.5.5.7.3.30 is taken by BGPsec routers, RFC 8209): our own arc until then.
OAUTH_STATUS_SIGNING: Final = f"{OWN_ARC}.1"

_YEAR = timedelta(days=365)
_NAME = re.compile(r"(root|issuing)(?:-([1-9][0-9]{0,5}))?\Z")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate may be used for, and for how long at most."""

    lifetime: timedelta
    key_usage: tuple[int, ...]
    extended_key_usage: tuple[str, ...] = ()
    critical_usage: bool = False
    authority: bool = False
    path_length: int | None = None
    no_check: bool = False


PROFILES: Final[Mapping[str, Profile]] = {
    "root": Profile(25 * _YEAR, (KEY_CERT_SIGN, CRL_SIGN), authority=True),
    "issuing": Profile(15 * _YEAR, (KEY_CERT_SIGN, CRL_SIGN), authority=True, path_length=0),
    "seal": Profile(5 * _YEAR, (DIGITAL_SIGNATURE, NON_REPUDIATION), (DOCUMENT_SIGNING,)),
    "timestamp": Profile(
        12 * _YEAR, (DIGITAL_SIGNATURE, NON_REPUDIATION), (TIME_STAMPING,), critical_usage=True
    ),
    "status": Profile(5 * _YEAR, (DIGITAL_SIGNATURE,), (OAUTH_STATUS_SIGNING,)),
    "qr": Profile(5 * _YEAR, (DIGITAL_SIGNATURE,), (DOCUMENT_SIGNING,)),
    "receipt": Profile(5 * _YEAR, (DIGITAL_SIGNATURE, NON_REPUDIATION), (DOCUMENT_SIGNING,)),
    "ocsp": Profile(_YEAR, (DIGITAL_SIGNATURE,), (OCSP_SIGNING,), no_check=True),
}
# How long a revocation list is good, and after which time a new one is made.
_CRL_LIFE: Final = {
    ROOT: (timedelta(days=180), timedelta(days=30)),
    ISSUING: (timedelta(days=7), timedelta(days=1)),
}


class Authority:
    """Certificates for the keys of the house. `public_url` is where verifiers find `/pki/…`."""

    def __init__(
        self, database: Database, custody: Custody, clock: Clock, *, public_url: str, name: str
    ) -> None:
        self._database = database
        self._custody = custody
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._name = name

    def establish(self, tx: Tx) -> None:
        """Root and issuing authority, made once; a no-op when they are there."""
        for use, profile in ((ROOT, "root"), (ISSUING, "issuing")):
            stored = self._custody.ensure(tx, use, "ES256")
            if store.certificate_of(tx, stored.key.kid, profile) is None:
                self._issue(tx, stored, profile, self._own_name(stored))

    def certificate_for(
        self,
        tx: Tx,
        use: str,
        profile: str,
        subject_name: Mapping[str, str],
        *,
        not_after: datetime | None = None,
    ) -> KeyCertificate:
        """The certificate of the active key of `use`; issued now unless a fitting one is there.

        A certificate fits when it has this profile and subject and lives for another tenth of the
        profile's lifetime. Raises `NoActiveKey`.
        """
        stored = store.active_key(tx, use)
        if stored is None:
            raise NoActiveKey(f"the use {use} has no active key to certify")
        existing = store.certificate_of(tx, stored.key.kid, profile)
        renew_at = self._clock() + PROFILES[profile].lifetime / 10
        if existing is not None and existing.subject == subject_name:
            wanted = not_after or existing.not_after
            if existing.not_after > renew_at and existing.not_after >= wanted:
                return existing
        self.establish(tx)
        return self._issue(tx, stored, profile, subject_name, not_after)

    def certify_successor(self, tx: Tx, old_kid: str, successor: StoredKey) -> None:
        """Give a staged key the certificates of the key it will follow, before it signs."""
        latest = {each.profile: each for each in store.certificates_of(tx, old_kid)}
        for profile, certificate in latest.items():
            subject = certificate.subject
            if profile in {"root", "issuing"}:
                subject = self._own_name(successor)
            self._issue(tx, successor, profile, subject)

    def revoke(
        self, tx: Tx, serial: str, reason: RevocationReason, now: datetime
    ) -> KeyCertificate:
        """Revoke a certificate and issue the list that says so. Raises `UnknownCertificate`."""
        certificate = store.certificate_by_serial(tx, serial)
        if certificate is None:
            raise UnknownCertificate(f"no certificate has the serial number {serial}")
        issuer = self._locked(tx, certificate.issuer_kid)
        if store.revoke_certificate(tx, serial, reason, now):
            self._issue_crl(tx, issuer, now)
        return store.certificate_by_serial(tx, serial) or certificate

    def revoke_key(self, tx: Tx, kid: str, reason: RevocationReason, now: datetime) -> None:
        """Revoke every certificate of a key."""
        for certificate in store.certificates_of(tx, kid):
            if certificate.revoked_at is None:
                self.revoke(tx, certificate.serial, reason, now)

    def crl(self, name: str, now: datetime | None = None) -> bytes:
        """The current revocation list of "root", "issuing" or "issuing-<version>" as DER."""
        at = now or self._clock()
        with self._database.read() as tx:
            issuer = self._by_name(tx, name)
            latest = store.latest_crl(tx, issuer.key.kid)
        if latest is not None and at < latest.this_update + _CRL_LIFE[issuer.key.use][1]:
            return latest.der
        with self._database.write() as tx:
            return self._issue_crl(tx, self._locked(tx, issuer.key.kid), at)

    def certificate(self, name: str) -> bytes:
        """The certificate of "root", "issuing" or "issuing-<version>" as DER."""
        with self._database.read() as tx:
            issuer = self._by_name(tx, name)
            return self._certificate_of_authority(tx, issuer).der

    def chain_of(self, tx: Tx, kid: str) -> list[KeyCertificate]:
        """Leaf, issuing authority, root. Raises `UnknownCertificate`."""
        chain: list[KeyCertificate] = []
        while True:
            certificate = store.certificate_of(tx, kid)
            if certificate is None:
                raise UnknownCertificate(f"the key {kid} has no valid certificate")
            chain.append(certificate)
            if certificate.issuer_kid == kid:
                return chain
            kid = certificate.issuer_kid

    def _issue(
        self,
        tx: Tx,
        stored: StoredKey,
        profile: str,
        subject: Mapping[str, str],
        not_after: datetime | None = None,
    ) -> KeyCertificate:
        kid, now = stored.key.kid, self._clock().replace(microsecond=0)
        issuer, issuer_certificate = self._issuer(tx, stored, profile)
        end = now + PROFILES[profile].lifetime if not_after is None else not_after
        if issuer_certificate is not None:
            end = min(end, issuer_certificate.not_after)
        serial = new_serial()
        tbs = x509.Tbs(
            serial=serial,
            issuer=x509.name(subject if issuer_certificate is None else issuer_certificate.subject),
            subject=x509.name(subject),
            spki=spki(stored.key.public_key),
            not_before=now,
            not_after=end,
            extensions=self._extensions(stored, PROFILES[profile], issuer),
        )
        encoded = x509.certificate(
            tbs,
            algorithm(issuer.key.algorithm).x509_identifier,
            lambda message: self._custody.sign(issuer, message),
        )
        certificate = KeyCertificate(
            serial=f"{serial:x}",
            kid=kid,
            issuer_kid=issuer.key.kid,
            profile=profile,
            number=store.next_certificate_number(tx, kid, profile),
            subject=dict(subject),
            der=encoded,
            not_before=now,
            not_after=end,
        )
        return self._keep(tx, certificate)

    def _keep(self, tx: Tx, certificate: KeyCertificate) -> KeyCertificate:
        """Store it, or answer the one that another process stored under the same number."""
        values = {
            column.name: getattr(certificate, column.name) for column in key_certificates.columns
        }
        tx.execute(self._database.insert_or_ignore(key_certificates).values(**values))
        kept = store.certificate_of(tx, certificate.kid, certificate.profile)
        return kept or certificate

    def _issuer(
        self, tx: Tx, stored: StoredKey, profile: str
    ) -> tuple[StoredKey, KeyCertificate | None]:
        """Who signs: the root itself, the root for issuing authorities, else the issuing one."""
        if profile == "root":
            return stored, None
        use = ROOT if profile == "issuing" else ISSUING
        issuer = store.active_key(tx, use)
        if issuer is None:
            raise NoActiveKey(f"the authority {use} has no active key")
        return issuer, self._certificate_of_authority(tx, issuer)

    def _extensions(self, stored: StoredKey, profile: Profile, issuer: StoredKey) -> list[bytes]:
        own = x509.key_identifier(spki(stored.key.public_key))
        issuers = x509.key_identifier(spki(issuer.key.public_key))
        extensions = [
            x509.authority_constraints(profile.path_length)
            if profile.authority
            else x509.end_entity_constraints(),
            x509.key_usage(*profile.key_usage),
            x509.subject_key_identifier(own),
            x509.authority_key_identifier(issuers),
        ]
        if profile.extended_key_usage:
            usage = profile.extended_key_usage
            extensions.append(x509.extended_key_usage(*usage, critical=profile.critical_usage))
        if profile.no_check:
            extensions.append(x509.ocsp_no_check())
        if self._public_url and issuer.key.kid != stored.key.kid:
            extensions += self._pointers(_published_name(issuer), revocable=not profile.no_check)
        return extensions

    def _pointers(self, issuer: str, *, revocable: bool) -> list[bytes]:
        pki = f"{self._public_url}/pki"
        pointers = [x509.authority_information(issuer_url=f"{pki}/{issuer}.crt")]
        if revocable:
            pointers.append(x509.crl_distribution_point(f"{pki}/crl/{issuer}.crl"))
        return pointers

    def _issue_crl(self, tx: Tx, issuer: StoredKey, now: datetime) -> bytes:
        at = now.replace(microsecond=0)
        latest = store.latest_crl(tx, issuer.key.kid)
        number = 1 if latest is None else latest.number + 1
        next_update = at + _CRL_LIFE[issuer.key.use][0]
        revoked = store.revoked_certificates(tx, issuer.key.kid)
        encoded = x509.crl(
            issuer=x509.subject_of(self._certificate_of_authority(tx, issuer).der),
            issuer_key_id=x509.key_identifier(spki(issuer.key.public_key)),
            number=number,
            this_update=at,
            next_update=next_update,
            revocations=[_revocation(each) for each in revoked],
            algorithm=algorithm(issuer.key.algorithm).x509_identifier,
            sign=lambda message: self._custody.sign(issuer, message),
        )
        tx.execute(
            key_crls.insert().values(
                issuer_kid=issuer.key.kid,
                number=number,
                der=encoded,
                this_update=at,
                next_update=next_update,
            )
        )
        return encoded

    def _locked(self, tx: Tx, issuer_kid: str) -> StoredKey:
        """The issuer, and nobody else revokes or lists under it until this transaction ends."""
        tx.execute(select(keys.c.kid).where(keys.c.kid == issuer_kid).with_for_update())
        issuer = store.key_by_kid(tx, issuer_kid)
        if issuer is None:
            raise UnknownCertificate(f"the issuer {issuer_kid} is unknown")
        return issuer

    def _certificate_of_authority(self, tx: Tx, issuer: StoredKey) -> KeyCertificate:
        profile = issuer.key.use.removeprefix("ca.")
        latest = [
            each for each in store.certificates_of(tx, issuer.key.kid) if each.profile == profile
        ]
        if not latest:
            raise UnknownCertificate(f"the authority {issuer.key.use} has no certificate")
        return latest[-1]

    def _by_name(self, tx: Tx, name: str) -> StoredKey:
        match = _NAME.match(name)
        stored = None
        if match is not None and match[2] is None:
            stored = store.active_key(tx, f"ca.{match[1]}")
        elif match is not None:
            versions = store.keys_of(tx, [f"ca.{match[1]}"])
            stored = next((each for each in versions if each.key.version == int(match[2])), None)
        if stored is None:
            raise UnknownCertificate("no authority has this name")
        return stored

    def _own_name(self, stored: StoredKey) -> dict[str, str]:
        kind = "Root" if stored.key.use == ROOT else "Issuing"
        return {
            "organization_name": self._name,
            "common_name": f"{self._name} {kind} CA {stored.key.version}",
        }


def new_serial() -> int:
    """A serial number nobody can guess: 16 bytes, positive, the same length each time."""
    return 1 << 126 | secrets.randbits(126)


def _published_name(issuer: StoredKey) -> str:
    return f"{issuer.key.use.removeprefix('ca.')}-{issuer.key.version}"


def _revocation(certificate: KeyCertificate) -> x509.Revocation:
    return x509.Revocation(
        serial=int(certificate.serial, 16),
        at=certificate.revoked_at or certificate.not_before,
        reason=certificate.reason or RevocationReason.UNSPECIFIED,
    )
