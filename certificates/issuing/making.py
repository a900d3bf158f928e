"""From approved content to an issued certificate: make everything first, then one commit.

`make` does the slow work outside any transaction: it checks that the content is still exactly what
two people agreed to, signs the credential and the offline code, draws the page and seals it.
`keep` writes what was made into the caller's transaction: certificate, renditions, ledger entry,
and for register imports the legal act that already ended it. Nothing can be half done.

What is sealed is the approved content or nothing: the digest covers the fields, the type's
definition, the templates and the seal (attack 49), and `signing` checks approval and digest again.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson

from certificates.catalogue import PAGE, CertificateType
from certificates.digests import digest_of_record
from certificates.errors import ContentChanged
from certificates.issuing.rendering import IssuedParts, Renderer
from certificates.models import (
    FIELDS,
    HOLDER_CODE,
    HOLDER_NAME,
    Content,
    new_id,
)
from certificates.register import acts, store
from certificates.register.status import Slot, record_change
from certificates.register.store import name_index
from certificates.rules import REASONS, STATES, State, ends, starts
from foundation.actor import Actor, ActorKind
from foundation.canonical import b64url
from foundation.database import Tx
from foundation.encryption import FieldCipher, subject_of
from keys import (
    KeyMayNotSign,
    Keys,
    NoActiveKey,
    PendingUses,
    UnknownCertificate,
)
from ledger import Entry, Ledger, StatusAct
from signing import (
    Approval,
    Seal,
    SealedDocument,
    Signing,
    must_be_usable,
    stopped,
)
from signing.formats import (
    CREDENTIALS,
    CredentialContent,
    CredentialFormat,
    CredentialSigner,
    chosen_credentials,
)


@dataclass(frozen=True, slots=True)
class Order:
    """One approved content to issue, and where it comes from.

    `outcome` is the state it ends in (register imports may be cancelled or revoked already) and
    `outcome_on` the civil day of that act.
    """

    kind: CertificateType
    content: Content
    approval: Approval
    approver_name: str
    draft_id: str | None = None
    batch_id: str | None = None
    batch_row: int | None = None
    outcome: State = State.ACTIVE
    outcome_on: date | None = None


@dataclass(frozen=True, slots=True)
class MadeCertificate:
    """A certificate that is made and signed, and not yet in the registry."""

    order: Order
    slot: Slot
    subject: str
    at: datetime
    row: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    pending_uses: PendingUses = field(repr=False)
    sealed: SealedDocument | None = field(default=None, repr=False)

    @property
    def time_stamp_pending(self) -> bool:
        """Whether the sealed file still lacks the time-stamp that was wanted."""
        return self.sealed is not None and self.sealed.time_stamp_pending

    @property
    def certificate_id(self) -> str:
        """The primary key of the row that is to be inserted."""
        return str(self.row["id"])


class CertificateMaker:
    """Makes certificates and keeps them. Holds no state of its own."""

    def __init__(
        self,
        cipher: FieldCipher,
        keys: Keys,
        signing: Signing,
        ledger: Ledger,
        renderer: Renderer,
        public_url: str,
    ) -> None:
        self._cipher = cipher
        self._keys = keys
        self._signing = signing
        self._ledger = ledger
        self._renderer = renderer
        self._public_url = public_url

    def make(self, order: Order, seal: Seal, slot: Slot, now: datetime) -> MadeCertificate:
        """Sign, draw and seal one order. Raises `ContentChanged` and what signing raises."""
        kind, content = order.kind, order.content
        _must_be_what_was_approved(order)
        must_be_usable(seal, now)
        pending_uses = PendingUses()  # of the seal's key: `keep` records them with what they sealed
        signer = CredentialSigner(
            self._keys, seal.use, order.approval.order(now, purpose=kind.code), pending_uses
        )
        said = self._said(kind, content, slot, now)
        credentials = chosen_credentials(kind.formats)
        files = {name: _issued(CREDENTIALS[name], said, signer, seal) for name in credentials}
        sealed = None
        if PAGE in kind.formats:
            sealed = self._sealed_page(order, seal, _parts(files), now, pending_uses)
            files[PAGE] = sealed.data
        subject = subject_of(self._cipher, kind.holder.kind, content.fields[kind.holder.code])
        row = self._row(order, slot, subject, now) | {"credential_format": credentials[0]}
        return MadeCertificate(order, slot, subject, now, row, files, pending_uses, sealed)

    def keep(self, tx: Tx, all_made: Sequence[MadeCertificate]) -> None:
        """Write certificates into the registry, each with its ledger entry and witness, in `tx`.

        Unique violations rise as `IntegrityError`: nothing of the transaction remains.
        """
        rows = [dict(made.row) for made in all_made]
        store.insert_issued(tx, rows, [each for made in all_made for each in _renditions(made)])
        self._keys.keep(tx, (made.pending_uses for made in all_made))
        refs = self._ledger.append_all(tx, [self._issued_entry(made) for made in all_made])
        last = {made.certificate_id: ref.id for made, ref in zip(all_made, refs, strict=True)}
        for made in sorted(all_made, key=lambda made: made.slot):  # one lock order for all writers
            if made.order.outcome is not State.ACTIVE:
                last[made.certificate_id] = self._end(tx, made)
        witnesses = {made.certificate_id: _last_act(made, last) for made in all_made}
        self._ledger.witness(tx, witnesses, first=True)

    def approver(self, order: Order) -> Actor:
        """The approving officer as an actor: issuing happens later, in their name."""
        return Actor(
            ActorKind.PERSON,
            order.approval.approver,
            name=order.approver_name,
            organisation=order.content.authority,
            organisation_name=order.content.authority_name,
            roles=frozenset({"approver"}),
        )

    def _sealed_page(
        self,
        order: Order,
        seal: Seal,
        issued: IssuedParts,
        now: datetime,
        pending_uses: PendingUses,
    ) -> SealedDocument:
        kind, content = order.kind, order.content
        return self._signing.seal_pdf(
            seal,
            self._renderer.pdf(kind, content, now, issued),
            order.approval,
            content_digest=content.digest,
            now=now,
            box=kind.layout.seal_box,
            reason=kind.labels[kind.layout.languages[0]],
            pending_uses=pending_uses,
        )

    def _said(
        self, kind: CertificateType, content: Content, slot: Slot, now: datetime
    ) -> CredentialContent:
        """What every credential of a certificate says."""
        return CredentialContent(
            identifier=content.identifier,
            number=content.number,
            type_code=kind.code,
            type_url=kind.vct(self._public_url),
            authority=content.authority,
            authority_name=content.authority_name,
            holder_name=content.fields[kind.holder.name],
            fields=content.fields,
            valid_from=content.valid_from,
            valid_until=content.valid_until,
            starts=starts(content.valid_from),
            ends=ends(content.valid_until) if content.valid_until else None,
            status=(slot.list_id, slot.index),
            issuer=self._public_url,
            issued_at=now,
        )

    def _row(self, order: Order, slot: Slot, subject: str, now: datetime) -> dict[str, Any]:
        kind, content, approval = order.kind, order.content, order.approval
        code, name = content.fields[kind.holder.code], content.fields[kind.holder.name]
        facts: dict[str, Any] = {
            "identifier": content.identifier,
            "number": content.number,
            "type": content.type,
            "type_version": content.type_version,
            "issuing_authority": content.authority,
            "authority_name": content.authority_name,
            "subject": subject,
            "issued_on": content.issued_on,
            "valid_from": content.valid_from,
            "valid_until": content.valid_until,
            "status_list": slot.list_id,
            "status_index": slot.index,
            "qr_token": content.qr_token,
            "content_digest": content.digest,
            "seal_id": content.seal_id,
            "drafter": approval.drafter,
            "approver": approval.approver,
        }
        ended = order.outcome is not State.ACTIVE
        effective = starts(order.outcome_on) if ended and order.outcome_on else now
        return facts | {
            "id": new_id(now, secrets.token_bytes(10)),
            "record_digest": digest_of_record(facts, content.fields),
            "holder_kind": kind.holder.kind,
            "holder_code": self._cipher.encrypt(code.encode(), HOLDER_CODE),
            "holder_name": self._cipher.encrypt(name.encode(), HOLDER_NAME),
            "fields": self._cipher.encrypt(orjson.dumps(dict(content.fields)), FIELDS),
            "name_index": name_index(self._cipher, name),
            "state": order.outcome,
            "state_since": effective,
            "state_reason": "register_record" if ended else "",
            "issued_at": now,
            "approved_at": approval.approved_at,
            "draft_id": order.draft_id,
            "batch_id": order.batch_id,
            "batch_row": order.batch_row,
        }

    def _issued_entry(self, made: MadeCertificate) -> Entry:
        order = made.order
        return Entry(
            kind=acts.ISSUED,
            actor=self.approver(order),
            at=made.at,
            subject=made.subject,
            certificate=order.content.identifier,
            details={
                "type": order.content.type,
                "record_digest": made.row["record_digest"],
                "content_digest": order.content.digest,
            },
        )

    def _end(self, tx: Tx, made: MadeCertificate) -> str:
        """The legal act that had ended an imported certificate already; answers its entry."""
        order = made.order
        record_change(tx, made.slot, STATES[order.outcome].status_value, made.at)
        reason = next(each for each in REASONS[order.outcome] if each.code == "register_record")
        details = {"act": "2", "type": order.content.type, "reason": reason.code}
        if order.outcome_on:
            details["effective_on"] = order.outcome_on.isoformat()
        entry = Entry(
            kind=acts.KINDS[order.outcome],
            actor=self.approver(order),
            at=made.at,
            subject=made.subject,
            certificate=order.content.identifier,
            legal_basis=reason.legal_basis,
            details=details,
        )
        return self._ledger.append(tx, entry).id


def _last_act(made: MadeCertificate, entries: Mapping[str, str]) -> StatusAct:
    """Issued, or the act that had ended it already."""
    row = made.row
    return StatusAct(
        row["identifier"],
        1 if row["state"] is State.ACTIVE else 2,
        row["state"],
        row["state_since"],
        row["state_reason"],
        entries[row["id"]],
    )


def _issued(
    form: CredentialFormat, said: CredentialContent, signer: CredentialSigner, seal: Seal
) -> bytes:
    try:
        return form.issue(said, signer)
    except (KeyMayNotSign, NoActiveKey, UnknownCertificate):
        if not form.vouches:  # signed by another key than the seal's
            raise
        raise stopped(seal) from None


def _parts(files: Mapping[str, bytes]) -> IssuedParts:
    """What the page shows of the credentials: the one that vouches, and the first code."""
    form, credential = next(iter(files.items()))
    codes = (data.decode() for name, data in files.items() if CREDENTIALS[name].is_code)
    return IssuedParts(credential.decode(), next(codes, ""), CREDENTIALS[form])


def _must_be_what_was_approved(order: Order) -> None:
    if order.content.digest != order.approval.content_digest:
        raise ContentChanged(
            "the content is not the one that was approved",
            next_step="return the draft, look at it again and submit it once more",
        )


def _renditions(made: MadeCertificate) -> list[dict[str, Any]]:
    return [
        {
            "certificate_id": made.certificate_id,
            "format": name,
            "data": data,
            "digest": _digest(made, data),
        }
        for name, data in made.files.items()
    ]


def _digest(made: MadeCertificate, data: bytes) -> str:
    """The SHA-256 of a rendition; that of the page is known since it was sealed."""
    if made.sealed is not None and data is made.sealed.data:
        return made.sealed.digest
    return b64url(hashlib.sha256(data).digest())
