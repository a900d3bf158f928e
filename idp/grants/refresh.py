"""A refresh token becomes a new one (RFC 6749 §6, RFC 9700 §4.14.2): rotation with a short memory.

- Every use rotates. The successor is derived from its predecessor by HMAC under a key of this
  house, so a client whose answer got lost on the way asks again within `GRACE` and receives the
  *same* successor; nothing secret is stored for that.
- The same token after the grace, or after its successor was used, means that two parties hold it:
  the family ends, and the person can see it.
- Scopes and resources can only shrink (RFC 6749 §6).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from foundation.database import Database, Tx
from foundation.encryption import FieldCipher
from idp import families, resources, store
from idp.errors import InvalidGrant, InvalidScope, InvalidTarget, UnauthorizedClient
from idp.families import StoredRefreshToken
from idp.grants import parameter
from idp.models import Client, Family
from idp.syntax import SCOPE
from idp.tokens import ACCESS_TOKEN_LIFETIME

GRANT_TYPE = "refresh_token"
GRACE = timedelta(seconds=10)
IDLE_LIFETIME = timedelta(days=14)
FAMILY_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """A well-formed refresh request by an authenticated client."""

    client: Client
    token_hash: str
    successor: str
    successor_hash: str
    scopes: tuple[str, ...] | None  # None: all that was granted
    resources: tuple[str, ...]  # (): all that were granted
    now: datetime
    jkt: str = ""  # of the DPoP proof that came along


class Verdict(StrEnum):
    """What `judge` can find; the text is the error description."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REUSED = "the refresh token was used before; every token of this sign-in has been revoked"
    UNKNOWN = "the refresh token is unknown, expired or revoked"
    FOREIGN = "the refresh token was issued to another client"
    KEY = "the refresh token is bound to another DPoP key"
    SCOPE = "scope goes beyond what was granted"
    TARGET = "resource goes beyond what was granted"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A live family and its next refresh token."""

    family: Family
    refresh_token: str
    scopes: tuple[str, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class NotRefreshed:
    """`ended`: the family that reuse has just ended."""

    verdict: Verdict
    ended: Family | None = None

    def error(self) -> InvalidGrant | InvalidScope | InvalidTarget:
        match self.verdict:
            case Verdict.SCOPE:
                return InvalidScope(self.verdict.value)
            case Verdict.TARGET:
                return InvalidTarget(self.verdict.value)
            case _:
                return InvalidGrant(self.verdict.value)


def new_token() -> str:
    """256 random bits, base64url."""
    return secrets.token_urlsafe(32)


def successor_of(cipher: FieldCipher, token: str) -> str:
    """The only token that can follow `token`; nobody computes it without the key of this house."""
    return cipher.blind_index(token, "refresh_tokens.successor")


def check(
    form: Mapping[str, str],
    client: Client,
    confirmation: Mapping[str, str],
    cipher: FieldCipher,
    now: datetime,
) -> RefreshRequest:
    """Is the request well formed, and may this client make it? (RFC 6749 §6)"""
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client is not registered for refresh_token")
    token = parameter(form, "refresh_token")
    text = form.get("scope", "")
    if text and not SCOPE.match(text):
        raise InvalidScope("scope is not a space-separated list")
    successor = successor_of(cipher, token)
    return RefreshRequest(
        client=client,
        token_hash=store.sha256(token),
        successor=successor,
        successor_hash=store.sha256(successor),
        scopes=tuple(dict.fromkeys(text.split(" "))) if text else None,
        resources=resources.asked(form),
        now=now,
        jkt=confirmation.get("jkt", ""),
    )


def judge(
    request: RefreshRequest,
    token: StoredRefreshToken | None,
    successor: StoredRefreshToken | None,
) -> Verdict:
    """Does the request fit the stored token?

    1. It exists, has not expired, and its family lives.
    2. It belongs to this client (RFC 6749 §6), and to the key of this proof (RFC 9449 §5).
    3. Scope and resource stay within what was granted.
    4. Unused: rotate. Used a moment ago and its successor untouched: repeat. Else: reuse.
    """
    if token is None or token.expires_at <= request.now or token.family.expires_at <= request.now:
        return Verdict.UNKNOWN
    if not secrets.compare_digest(token.family.client_id, request.client.client_id):
        return Verdict.FOREIGN
    if token.family.revoked:
        return Verdict.UNKNOWN
    if token.family.authorization.jkt not in ("", request.jkt):
        return Verdict.KEY
    if token.used_at is not None and not _lost_answer(request, token, successor):
        return Verdict.REUSED
    granted = token.family.authorization
    if not set(request.scopes or ()) <= set(granted.scopes):
        return Verdict.SCOPE
    if not resources.granted(request.resources, request.client, granted):
        return Verdict.TARGET
    return Verdict.ROTATE if token.used_at is None else Verdict.REPEAT


def _lost_answer(
    request: RefreshRequest, token: StoredRefreshToken, successor: StoredRefreshToken | None
) -> bool:
    assert token.used_at is not None
    recent = request.now - token.used_at <= GRACE
    return recent and successor is not None and successor.used_at is None


def redeem(
    database: Database, tx: Tx, requests: Sequence[RefreshRequest]
) -> list[Refreshed | NotRefreshed]:
    """Apply a batch: one query per question, whatever the size of the batch.

    A token that somebody else rotated between our look and our UPDATE was rotated this very
    moment, by the same derivation: the answer is the same successor.
    """
    hashes = {each for r in requests for each in (r.token_hash, r.successor_hash)}
    stored = families.refresh_tokens_of(tx, hashes)
    results: list[Refreshed | NotRefreshed] = []
    rotating: dict[str, tuple[str, str]] = {}
    ending: dict[str, Family] = {}
    for request in requests:
        token = stored.get(request.token_hash)
        verdict = judge(request, token, stored.get(request.successor_hash))
        if token is not None and verdict in (Verdict.ROTATE, Verdict.REPEAT):
            results.append(_refreshed(request, token, verdict))
            if verdict is Verdict.ROTATE:
                rotating[request.token_hash] = (request.successor_hash, token.family.id)
        else:
            ended = token.family if token is not None and verdict is Verdict.REUSED else None
            if ended is not None:
                ending[ended.id] = ended
            results.append(NotRefreshed(verdict, ended))
    now = requests[0].now
    families.use_refresh_tokens(tx, rotating.keys(), now)
    families.add_refresh_tokens(tx, [*rotating.values()], now, now + IDLE_LIFETIME)
    families.revoke_families(
        database, tx, ending.keys(), "refresh_token_reuse", now, ACCESS_TOKEN_LIFETIME
    )
    return results


def _refreshed(request: RefreshRequest, token: StoredRefreshToken, verdict: Verdict) -> Refreshed:
    return Refreshed(
        token.family,
        request.successor,
        request.scopes or token.family.authorization.scopes,
        repeated=verdict is Verdict.REPEAT,
    )
