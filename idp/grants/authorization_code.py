"""A code becomes tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9700 §2.1.1).

- `check` reads the request, `judge` compares it with the stored code, `redeem` applies the verdicts
  of a batch. All three are needed for one answer; only the last touches the database.
- A code is used at most once: the DELETE … RETURNING decides, across processes. Who comes second
  ends the whole family (RFC 6749 §10.5).
- A wrong verifier or key burns the code: whoever stole it has one guess (RFC 9700 §4.5).
  A wrong *client* does not, or anybody who saw a code could take it from its owner.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from foundation.canonical import b64url
from foundation.database import Database, Tx
from idp import families, resources, store
from idp.errors import InvalidGrant, InvalidRequest, InvalidTarget, UnauthorizedClient
from idp.families import StoredCode
from idp.grants import parameter, refresh
from idp.models import Authorization, Client, Family
from idp.syntax import CODE_VERIFIER
from idp.tokens import ACCESS_TOKEN_LIFETIME

GRANT_TYPE = "authorization_code"
CODE_LIFETIME = timedelta(seconds=60)  # FAPI 2.0 §5.3.2.1: at most 60 seconds


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """A well-formed token request with a code, by an authenticated client."""

    client: Client
    code_hash: str
    redirect_uri: str
    code_challenge: str  # of the code_verifier that was sent; "" when none was
    now: datetime
    jkt: str = ""  # of the DPoP proof that came along
    resources: tuple[str, ...] = ()  # (): all that were granted


class Verdict(StrEnum):
    """What `judge` can find; the text is the error description (never which part was right)."""

    GOOD = ""
    UNKNOWN = "the code is unknown, expired or was used before"
    FOREIGN = "the code was issued to another client"
    REDIRECT = "redirect_uri is not the one of the authorization request"
    VERIFIER = "code_verifier does not match the code_challenge"
    TARGET = "resource goes beyond what was granted"
    KEY = "the code is bound to another DPoP key"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A code that became a family."""

    family: Family
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class NotRedeemed:
    """A code that did not. `reused`: the family that a second use has just ended."""

    verdict: Verdict
    reused: Family | None = None

    def error(self) -> InvalidGrant | InvalidTarget:
        if self.verdict is Verdict.TARGET:
            return InvalidTarget(self.verdict.value)
        return InvalidGrant(self.verdict.value)


def check(
    form: Mapping[str, str], client: Client, confirmation: Mapping[str, str], now: datetime
) -> CodeRequest:
    """Is the request well formed, and may this client make it?

    1. The client is registered for the grant.                                  RFC 6749 §5.2
    2. code and redirect_uri are there.                                         RFC 6749 §4.1.3
    3. code_verifier, when there, has the form of one.                          RFC 7636 §4.1
       Whether it must be there is known only with the code (`judge`).
    """
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client is not registered for authorization_code")
    code = parameter(form, "code")
    redirect_uri = parameter(form, "redirect_uri")
    verifier = form.get("code_verifier", "")
    if verifier and not CODE_VERIFIER.match(verifier):
        raise InvalidRequest("code_verifier must be 43 to 128 unreserved characters")
    challenge = challenge_of(verifier) if verifier else ""
    return CodeRequest(
        client,
        store.sha256(code),
        redirect_uri,
        challenge,
        now,
        confirmation.get("jkt", ""),
        resources.asked(form),
    )


def challenge_of(verifier: str) -> str:
    """S256 (RFC 7636 §4.2)."""
    return b64url(hashlib.sha256(verifier.encode("ascii")).digest())


def judge(request: CodeRequest, code: StoredCode | None) -> Verdict:
    """Does the request fit the stored code?

    1. It exists and is at most 60 seconds old.             RFC 6749 §4.1.2
    2. It was issued to this client.                        RFC 6749 §4.1.3
    3. redirect_uri is the same string.                     RFC 6749 §4.1.3
    4. The verifier fits the challenge; a verifier without a challenge is as wrong as a challenge
       without a verifier.                                  RFC 7636 §4.6, RFC 9700 §4.8.2
    5. A code bound to a DPoP key comes with a proof by it. RFC 9449 §10
    6. The resources stay within what was granted.          RFC 8707 §2.2
    """
    if code is None or code.expires_at <= request.now:
        return Verdict.UNKNOWN
    if not secrets.compare_digest(code.client_id, request.client.client_id):
        return Verdict.FOREIGN
    if not secrets.compare_digest(code.redirect_uri.encode(), request.redirect_uri.encode()):
        return Verdict.REDIRECT
    if not secrets.compare_digest(code.code_challenge, request.code_challenge):
        return Verdict.VERIFIER
    if code.authorization.jkt not in ("", request.jkt):
        return Verdict.KEY
    if not resources.granted(request.resources, request.client, code.authorization):
        return Verdict.TARGET
    return Verdict.GOOD


def redeem(
    database: Database, tx: Tx, requests: Sequence[CodeRequest]
) -> list[Redeemed | NotRedeemed]:
    """Apply a batch: one query per question, whatever the size of the batch.

    1. Judge every request against the stored codes.
    2. Take the good and the burnt ones; a code that is gone by now was taken by someone faster.
    3. A taken code becomes a family, with a refresh token when the client may have one.
    4. An unknown code that once became a family was used twice: end that family.
    """
    stored = families.codes(tx, {request.code_hash for request in requests})
    verdicts: list[Verdict] = []
    spoken_for: set[str] = set()
    for request in requests:
        fresh = None if request.code_hash in spoken_for else stored.get(request.code_hash)
        verdicts.append(judge(request, fresh))
        if verdicts[-1] in (Verdict.GOOD, Verdict.VERIFIER, Verdict.KEY):
            spoken_for.add(request.code_hash)
    taken = families.take_codes(tx, spoken_for)

    results: list[Redeemed | NotRedeemed] = []
    for request, verdict in zip(requests, verdicts, strict=True):
        if verdict is Verdict.GOOD and request.code_hash in taken:
            results.append(_grow(request, stored[request.code_hash]))
        else:
            results.append(NotRedeemed(verdict or Verdict.UNKNOWN))
    _store(tx, requests, results)
    return _end_reused(database, tx, requests, results)


def _grow(request: CodeRequest, code: StoredCode) -> Redeemed:
    token = refresh.new_token() if _may_refresh(request.client, code.authorization) else None
    lifetime = refresh.FAMILY_LIFETIME if token else ACCESS_TOKEN_LIFETIME + timedelta(minutes=5)
    family = Family(
        id=secrets.token_urlsafe(16),
        client_id=code.client_id,
        authorization=_bound(code.authorization, request),
        created_at=request.now,
        expires_at=request.now + lifetime,
        revoked=False,
    )
    return Redeemed(family, token)


def _bound(authorization: Authorization, request: CodeRequest) -> Authorization:
    """A public client's refresh tokens are bound to its key; a confidential client's are bound to
    its authentication already, and it may change its key (RFC 9449 §5)."""
    return replace(authorization, jkt="" if request.client.confidential else request.jkt)


def _may_refresh(client: Client, authorization: Authorization) -> bool:
    """A refresh token needs the grant type, and with OpenID Connect the person's yes to
    offline_access (OIDC Core §11)."""
    offline = "openid" not in authorization.scopes or "offline_access" in authorization.scopes
    return refresh.GRANT_TYPE in client.grant_types and offline


def _store(
    tx: Tx,
    requests: Sequence[CodeRequest],
    results: Sequence[Redeemed | NotRedeemed],
) -> None:
    grown = [
        (request, result)
        for request, result in zip(requests, results, strict=True)
        if isinstance(result, Redeemed)
    ]
    if not grown:
        return
    now = grown[0][0].now
    families.add_families(tx, [(result.family, request.code_hash) for request, result in grown])
    fresh = [
        (store.sha256(result.refresh_token), result.family.id)
        for _, result in grown
        if result.refresh_token is not None
    ]
    families.add_refresh_tokens(tx, fresh, now, now + refresh.IDLE_LIFETIME)


def _end_reused(
    database: Database,
    tx: Tx,
    requests: Sequence[CodeRequest],
    results: Sequence[Redeemed | NotRedeemed],
) -> list[Redeemed | NotRedeemed]:
    """RFC 6749 §4.1.2: revoke all tokens that were issued on a code that comes again."""
    unknown = _hashes_of(requests, results, Verdict.UNKNOWN)
    reused = families.families_of_codes(tx, unknown)
    if not reused:
        return list(results)
    now = requests[0].now
    ids = [family.id for family in reused.values()]
    families.revoke_families(database, tx, ids, "code_reuse", now, ACCESS_TOKEN_LIFETIME)
    ended = set(ids)
    final: list[Redeemed | NotRedeemed] = []
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, Redeemed):  # used twice within this very batch: nobody gets it
            lost = result.family.id in ended
            final.append(NotRedeemed(Verdict.UNKNOWN, result.family) if lost else result)
        else:
            family = reused.get(request.code_hash) if result.verdict is Verdict.UNKNOWN else None
            final.append(NotRedeemed(result.verdict, family))
    return final


def _hashes_of(
    requests: Sequence[CodeRequest],
    results: Collection[Redeemed | NotRedeemed],
    verdict: Verdict,
) -> frozenset[str]:
    return frozenset(
        request.code_hash
        for request, result in zip(requests, results, strict=True)
        if isinstance(result, NotRedeemed) and result.verdict is verdict
    )
