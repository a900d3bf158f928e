"""A code becomes tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9700 §2.1.1).

- `check` reads the request, `judge` compares it with the stored code, `redeem` applies the verdicts
  of a batch. All three are needed for one answer; only the last touches the database.
- A code is used at most once: its row is locked while it is judged, across processes. Who comes
  second ends the whole family (RFC 6749 §10.5).
- A wrong verifier or key burns the code: whoever stole it has one guess (RFC 9700 §4.5).
  A wrong *client* does not, or anybody who saw a code could take it from its owner.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from foundation.canonical import b64url
from foundation.database import Database, Tx
from foundation.encryption import FieldCipher
from idp.models import Client
from idp.protocol import resources
from idp.protocol.authorizations import Authorization, Family
from idp.protocol.errors import InvalidGrant, InvalidRequest, InvalidTarget
from idp.protocol.syntax import CODE_VERIFIER, parameter
from idp.store import digests, families
from idp.store.families import StoredCode
from idp.token.grants import refresh
from idp.token.grants.grant_type import GrantType, NotRedeemed
from idp.token.grants.person_claims import with_claims
from idp.token.tokens import ACCESS_TOKEN_LIFETIME, Grant

CODE_LIFETIME = timedelta(seconds=60)  # FAPI 2.0 §5.3.2.1: at most 60 seconds
_ONE_ACCESS_TOKEN = ACCESS_TOKEN_LIFETIME + timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """A well-formed token request with a code, by an authenticated client."""

    client: Client
    family: str  # that the code names
    code_hash: str
    redirect_uri: str
    code_challenge: str  # of the code_verifier that was sent; "" when none was
    now: datetime
    jkt: str = ""  # of the DPoP proof that came along
    resources: tuple[str, ...] = ()  # (): all that were granted


class CodeVerdict(StrEnum):
    """What `judge` can find; the text is the error description (never which part was right)."""

    GOOD = ""
    UNKNOWN = "the code is unknown or has expired"
    USED = "the code was used before; every token of this sign-in has been revoked"
    FOREIGN = "the code was issued to another client"
    REDIRECT = "redirect_uri is not the one of the authorization request"
    VERIFIER = "code_verifier does not match the code_challenge"
    TARGET = "resource goes beyond what was granted"
    KEY = "the code is bound to another DPoP key"


_BURNS = frozenset((CodeVerdict.VERIFIER, CodeVerdict.KEY))
_SPENDS = _BURNS | {CodeVerdict.GOOD, CodeVerdict.USED}


@dataclass(frozen=True, slots=True)
class _Taken:
    """A code that became a family."""

    family: Family
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class _Left:
    """A code that did not. `reused`: the family that a second use has just ended."""

    verdict: CodeVerdict
    reused: Family | None = None


def new_code(family: str) -> str:
    """The id of the family that the code begins, and 256 random bits."""
    return family + secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """S256 (RFC 7636 §4.2)."""
    return b64url(hashlib.sha256(verifier.encode("ascii")).digest())


def judge(request: CodeRequest, code: StoredCode | None) -> CodeVerdict:
    """Does the request fit the stored code?

    1. It exists and was not used.                          RFC 6749 §4.1.2, §10.5
       It is at most 60 seconds old, and its family was not ended.
    2. It was issued to this client.                        RFC 6749 §4.1.3
    3. The redirect_uri is the same.                        RFC 6749 §4.1.3
    4. The verifier fits the challenge; a verifier without a challenge is as wrong as a challenge
       without a verifier.                                  RFC 7636 §4.6, RFC 9700 §4.8.2
    5. A code bound to a DPoP key comes with a proof by it. RFC 9449 §10
    6. The resources stay within what was granted.          RFC 8707 §2.2
    """
    if code is None or not secrets.compare_digest(code.family.code_hash, request.code_hash):
        return CodeVerdict.UNKNOWN
    family = code.family
    if family.issued_at is not None:
        return CodeVerdict.USED
    if family.revoked or family.expires_at <= request.now:
        return CodeVerdict.UNKNOWN
    if not secrets.compare_digest(family.client_id, request.client.client_id):
        return CodeVerdict.FOREIGN
    if not secrets.compare_digest(code.redirect_uri.encode(), request.redirect_uri.encode()):
        return CodeVerdict.REDIRECT
    if not secrets.compare_digest(code.code_challenge, request.code_challenge):
        return CodeVerdict.VERIFIER
    if family.authorization.jkt not in ("", request.jkt):
        return CodeVerdict.KEY
    if not resources.granted(request.resources, request.client, family.authorization):
        return CodeVerdict.TARGET
    return CodeVerdict.GOOD


class AuthorizationCode(GrantType[CodeRequest]):
    """What a browser brought back from the authorization endpoint."""

    grant_type = label = "authorization_code"
    parameters = ("code", "redirect_uri", "code_verifier", "resource")
    repeated = resources.REPEATED
    response_types = ("code",)
    refreshable = True
    by_default = True

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> CodeRequest:
        """Is the request well formed?

        1. code and redirect_uri are there.                                     RFC 6749 §4.1.3
        2. code_verifier, when there, has the form of one.                      RFC 7636 §4.1
           Whether it must be there is known only with the code (`judge`).
        """
        code = parameter(form, "code")
        redirect_uri = parameter(form, "redirect_uri")
        verifier = form.get("code_verifier", "")
        if verifier and not CODE_VERIFIER.match(verifier):
            raise InvalidRequest("code_verifier must be 43 to 128 unreserved characters")
        challenge = challenge_of(verifier) if verifier else ""
        return CodeRequest(
            client,
            families.family_in(code),
            digests.sha256(code),
            redirect_uri,
            challenge,
            now,
            confirmation.get("jkt", ""),
            resources.asked(form),
        )

    def redeem(self, tx: Tx, requests: Sequence[CodeRequest]) -> list[Grant | NotRedeemed]:
        """Apply a batch: one query per question, whatever the size of the batch.

        1. Judge every request, in turn, against its code as the requests before it left it.
        2. A good code becomes a family, with a refresh token when the client may have one.
        3. A burnt code is worth nothing to whoever comes next.
        4. A code that was used twice ends its family, be it in this very batch.
        5. The claims that were asked for the ID token are read.         OIDC Core §5.5
        """
        now = requests[0].now
        stored = families.codes(tx, {request.family for request in requests})
        left = dict(stored)
        results = [_take(self._database.cipher, request, left, now) for request in requests]
        grown = [result.family for result in results if isinstance(result, _Taken)]
        _begin(tx, grown, now)
        for family in grown:
            if family.authorization is not stored[family.id].family.authorization:
                families.authorize(tx, family)
        for request, result in zip(requests, results, strict=True):
            if isinstance(result, _Left) and result.verdict in _BURNS:
                families.end_codes(tx, now, "code_burnt", id=request.family)
        left_over = _end_reused(self._database, tx, results, now)
        answers = [_answer(*each) for each in zip(requests, left_over, strict=True)]
        return with_claims(tx, answers, now)


def _take(
    cipher: FieldCipher, request: CodeRequest, left: dict[str, StoredCode], now: datetime
) -> _Taken | _Left:
    """What comes of one request; `left` holds the codes as the next one shall find them."""
    code = left.get(request.family)
    verdict = judge(request, code)
    if code is None or verdict not in _SPENDS:
        return _Left(verdict)
    if verdict is CodeVerdict.USED:
        return _Left(verdict, code.family)
    result = _Left(verdict) if verdict in _BURNS else _grow(cipher, request, code, now)
    spent = result.family if isinstance(result, _Taken) else replace(code.family, revoked=True)
    left[request.family] = StoredCode(spent, code.redirect_uri, code.code_challenge)
    return result


def _grow(cipher: FieldCipher, request: CodeRequest, code: StoredCode, now: datetime) -> _Taken:
    authorization = code.family.authorization
    may_refresh = refresh.may_follow(request.client, authorization)
    family = Family(
        id=code.family.id,
        client_id=code.family.client_id,
        authorization=_bound(authorization, request),
        code_hash=code.family.code_hash,
        expires_at=(
            refresh.ends_at(authorization, now) if may_refresh else now + _ONE_ACCESS_TOKEN
        ),
        issued_at=now,
        refresh_number=1 if may_refresh else 0,
    )
    return _Taken(family, refresh.live_token(cipher, family) if may_refresh else None)


def _bound(authorization: Authorization, request: CodeRequest) -> Authorization:
    """A public client's refresh tokens are bound to its key; a confidential client's are bound to
    its authentication already, and it may change its key (RFC 9449 §5)."""
    jkt = "" if request.client.confidential else request.jkt
    return authorization if authorization.jkt == jkt else replace(authorization, jkt=jkt)


def _begin(tx: Tx, grown: Sequence[Family], now: datetime) -> None:
    """One statement for all that end at the same time, as all but those of a session do."""
    alike: dict[tuple[datetime, int], list[str]] = {}
    for family in grown:
        alike.setdefault((family.expires_at, family.refresh_number), []).append(family.id)
    for (expires_at, refresh_number), ids in alike.items():
        families.begin(tx, ids, now, expires_at, refresh_number)


def _end_reused(
    database: Database, tx: Tx, results: list[_Taken | _Left], now: datetime
) -> list[_Taken | _Left]:
    """RFC 6749 §4.1.2: revoke all tokens that were issued on a code that comes again."""
    ended = {
        result.reused.id
        for result in results
        if isinstance(result, _Left) and result.reused is not None
    }
    if not ended:
        return results
    families.revoke_families(database, tx, ended, "code_reuse", now, ACCESS_TOKEN_LIFETIME)
    return [
        _Left(CodeVerdict.USED, result.family)
        if isinstance(result, _Taken) and result.family.id in ended
        else result
        for result in results
    ]


def _answer(request: CodeRequest, result: _Taken | _Left) -> Grant | NotRedeemed:
    if isinstance(result, _Left):
        beyond = result.verdict is CodeVerdict.TARGET
        error = (InvalidTarget if beyond else InvalidGrant)(result.verdict.value)
        return NotRedeemed(error, result.reused, "code_reuse")
    authorization = result.family.authorization
    return Grant(
        client=request.client,
        scopes=authorization.scopes,
        resources=request.resources or authorization.resources,
        family=result.family.id,
        authorization=authorization,
        refresh_token=result.refresh_token,
        nonce=authorization.nonce,
    )
