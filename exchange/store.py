"""Questions to the exchange's tables; every function takes the caller's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, text, update

from exchange.models import (
    Purpose,
    answered_requests,
    batch_receipts,
    purposes,
    show_codes,
)
from foundation.batching import (
    KEYS,
    Prepared,
)
from foundation.database import Database, Tx, try_advisory_lock
from ledger import EntryRef, about_entry, unseal_openings
from ledger.merkle import leaf_hash

# ── purposes ─────────────────────────────────────────────────────────────────────────────────────


def put_purpose(
    tx: Tx, database: Database, purpose: Purpose, now: datetime, application: str | None
) -> bool:
    """Insert or replace; False when another application holds the purpose."""
    values = {
        "names": dict(purpose.names),
        "legal_bases": list(purpose.legal_bases),
        "fields": list(purpose.fields),
        "predicates": list(purpose.predicates),
        "created_at": now,
        "application": application,
    }
    free = purposes.c.application.is_(None) | (purposes.c.application == application)
    put = database.upsert(purposes, ["organisation", "code", "type"], values, where=free)
    key = {"organisation": purpose.organisation, "code": purpose.code, "type": purpose.type}
    return bool(tx.execute(put.values(**key, **values)).rowcount)


def purposes_of(tx: Tx, organisation: str) -> list[Purpose]:
    """The purposes registered for exactly this department, or for `EVERYONE`."""
    rows = tx.execute(_OF_ORGANISATION, {"organisation": organisation})
    return [_purpose(row) for row in rows]


def purposes_by_code(tx: Tx, asked: Collection[tuple[str, str]]) -> list[Purpose]:
    """The purposes of several (organisation, code) pairs, over all types."""
    codes_of: dict[str, set[str]] = {}
    for organisation, code in asked:
        codes_of.setdefault(organisation, set()).add(code)
    return [
        _purpose(row)
        for organisation, codes in codes_of.items()
        for row in _by_code(tx, codes, organisation=organisation)
    ]


# Statements of the fast lane are made once: building one costs more than running it.
_PURPOSES = select(
    purposes.c.organisation,
    purposes.c.type,
    purposes.c.code,
    purposes.c.names,
    purposes.c.legal_bases,
    purposes.c.fields,
    purposes.c.predicates,
)
_OF_ORGANISATION = _PURPOSES.where(
    purposes.c.organisation == bindparam("organisation", type_=purposes.c.organisation.type)
).order_by(purposes.c.code, purposes.c.type)
_by_code = Prepared(
    _PURPOSES.where(
        purposes.c.organisation == bindparam("organisation", type_=purposes.c.organisation.type),
        purposes.c.code.in_(KEYS),
    )
)


def _purpose(row: Any) -> Purpose:
    return Purpose(
        row.organisation,
        row.type,
        row.code,
        row.names,
        tuple(row.legal_bases),
        tuple(row.fields),
        tuple(row.predicates),
    )


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────


def add_batch_receipt(tx: Tx, receipt_id: str, entry_ids: Sequence[str], now: datetime) -> None:
    """Keep which ledger entries, in order, one receipt is over."""
    row = {"id": receipt_id, "entry_ids": list(entry_ids), "created_at": now}
    tx.execute(insert(batch_receipts).values(row))


def batch_entry_ids(tx: Tx, receipt_id: str) -> list[str] | None:
    """The ids of the entries that a receipt is over; None when there is no such receipt."""
    query = select(batch_receipts.c.entry_ids).where(batch_receipts.c.id == receipt_id)
    found: list[str] | None = tx.execute(query).scalar()
    return found


def written_entry(tx: Tx, database: Database, entry_id: str) -> EntryRef | None:
    """A ledger entry as it was written, with the openings that were not erased since."""
    row = about_entry(tx, entry_id)
    if row is None:
        return None
    leaf = bytes(row.leaf)
    sealed = row.sealed
    openings = {} if sealed is None else unseal_openings(database.cipher, entry_id, bytes(sealed))
    return EntryRef(entry_id, leaf, leaf_hash(leaf), openings)


# ── show codes ───────────────────────────────────────────────────────────────────────────────────


def add_show_code(
    tx: Tx, token_hash: bytes, certificate: str, subject: str, shown_by: str, expires_at: datetime
) -> None:
    """Keep a show code by its hash: for which certificate and holder, and until when."""
    tx.execute(
        insert(show_codes).values(
            token_hash=token_hash,
            certificate=certificate,
            subject=subject,
            shown_by=shown_by,
            expires_at=expires_at,
        )
    )


def lock_show_code(tx: Tx, token_hash: bytes) -> Row[Any] | None:
    """A code, good or not, its row locked until the transaction ends: of two simultaneous openings
    the second waits and then finds it used.
    """
    query = select(show_codes).where(show_codes.c.token_hash == token_hash)
    return tx.execute(query.with_for_update()).first()


def show_code(tx: Tx, token_hash: bytes) -> Row[Any] | None:
    """A code, good or not."""
    return tx.execute(select(show_codes).where(show_codes.c.token_hash == token_hash)).first()


def use_show_code(
    tx: Tx,
    token_hash: bytes,
    now: datetime,
    seen_by: bytes | None = None,
    answer: str | None = None,
) -> None:
    """Mark a code as opened, and keep what the browser that opened it may see again."""
    using = update(show_codes).where(show_codes.c.token_hash == token_hash)
    tx.execute(using.values(opened_at=now, seen_by=seen_by, answer=answer))


def end_show_codes_of(tx: Tx, person_id: str, now: datetime) -> None:
    """End whatever this person shows, of whomever's certificates; what was opened is forgotten."""
    live = show_codes.c.shown_by == person_id, show_codes.c.expires_at > now
    tx.execute(update(show_codes).where(*live).values(expires_at=now, answer=None))


def withdraw_show_codes(tx: Tx, certificate: str, subject: str, now: datetime) -> int:
    """End the codes of a holder's certificate that nobody has opened yet, and those whose answer
    can still be looked at; it is forgotten."""
    still_good = (
        show_codes.c.certificate == certificate,
        show_codes.c.subject == subject,
        show_codes.c.opened_at.is_(None) | show_codes.c.answer.is_not(None),
        show_codes.c.expires_at > now,
    )
    ending = update(show_codes).where(*still_good).values(expires_at=now, answer=None)
    return tx.execute(ending).rowcount


# ── idempotency ──────────────────────────────────────────────────────────────────────────────────

ANSWERS_KEPT = timedelta(hours=24)
CODES_KEPT = timedelta(hours=24)  # after their end, so that a late opening is told what happened


@dataclass(frozen=True, slots=True)
class Kept:
    """What a client's first request with a key sent (by digest), was answered, and when."""

    body_digest: str
    answer: str
    at: datetime


def kept_answers(tx: Tx, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Kept]:
    """What is kept by (client, key), one query a client."""
    keys_of: dict[str, list[str]] = {}
    for client, key in places:
        keys_of.setdefault(client, []).append(key)
    return {
        (client, row.idempotency_key): Kept(row.body_digest, row.answer, row.started_at)
        for client, keys in keys_of.items()
        for row in _kept_by_key(tx, keys, client=client)
    }


def keep_answer(tx: Tx, database: Database, client: str, key: str, kept: Kept) -> bool:
    """Take the place (client, key) and keep an answer in it; False when it is taken.

    Nobody waits here for somebody else's transaction, so that a process that stands still in the
    middle of its own holds up no commit of others: a place that is just being taken is taken.
    """
    if not try_advisory_lock(tx, f"exchange.answered/{client}/{key}"):
        return False
    over = answered_requests.c.started_at < kept.at - ANSWERS_KEPT
    # A place without an answer was taken by a program of before, which kept answers afterwards.
    free = over | answered_requests.c.answer.is_(None)
    new = {name: text(f"excluded.{name}") for name in ("body_digest", "answer", "started_at")}
    put = database.upsert(answered_requests, ["client", "idempotency_key"], new, where=free)
    row = {
        "client": client,
        "idempotency_key": key,
        "body_digest": kept.body_digest,
        "answer": kept.answer,
        "started_at": kept.at,
    }
    return bool(tx.execute(put.values(row)).rowcount)


def keep_signed(tx: Tx, client: str, key: str, body_digest: str, answer: str) -> None:
    """The answer in this place with its signature."""
    mine = (
        answered_requests.c.client == client,
        answered_requests.c.idempotency_key == key,
        answered_requests.c.body_digest == body_digest,
    )
    tx.execute(update(answered_requests).where(*mine).values(answer=answer))


_kept_by_key = Prepared(
    select(
        answered_requests.c.idempotency_key,
        answered_requests.c.body_digest,
        answered_requests.c.answer,
        answered_requests.c.started_at,
    ).where(
        answered_requests.c.client == bindparam("client", type_=answered_requests.c.client.type),
        answered_requests.c.idempotency_key.in_(KEYS),
        answered_requests.c.answer.is_not(None),
    )
)


def forget_old(tx: Tx, now: datetime) -> int:
    """Delete answers and show codes whose time is over; answers how many rows.

    What a show code opened is forgotten at its end, the code itself a day later.
    """
    over = show_codes.c.answer.is_not(None) & (show_codes.c.expires_at <= now)
    tx.execute(update(show_codes).where(over).values(answer=None))
    answers = delete(answered_requests).where(answered_requests.c.started_at < now - ANSWERS_KEPT)
    codes = delete(show_codes).where(show_codes.c.expires_at < now - CODES_KEPT)
    return tx.execute(answers).rowcount + tx.execute(codes).rowcount
