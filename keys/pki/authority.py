"""The X.509 authority: a root that signs almost nothing, and issuing authorities under it.

    ca.root                signs issuing authorities and its own revocation list; kept offline in
                           style: no other code path reaches its use
    ca.issuing             signs time-stamp, status, QR and receipt certificates and their list
    ca.department-<code>   signs the seals of one department, and nothing of another: what is wrong
                           with one department's authority ends with that department

Who answers for their status over OCSP is in `responders`.

- A certificate is never longer valid than its issuer, and never changed: renewal adds another.
- Names carry the version of their key ("issuing-2"), so what was published stays where it was.
- A revocation and the list that tells it are one transaction.
- `subject_name` uses the X.520 attribute names: common_name, organization_name,
  organization_identifier, organizational_unit_name, country_name, locality_name, serial_number.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Malformed
from keys.custody import store
from keys.custody.key_stores import Custody
from keys.custody.store import StoredKey
from keys.encoding import x509
from keys.encoding.algorithms import algorithm, spki
from keys.encoding.x509 import RevocationReason
from keys.errors import NoActiveKey, UnknownCertificate
from keys.models import KeyCertificate
from keys.pki import revocation_lists
from keys.pki.ocsp import key_hashes
from keys.pki.profiles import PROFILES, Profile

ROOT: Final = "ca.root"
ISSUING: Final = "ca.issuing"
DEPARTMENT: Final = "ca.department-"

_NAME = re.compile(r"(root|issuing|department-[0-9A-Z]{8,20})(?:-([1-9][0-9]{0,5}))?\Z")


class Authority:
    """Certificates for our own keys. `public_url` is where verifiers find `/pki/…`."""

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

    def department(self, tx: Tx, code: str, name: str) -> str:
        """The use of a department's own authority, made when it is first asked for.

        `code` is the department's unified social credit code. Raises `Malformed`.
        """
        use = DEPARTMENT + code
        if not _NAME.match(use.removeprefix("ca.")):
            raise Malformed(f"{code!r} is not the code of a department")
        self.establish(tx)
        stored = self._custody.ensure(tx, use, "ES256")
        if store.certificate_of(tx, stored.key.kid, "issuing") is None:
            subject = {
                "organization_name": name,
                "organization_identifier": f"NTRCN-{code}",
                "common_name": f"{name} Issuing CA {stored.key.version}",
            }
            self._issue(tx, stored, "issuing", subject)
        return use

    def certificate_for(
        self,
        tx: Tx,
        use: str,
        profile: str,
        subject_name: Mapping[str, str],
        *,
        not_after: datetime | None = None,
        under: str = ISSUING,
    ) -> KeyCertificate:
        """The certificate of the active key of `use`; issued now unless a fitting one is there.

        A certificate fits when it has this profile and subject and lives for another tenth of the
        profile's lifetime. `under` is the use of the authority that signs. Raises `NoActiveKey`.
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
        issuer = self._active(tx, under)
        return self._issue(tx, stored, profile, subject_name, not_after, issuer)

    def certify_successor(self, tx: Tx, old_kid: str, successor: StoredKey) -> None:
        """Give a staged key the certificates of the key it will follow, before it signs."""
        latest = {each.profile: each for each in store.certificates_of(tx, old_kid)}
        for profile, certificate in latest.items():
            subject = dict(certificate.subject)
            issuer = self._successor_of_issuer(tx, certificate)
            if PROFILES[profile].authority:
                name = subject["common_name"].rpartition(" ")[0]
                subject["common_name"] = f"{name} {successor.key.version}"
            self._issue(
                tx, successor, profile, subject, issuer=None if profile == "root" else issuer
            )

    def renew_due(self, tx: Tx, now: datetime) -> list[KeyCertificate]:
        """Renew what ends within a tenth of its lifetime, where the profile says so."""
        renewed = []
        names = [name for name, profile in PROFILES.items() if profile.renewed]
        for old in store.certificates_in_use(tx, names):
            due = old.not_after - PROFILES[old.profile].lifetime / 10
            stored = store.key_by_kid(tx, old.kid)
            if stored is None or now < due:
                continue
            issuer = self._successor_of_issuer(tx, old)
            # Under an issuer that ends just as soon nothing would be won.
            if self.certificate_of(tx, issuer).not_after > old.not_after:
                renewed.append(self._issue(tx, stored, old.profile, old.subject, issuer=issuer))
        return renewed

    def ending(self, tx: Tx, now: datetime) -> list[str]:
        """Issuing authorities that can no longer give a seal its whole life: time for successors.

        The old authority stays published and answers for what it issued until that has ended.
        """
        root = store.active_key(tx, ROOT)
        if root is None:
            return []
        # A successor under a root that ends as soon would be no better.
        latest_end = self.certificate_of(tx, root).not_after
        certificates = store.certificates_in_use(tx, ["issuing"])
        seal_life = PROFILES["seal"].lifetime
        due = [each for each in certificates if now > each.not_after - seal_life]
        stored = (store.key_by_kid(tx, each.kid) for each in due if each.not_after < latest_end)
        return [each.key.use for each in stored if each is not None]

    def revoke(
        self, tx: Tx, serial: str, reason: RevocationReason, now: datetime
    ) -> KeyCertificate:
        """Revoke a certificate and issue the list that says so. Raises `UnknownCertificate`."""
        certificate = store.certificate_by_serial(tx, serial)
        if certificate is None:
            raise UnknownCertificate(f"no certificate has the serial number {serial}")
        issuer = self.locked(tx, certificate.issuer_kid)
        if store.revoke_certificate(tx, serial, reason, now):
            store.drop_answers(tx, serial)
            self._issue_list(tx, issuer, now)
        return store.certificate_by_serial(tx, serial) or certificate

    def revoke_key(self, tx: Tx, kid: str, reason: RevocationReason, now: datetime) -> None:
        """Revoke every certificate of a key."""
        for certificate in store.certificates_of(tx, kid):
            if certificate.revoked_at is None:
                self.revoke(tx, certificate.serial, reason, now)

    def crl(self, name: str, now: datetime | None = None) -> bytes:
        """The current revocation list of "root", "issuing", "issuing-<version>" … as DER."""
        with self._database.read() as tx:
            issuer = self._by_name(tx, name)
        return self._current_crl(issuer, now or self._clock())

    def crls_above(self, kids: Sequence[str], now: datetime) -> list[bytes]:
        """The current revocation list of every authority above the certificates of these keys."""
        with self._database.read() as tx:
            above = [each.issuer_kid for kid in kids for each in self.chain_of(tx, kid)]
            issuers = [store.key_by_kid(tx, kid) for kid in dict.fromkeys(above)]
        return [self._current_crl(issuer, now) for issuer in issuers if issuer is not None]

    def first_revoked(self, certificates: Mapping[int, bytes]) -> datetime | None:
        """When the first of these certificates (serial number → DER) was revoked.

        None when all are good; a certificate that is not ours is never revoked here.
        """
        serials = {f"{serial:x}": der for serial, der in certificates.items()}
        with self._database.read() as tx:
            found = store.revoked_among(tx, list(serials))
        times = [each.revoked_at for each in found if serials[each.serial] == each.der]
        return min((at for at in times if at is not None), default=None)

    def _current_crl(self, issuer: StoredKey, at: datetime) -> bytes:
        with self._database.read() as tx:
            latest = revocation_lists.still_fresh(tx, issuer, at)
        if latest is not None:
            return latest
        with self._database.write() as tx:
            return self._issue_list(tx, self.locked(tx, issuer.key.kid), at)

    def certificate(self, name: str) -> bytes:
        """The certificate of "root", "issuing", "issuing-<version>" … as DER."""
        with self._database.read() as tx:
            issuer = self._by_name(tx, name)
            return self.certificate_of(tx, issuer).der

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
        issuer: StoredKey | None = None,
    ) -> KeyCertificate:
        kid, now = stored.key.kid, self._clock().replace(microsecond=0)
        issuer = issuer or self._issuer(tx, stored, profile)
        issuer_certificate = None
        if issuer.key.kid != kid:
            issuer_certificate = self.certificate_of(tx, issuer)
        end = now + PROFILES[profile].lifetime if not_after is None else not_after
        if issuer_certificate is not None:
            end = min(end, issuer_certificate.not_after)
        serial = x509.new_serial()
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
            self._custody.signer(issuer),
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
        store.add_certificate(tx, self._database, certificate)
        if PROFILES[certificate.profile].authority:
            self._index_authority(tx, certificate)
        kept = store.certificate_of(tx, certificate.kid, certificate.profile)
        return kept or certificate

    def _index_authority(self, tx: Tx, certificate: KeyCertificate) -> None:
        """Make it findable by the hash of its key, which is how OCSP names an issuer."""
        for digest in key_hashes(certificate.der):
            store.add_authority_hash(tx, self._database, digest.hex(), certificate.kid)

    def _issuer(self, tx: Tx, stored: StoredKey, profile: str) -> StoredKey:
        """Who signs: the root itself, the root for issuing authorities, else the issuing one."""
        return stored if profile == "root" else self._active(tx, _signed_by(profile))

    def _successor_of_issuer(self, tx: Tx, certificate: KeyCertificate) -> StoredKey:
        """Who signs the next certificate: the same authority, with the key it has now."""
        issuer = store.key_by_kid(tx, certificate.issuer_kid)
        return self._active(
            tx, _signed_by(certificate.profile) if issuer is None else issuer.key.use
        )

    def _active(self, tx: Tx, use: str) -> StoredKey:
        issuer = store.active_key(tx, use)
        if issuer is None:
            raise NoActiveKey(f"the authority {use} has no active key")
        return issuer

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
            extensions += self._pointers(issuer, profile)
        return extensions

    def _pointers(self, issuer: StoredKey, profile: Profile) -> list[bytes]:
        """Where verifiers find the issuer, its list and its responder (the root has none)."""
        pki, name = f"{self._public_url}/pki", published_name(issuer)
        if profile.no_check:
            return [x509.authority_information(issuer_url=f"{pki}/{name}.crt")]
        ocsp = "" if profile.authority else f"{pki}/ocsp"
        return [
            x509.authority_information(issuer_url=f"{pki}/{name}.crt", ocsp_url=ocsp),
            x509.crl_distribution_point(f"{pki}/crl/{name}.crl"),
        ]

    def issue_responder(
        self, tx: Tx, stored: StoredKey, name: Mapping[str, str], issuer: StoredKey
    ) -> None:
        """The certificate of the key that answers for `issuer`."""
        self._issue(tx, stored, "ocsp", name, issuer=issuer)

    def _issue_list(self, tx: Tx, issuer: StoredKey, now: datetime) -> bytes:
        certificate = self.certificate_of(tx, issuer).der
        return revocation_lists.issue(tx, self._custody, issuer, certificate, now)

    def locked(self, tx: Tx, issuer_kid: str) -> StoredKey:
        """The issuer, and nobody else revokes or lists under it until this transaction ends."""
        issuer = store.lock_key(tx, issuer_kid)
        if issuer is None:
            raise UnknownCertificate(f"the issuer {issuer_kid} is unknown")
        return issuer

    def certificate_of(self, tx: Tx, issuer: StoredKey) -> KeyCertificate:
        """An authority's own certificate."""
        profile = "root" if issuer.key.use == ROOT else "issuing"
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


def published_name(issuer: StoredKey) -> str:
    """How `/pki/…` and the certificates' pointers call an authority: "issuing-2"."""
    return f"{issuer.key.use.removeprefix('ca.')}-{issuer.key.version}"


def _signed_by(profile: str) -> str:
    return ROOT if profile == "issuing" else ISSUING
