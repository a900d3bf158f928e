"""Questions to the database about people, sessions, pending requests, consents and clients.

Every function takes the caller's transaction and answers with a value type of `models`. Token
families have their own file, `families`.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, case, delete, insert, literal, select, update

from foundation.batching import (
    KEYS,
    Prepared,
)
from foundation.database import Database, Tx
from idp.models import (
    Agreement,
    AuthorizationRequest,
    Client,
    Person,
    RegisteredClient,
    Session,
    clients,
    consents,
    device_codes,
    idp_sessions,
    initial_access_tokens,
    interactions,
    logout_notices,
    logouts,
    people,
    pushed_requests,
    replays,
    revocations,
    sign_in_attempts,
    token_families,
)


def sha256(value: str) -> str:
    """How a random secret of ours is stored and looked up (64 hexadecimal characters)."""
    return hashlib.sha256(value.encode()).hexdigest()


# --- people -------------------------------------------------------------------------------------


def add_person(
    tx: Tx, person: Person, password_hash: str | None, id_number_index: str | None, now: datetime
) -> None:
    """Raises `IntegrityError` when the user name or the identity number is taken."""
    tx.execute(
        insert(people).values(
            id=person.id,
            username=person.username,
            kind=person.kind,
            name=person.name,
            id_number=person.id_number or None,
            subject=person.subject,
            represents=list(person.represents),
            organisation=person.organisation,
            organisation_name=person.organisation_name,
            roles=sorted(person.roles),
            locale=person.locale,
            password_hash=password_hash,
            created_at=now,
            id_number_index=id_number_index,
            citizen_id=person.citizen_id or None,
        )
    )


def person(tx: Tx, person_id: str) -> Person | None:
    row = tx.execute(select(people).where(people.c.id == person_id)).first()
    return None if row is None else person_of(row)


def persons(tx: Tx, ids: Collection[str]) -> dict[str, Person]:
    return {row.id: person_of(row) for row in _people(tx, ids)}


def all_people(tx: Tx) -> list[Person]:
    return [person_of(row) for row in tx.execute(select(people).order_by(people.c.username))]


def account(tx: Tx, username: str) -> tuple[Person, str | None] | None:
    """The person with this user name, and their password hash."""
    row = tx.execute(select(people).where(people.c.username == username)).first()
    return None if row is None else (person_of(row), row.password_hash)


def person_of(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        username=row.username,
        kind=row.kind,
        name=row.name,
        subject=row.subject,
        represents=tuple(row.represents),
        organisation=row.organisation,
        organisation_name=row.organisation_name,
        roles=frozenset(row.roles),
        locale=row.locale,
        disabled=row.disabled_at is not None,
        id_number=row.id_number or "",
        citizen_id=row.citizen_id or "",
        collides_with=row.collides_with or "",
    )


# --- sessions -----------------------------------------------------------------------------------


def add_session(tx: Tx, session: Session) -> None:
    tx.execute(
        insert(idp_sessions).values(
            id_hash=session.id_hash,
            sid=session.sid,
            person_id=session.person.id,
            authenticated_at=session.authenticated_at,
            amr=list(session.amr),
            acr=session.acr,
            expires_at=session.expires_at,
        )
    )


def session(tx: Tx, session_id: str | None, now: datetime, *, hold: bool = False) -> Session | None:
    """The live session behind a cookie value, of a person who is not disabled; None without one.

    With `hold` it does not end before this transaction does: what is granted on it is there to be
    ended with it.
    """
    if not session_id:
        return None
    query = (
        select(idp_sessions, people)
        .join_from(idp_sessions, people, idp_sessions.c.person_id == people.c.id)
        .where(
            idp_sessions.c.id_hash == sha256(session_id),
            idp_sessions.c.expires_at > now,
            people.c.disabled_at.is_(None),
        )
    )
    if hold:
        query = query.with_for_update(read=True, of=idp_sessions)
    row = tx.execute(query).first()
    return None if row is None else _session_of(row, person_of(row))


def sessions_of(tx: Tx, person: Person, now: datetime) -> list[Session]:
    query = (
        select(idp_sessions)
        .where(idp_sessions.c.person_id == person.id, idp_sessions.c.expires_at > now)
        .order_by(idp_sessions.c.authenticated_at.desc())
    )
    return [_session_of(row, person) for row in tx.execute(query)]


def forget_cookie(tx: Tx, id_hash: str) -> None:
    tx.execute(delete(idp_sessions).where(idp_sessions.c.id_hash == id_hash))


def end_session(tx: Tx, sid: str) -> bool:
    ended = tx.execute(delete(idp_sessions).where(idp_sessions.c.sid == sid))
    return ended.rowcount > 0


def _session_of(row: Row[Any], person: Person) -> Session:
    return Session(
        id_hash=row.id_hash,
        sid=row.sid,
        person=person,
        authenticated_at=row.authenticated_at,
        amr=tuple(row.amr),
        acr=row.acr,
        expires_at=row.expires_at,
    )


# --- pending authorization requests -------------------------------------------------------------


def add_interaction(
    database: Database,
    tx: Tx,
    interaction_id: str,
    request: AuthorizationRequest,
    browser_hash: str,
    expires_at: datetime,
) -> None:
    """One that is there already stays as it is."""
    tx.execute(
        database.insert_or_ignore(interactions).values(
            id=interaction_id,
            client_id=request.client_id,
            request=msgspec.json.encode(request).decode(),
            browser_hash=browser_hash,
            created_at=request.created_at,
            expires_at=expires_at,
        )
    )


def interaction(tx: Tx, interaction_id: str) -> tuple[AuthorizationRequest, Row[Any]] | None:
    query = select(interactions).where(interactions.c.id == interaction_id)
    row = tx.execute(query).first()
    if row is None:
        return None
    return msgspec.json.decode(row.request, type=AuthorizationRequest), row


def finish_interaction(tx: Tx, interaction_id: str, now: datetime) -> None:
    tx.execute(
        update(interactions).where(interactions.c.id == interaction_id).values(finished_at=now)
    )


def add_logout(tx: Tx, logout_id: str, redirect_to: str | None, expires_at: datetime) -> None:
    tx.execute(insert(logouts).values(id=logout_id, redirect_to=redirect_to, expires_at=expires_at))


def take_logout(tx: Tx, logout_id: str, now: datetime) -> str | None:
    """Where to go after a pending logout; it is used up."""
    mine = (logouts.c.id == logout_id, logouts.c.expires_at > now)
    return tx.execute(delete(logouts).where(*mine).returning(logouts.c.redirect_to)).scalar()


# --- consents -----------------------------------------------------------------------------------


def agreement(tx: Tx, person_id: str, client_id: str, *, hold: bool = False) -> Agreement | None:
    """What this person answered this client the last time; None when never asked. With `hold` it
    is not withdrawn before this transaction ends."""
    query = select(consents).where(
        consents.c.person_id == person_id, consents.c.client_id == client_id
    )
    if hold:
        query = query.with_for_update(read=True)
    row = tx.execute(query).first()
    if row is None:
        return None
    return Agreement(frozenset(row.scopes), frozenset(row.claims), frozenset(row.answered))


def remember_agreement(
    database: Database,
    tx: Tx,
    person_id: str,
    client_id: str,
    agreement: Agreement,
    now: datetime,
) -> None:
    values = {
        "scopes": sorted(agreement.scopes),
        "claims": sorted(agreement.claims),
        "answered": sorted(agreement.answered),
        "granted_at": now,
    }
    row = {"person_id": person_id, "client_id": client_id, **values}
    tx.execute(database.upsert(consents, ["person_id", "client_id"], values).values(**row))


def consents_of(tx: Tx, person_id: str) -> list[Row[Any]]:
    query = select(consents).where(consents.c.person_id == person_id)
    return list(tx.execute(query.order_by(consents.c.granted_at.desc())))


def withdraw_consent(tx: Tx, person_id: str, client_id: str) -> bool:
    mine = (consents.c.person_id == person_id, consents.c.client_id == client_id)
    return tx.execute(delete(consents).where(*mine)).rowcount > 0


# --- clients ------------------------------------------------------------------------------------


def add_client(tx: Tx, client: Client, secret_hash: str, secret_prefix: str, now: datetime) -> None:
    """Raises `IntegrityError` when the client_id is taken."""
    tx.execute(
        insert(clients).values(
            client_id=client.client_id,
            organisation=client.organisation,
            metadata=client_document(client),
            secret_hash=secret_hash,
            secret_prefix=secret_prefix,
            version=1,
            created_at=now,
        )
    )


def client_rows(tx: Tx, ids: Sequence[str]) -> dict[str, Any]:
    return {row.client_id: row for row in _clients(tx, ids)}


def all_client_rows(tx: Tx, organisation: str | None = None) -> list[Row[Any]]:
    query = select(clients).order_by(clients.c.created_at)
    if organisation is not None:
        query = query.where(clients.c.organisation == organisation)
    return list(tx.execute(query))


def replace_client(tx: Tx, client: Client) -> None:
    tx.execute(
        update(clients)
        .where(clients.c.client_id == client.client_id)
        .values(
            metadata=msgspec.json.encode(client).decode(),
            organisation=client.organisation,
            version=clients.c.version + 1,
        )
    )


def client_document(client: Client) -> str:
    """A client as its column holds it."""
    return msgspec.json.encode(client).decode()


def set_client(tx: Tx, client_id: str, **values: Any) -> None:
    tx.execute(
        update(clients)
        .where(clients.c.client_id == client_id)
        .values(version=clients.c.version + 1, **values)
    )


def registered_client(row: Row[Any]) -> RegisteredClient:
    return RegisteredClient(
        client=msgspec.json.decode(row.metadata, type=Client),
        secret_hash=row.secret_hash,
        version=row.version,
        disabled=row.disabled_at is not None,
    )


# --- failed sign-ins ----------------------------------------------------------------------------


def attempts(tx: Tx, key: str, now: datetime) -> tuple[int, datetime]:
    """How many failures in a row, and when the last one was; not locked."""
    row = tx.execute(select(sign_in_attempts).where(sign_in_attempts.c.id == key)).first()
    return (0, now) if row is None else (row.failures, row.last_failure_at)


def hold_attempts(database: Database, tx: Tx, key: str, now: datetime) -> tuple[int, datetime]:
    """The same, locked until this transaction ends; a time that is still to come becomes `now`.

    A row that does not exist cannot be locked, so it is made: the first attempts wait for one
    another too.
    """
    table = sign_in_attempts
    present = literal(now, table.c.last_failure_at.type)
    last = case((table.c.last_failure_at > present, present), else_=table.c.last_failure_at)
    statement = database.upsert(table, ["id"], {"last_failure_at": last})
    none = {"id": key, "failures": 0, "last_failure_at": now}
    held = statement.values(**none).returning(table.c.failures, table.c.last_failure_at)
    failures, last_failure_at = tx.execute(held).one()
    return failures, last_failure_at


def count_failure(tx: Tx, key: str, now: datetime) -> None:
    table = sign_in_attempts
    more = update(table).where(table.c.id == key)
    tx.execute(more.values(failures=table.c.failures + 1, last_failure_at=now))


def forget_failures(tx: Tx, key: str) -> None:
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.id == key))


def take_back_failure(tx: Tx, key: str) -> None:
    table = sign_in_attempts
    less = update(table).where(table.c.id == key, table.c.failures > 0)
    tx.execute(less.values(failures=table.c.failures - 1))


# --- housekeeping -------------------------------------------------------------------------------


def sweep(tx: Tx, now: datetime, most: int) -> int:
    """Delete what is over, at most `most` rows of each table, so that no writer waits for long.
    Interactions stay a day more, so that a late tab finds its way back."""
    over = (
        (idp_sessions, idp_sessions.c.expires_at <= now),
        (initial_access_tokens, initial_access_tokens.c.expires_at <= now),
        (device_codes, device_codes.c.expires_at <= now - timedelta(days=1)),
        (logouts, logouts.c.expires_at <= now),
        (pushed_requests, pushed_requests.c.expires_at <= now - timedelta(days=1)),
        (interactions, interactions.c.expires_at <= now - timedelta(days=1)),
        # As long as a session may live: its services are to be told when it ends.
        (token_families, token_families.c.expires_at <= now - timedelta(hours=8)),
        (logout_notices, logout_notices.c.created_at <= now - timedelta(days=30)),
        (revocations, revocations.c.expires_at <= now),
        (replays, replays.c.expires_at <= now),
        (sign_in_attempts, sign_in_attempts.c.last_failure_at <= now - timedelta(days=1)),
    )
    gone = 0
    for table, condition in over:
        [key] = table.primary_key.columns
        few = select(key).where(condition).limit(most)
        gone += tx.execute(delete(table).where(key.in_(few))).rowcount
    return gone


# The fast lane's statements, compiled once.
_client = (clients.c.metadata, clients.c.secret_hash, clients.c.version, clients.c.disabled_at)
_clients = Prepared(select(clients.c.client_id, *_client).where(clients.c.client_id.in_(KEYS)))
_people = Prepared(select(people).where(people.c.id.in_(KEYS)))
