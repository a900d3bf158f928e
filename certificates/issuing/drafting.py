"""What a draft is made of: checked fields, a new identity, and the content two people agree to.

Pure, except for the randomness of a new identifier and QR token. `content_of` is the only way from
fields to `Content`, for drafts and batch rows alike, so that both mean the same by "approved".
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from certificates import identifier as identifiers
from certificates.catalogue import CertificateType
from certificates.catalogue import fields as field_rules
from certificates.catalogue.fields import as_date
from certificates.errors import InvalidFields, MissingGlyph
from certificates.issuing.rendering import Renderer
from certificates.models import Content, Draft, new_id
from certificates.rules import DraftState, civil_date
from foundation.actor import Actor
from foundation.encryption import FieldCipher, subject_of
from foundation.errors import FieldError
from ledger import Entry
from signing import Seal


def new_draft(
    kind: CertificateType, actor: Actor, seal: Seal, fields: Mapping[str, str], now: datetime
) -> Draft:
    """A draft with an identifier and a QR token that stay with it to the sealed page."""
    identifier = identifiers.compose(kind.code, actor.organisation, identifiers.new_serial())
    return Draft(
        id=new_id(now, secrets.token_bytes(10)),
        type=kind.name,
        authority=actor.organisation,
        authority_name=actor.organisation_name or seal.owner_name,
        identifier=str(identifier),
        number=fields[kind.number.field],
        fields=fields,
        state=DraftState.DRAFT,
        content_digest="",
        drafter=actor.id,
        drafter_name=actor.name,
        approver=None,
        approver_name="",
        approved_at=None,
        returned_because="",
        seal_id=seal.id,
        qr_token=secrets.token_urlsafe(16),
        created_at=now,
        changed_at=now,
        revision=1,
    )


def checked_fields(
    kind: CertificateType,
    given: Mapping[str, str],
    authority: str,
    now: datetime,
    renderer: Renderer,
    taken: Callable[[str], bool],
) -> dict[str, str]:
    """The exact fields; a number is drawn that is not `taken`.

    Raises `InvalidFields` with one error a broken rule, or `MissingGlyph`.
    """
    _refuse(kind, [error for name in given if (error := field_rules.not_text(name, given[name]))])
    normal, _ = field_rules.normalise(kind, given)
    today = civil_date(now)
    done = field_rules.complete(kind, normal, authority, today, taken)
    _refuse(kind, field_rules.check(kind, done, today))
    if missing := renderer.undrawable("".join(done.values())):
        raise MissingGlyph(missing)
    return done


def _refuse(kind: CertificateType, errors: Sequence[FieldError]) -> None:
    if errors:
        raise InvalidFields(
            f"{len(errors)} field(s) break a rule of {kind.labels['en']}",
            next_step="correct the fields that are named",
            errors=errors,
        )


def content_of(
    kind: CertificateType,
    fields: Mapping[str, str],
    *,
    identifier: str,
    qr_token: str,
    authority: str,
    authority_name: str,
    seal_id: str,
    template_hash: str,
) -> Content:
    """The content that checked fields make. Raises `InvalidFields` when a date is missing."""
    issued, start = (
        as_date(fields.get(kind.validity.issued)),
        as_date(fields.get(kind.validity.start)),
    )
    if issued is None or start is None:
        raise InvalidFields("a certificate needs its date of issue and the start of its validity")
    return Content(
        identifier=identifier,
        number=fields[kind.number.field],
        type=kind.name,
        type_version=kind.version,
        type_digest=kind.digest,
        template_hash=template_hash,
        authority=authority,
        authority_name=authority_name,
        seal_id=seal_id,
        qr_token=qr_token,
        fields=dict(fields),
        issued_on=issued,
        valid_from=start,
        valid_until=as_date(fields.get(kind.validity.end)),
    )


def entry_about(kind: str, actor: Actor, draft: Draft, subject: str, now: datetime) -> Entry:
    """The ledger entry of an act on a draft."""
    details = {"type": draft.type}
    if draft.content_digest:
        details["content_digest"] = draft.content_digest
    return Entry(
        kind=kind,
        actor=actor,
        at=now,
        subject=subject,
        certificate=draft.identifier,
        details=details,
    )


def subject_of_draft(cipher: FieldCipher, kind: CertificateType, draft: Draft) -> str:
    """The pseudonym of the future holder."""
    return subject_of(cipher, kind.holder.kind, draft.fields[kind.holder.code])
