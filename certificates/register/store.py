"""Questions to the database about certificates; functions that take the caller's `tx`.

`load_many` is the hot one: any number of certificates by number or identifier at once.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    and_,
    delete,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from certificates.identifier import ROOT
from certificates.models import (
    HOLDER_NAME,
    Certificate,
    Draft,
    Listing,
    certificates,
    drafts,
    renditions,
)
from certificates.rules import DraftState, State, masked_name
from foundation.batching import (
    KEYS,
    Prepared,
)
from foundation.canonical import b64url
from foundation.columns import cipher_of
from foundation.database import Tx
from foundation.encryption import FieldCipher
from ledger import LAST_ACT, with_last_act


def name_index(cipher: FieldCipher, name: str) -> str:
    """Blind index to find a holder by exact name, without regard to case and spaces."""
    return cipher.blind_index("".join(name.split()).casefold(), "certificates.name_index")


_OPEN = ("draft", "submitted", "returned", "approved")

# Columns in the order of the fields of `Certificate`. Times come as they are stored and are turned
# into values by hand: this is the query that every verification waits for.
_TIMES = ("state_since", "issued_at", "approved_at")
_NAMED = {
    "credential": renditions.c.data,
    "sealed_fields": certificates.c.fields,
    "sealed_holder_code": certificates.c.holder_code,
    "sealed_holder_name": certificates.c.holder_name,
    **LAST_ACT,
} | {name: type_coerce(certificates.c[name], BigInteger) for name in _TIMES}
_NAMES = tuple(name for name in Certificate.__dataclass_fields__ if name != "cipher")
_STATE_AT, _CREDENTIAL_AT = _NAMES.index("state"), _NAMES.index("credential")
_TIMES_AT = tuple(_NAMES.index(name) for name in _TIMES)
_STATES = {state.value: state for state in State}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RECORD: Select[Any] = select(
    *(_NAMED[name].label(name) if name in _NAMED else certificates.c[name] for name in _NAMES)
).select_from(
    with_last_act(
        certificates.outerjoin(
            renditions,
            and_(
                renditions.c.certificate_id == certificates.c.id,
                renditions.c.format == certificates.c.credential_format,
            ),
        ),
        certificates.c.id,
    )
)


_by_identifier = Prepared(_RECORD.where(certificates.c.identifier.in_(KEYS)))
_by_number = Prepared(_RECORD.where(certificates.c.number.in_(KEYS)))
_by_qr_token = Prepared(_RECORD.where(certificates.c.qr_token.in_(KEYS)))


def load_many(tx: Tx, keys: Sequence[str]) -> Mapping[str, Certificate]:
    """Certificates by licence number or identifier, one query each (a `Loader` fetch function).

    A number that two authorities both use answers with neither: ask by identifier.
    """
    wanted = set(keys)
    identifiers = [key for key in wanted if key.startswith(ROOT)]
    numbers = [key for key in wanted if not key.startswith(ROOT)]
    cipher = cipher_of(tx.dialect)
    found = {row.identifier: _certificate(cipher, row) for row in _by_identifier(tx, identifiers)}
    rows = _by_number(tx, numbers)
    times = Counter(row.number for row in rows)
    found |= {row.number: _certificate(cipher, row) for row in rows if times[row.number] == 1}
    return found


def load_by_tokens(tx: Tx, tokens: Sequence[str]) -> Mapping[str, Certificate]:
    """Certificates by the token in their printed QR code (a `Loader` fetch function)."""
    rows = _by_qr_token(tx, set(tokens))
    return {row.qr_token: _certificate(cipher_of(tx.dialect), row) for row in rows}


def load_by_ids(tx: Tx, ids: Sequence[str]) -> Mapping[str, Certificate]:
    """Certificates by row id."""
    rows = tx.execute(_RECORD.where(certificates.c.id.in_(set(ids))))
    return {row.id: _certificate(cipher_of(tx.dialect), row) for row in rows}


def after(tx: Tx, last_id: str, limit: int) -> list[Certificate]:
    """Certificates of all authorities in order of id, from the one after `last_id`."""
    query = _RECORD.where(certificates.c.id > last_id).order_by(certificates.c.id).limit(limit)
    return [_certificate(cipher_of(tx.dialect), row) for row in tx.execute(query)]


def by_identifier(tx: Tx, identifier: str) -> Certificate | None:
    """The certificate with this identifier."""
    return load_many(tx, [identifier]).get(identifier) if identifier.startswith(ROOT) else None


def by_draft(tx: Tx, draft_id: str) -> Certificate | None:
    """The certificate that was issued from this draft."""
    row = tx.execute(_RECORD.where(certificates.c.draft_id == draft_id)).first()
    return _certificate(cipher_of(tx.dialect), row) if row else None


def held_by(tx: Tx, subjects: Collection[str], limit: int) -> list[Certificate]:
    """The certificates of some holders, newest first."""
    query = _RECORD.where(certificates.c.subject.in_(set(subjects)))
    rows = tx.execute(query.order_by(certificates.c.id.desc()).limit(limit))
    return [_certificate(cipher_of(tx.dialect), row) for row in rows]


def lock(tx: Tx, identifier: str) -> Certificate | None:
    """One certificate, its row locked until the transaction ends.

    Locked before it is read: what was read while waiting for the lock would be the old act.
    """
    mine = certificates.c.identifier == identifier
    tx.execute(select(certificates.c.id).where(mine).with_for_update())
    return by_identifier(tx, identifier)


def set_state(tx: Tx, certificate_id: str, state: State, since: datetime, reason: str) -> None:
    """Set the certificate's state, since when it holds, and the reason code."""
    tx.execute(
        update(certificates)
        .where(certificates.c.id == certificate_id)
        .values(state=state, state_since=since, state_reason=reason)
    )


def rendition(tx: Tx, certificate_id: str, kind: str) -> bytes | None:
    """The bytes of a certificate in one format; None when it has none."""
    query = select(renditions.c.data).where(
        renditions.c.certificate_id == certificate_id, renditions.c.format == kind
    )
    data = tx.execute(query).scalar()
    return None if data is None else bytes(data)


def replace_rendition(tx: Tx, certificate_id: str, kind: str, before: str, data: bytes) -> None:
    """Put a completed file in the place of the one with this digest, if it is still there."""
    tx.execute(
        update(renditions)
        .where(
            renditions.c.certificate_id == certificate_id,
            renditions.c.format == kind,
            renditions.c.digest == before,
        )
        .values(data=data, digest=b64url(hashlib.sha256(data).digest()))
    )


def insert_issued(tx: Tx, rows: list[dict[str, Any]], files: list[dict[str, Any]]) -> None:
    """Insert rows of certificates, and of the files that belong to them."""
    tx.execute(insert(certificates), rows)
    tx.execute(insert(renditions), files)


def taken_numbers(tx: Tx, authority: str, numbers: Sequence[str]) -> set[str]:
    """Which of these licence numbers an authority has used already, in certificates or drafts."""
    found: set[str] = set()
    for start in range(0, len(numbers), 500):
        some = numbers[start : start + 500]
        for table, owner in ((certificates, "issuing_authority"), (drafts, "authority")):
            query = select(table.c.number).where(table.c[owner] == authority)
            found.update(tx.execute(query.where(table.c.number.in_(some))).scalars())
    return found


def number_in_use(tx: Tx, authority: str, number: str) -> bool:
    """Does a certificate of this authority carry the number?"""
    query = select(certificates.c.id).where(
        certificates.c.issuing_authority == authority, certificates.c.number == number
    )
    return tx.execute(query).first() is not None


def listed(
    tx: Tx, authority: str, *, before: str | None, state: State | None, limit: int
) -> list[Listing]:
    """An authority's certificates, newest first; `before` is the id of the last one seen."""
    query = _listing(authority)
    if before is not None:
        query = query.where(certificates.c.id < before)
    if state is not None:
        query = query.where(certificates.c.state == state)
    rows = tx.execute(query.order_by(certificates.c.id.desc()).limit(limit))
    return [_listed(tx, row) for row in rows]


def with_number(tx: Tx, authority: str, text: str, limit: int) -> list[Listing]:
    """An authority's certificates by identifier, or by the beginning of the number."""
    exact = _listing(authority).where(certificates.c.identifier == text)
    if row := tx.execute(exact).first():
        return [_listed(tx, row)]
    begins = certificates.c.number >= text, certificates.c.number < text + "\U0010ffff"
    query = _listing(authority).where(*begins).order_by(certificates.c.number)
    return [_listed(tx, row) for row in tx.execute(query.limit(limit))]


def of_holder(
    tx: Tx, authority: str, subjects: Sequence[str], name_index: str, limit: int
) -> list[Listing]:
    """An authority's certificates by their holder's code or exact name, newest first."""
    holder = or_(certificates.c.subject.in_(subjects), certificates.c.name_index == name_index)
    query = _listing(authority).where(holder).order_by(certificates.c.id.desc())
    return [_listed(tx, row) for row in tx.execute(query.limit(limit))]


def insert_draft(tx: Tx, values: Mapping[str, Any]) -> None:
    """Insert one draft; `values` by column name."""
    tx.execute(insert(drafts).values(**values))


def draft_by_id(tx: Tx, draft_id: str) -> Draft | None:
    """The draft with this id."""
    row = tx.execute(select(drafts).where(drafts.c.id == draft_id)).first()
    return _draft(row) if row else None


def change_draft(tx: Tx, seen: Draft, values: Mapping[str, Any]) -> bool:
    """Change the draft that was seen; False when somebody changed it since."""
    changed = tx.execute(
        update(drafts).where(_same(seen)).values(**values, revision=seen.revision + 1)
    )
    return changed.rowcount == 1


def delete_draft(tx: Tx, seen: Draft) -> bool:
    """Delete the draft that was seen; False when somebody changed it since."""
    return tx.execute(delete(drafts).where(_same(seen))).rowcount == 1


def _same(seen: Draft) -> ColumnElement[bool]:
    return and_(drafts.c.id == seen.id, drafts.c.revision == seen.revision)


def drafts_of(
    tx: Tx, authority: str, *, state: DraftState | None, before: str | None, limit: int
) -> list[Draft]:
    """An authority's drafts, newest first; the open ones when no state is asked for."""
    states = (state,) if state else _OPEN
    query = select(drafts).where(drafts.c.authority == authority, drafts.c.state.in_(states))
    if before is not None:
        query = query.where(drafts.c.id < before)
    return [_draft(row) for row in tx.execute(query.order_by(drafts.c.id.desc()).limit(limit))]


_LISTED = (
    "id",
    "subject",
    "identifier",
    "number",
    "type",
    "state",
    "issued_on",
    "valid_from",
    "valid_until",
    "holder_kind",
    "holder_name",
)


def _listing(authority: str) -> Select[Any]:
    columns = [certificates.c[name] for name in _LISTED]
    return select(*columns).where(certificates.c.issuing_authority == authority)


def _listed(tx: Tx, row: Row[Any]) -> Listing:
    values = row._asdict()
    name = cipher_of(tx.dialect).decrypt(bytes(values.pop("holder_name")), HOLDER_NAME).decode()
    masked = masked_name(name, values.pop("holder_kind"))
    return Listing(**values | {"state": State(row.state), "holder_name": masked})


def _certificate(cipher: FieldCipher, row: Sequence[Any]) -> Certificate:
    """A row as a value, past the frozen class's constructor, which costs more than the query."""
    values: list[Any] = list(row)
    values[_STATE_AT] = _STATES[values[_STATE_AT]]
    values[_CREDENTIAL_AT] = bytes(values[_CREDENTIAL_AT] or b"").decode("utf-8", "replace")
    for at in _TIMES_AT:
        values[at] = _EPOCH + timedelta(microseconds=values[at])
    certificate = Certificate.__new__(Certificate)
    certificate.__dict__.update(zip(_NAMES, values, strict=True), cipher=cipher)
    return certificate


def _draft(row: Row[Any]) -> Draft:
    return Draft(**row._asdict() | {"state": DraftState(row.state)})
