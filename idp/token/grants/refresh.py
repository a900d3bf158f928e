"""A refresh token gets new tokens (RFC 6749 §6, RFC 9700 §4.14.2): rotation with a short memory.

- A family's refresh tokens are numbered. Each is derived by HMAC from its number and the hash of
  the family's code, under a key of this service; only the number of the live one is stored. Who has
  the database or the key alone can make none, and a token that we never gave out ends nothing.
- Where the client's profile rotates, every use does. A client whose answer got lost on the way asks
  again within the grace and receives the *same* successor. Under `fapi2` nothing rotates: the token
  is bound to the client, and a lost answer costs nobody their sign-in (FAPI 2.0 §5.3.2.1 no. 9).
- After the grace, while the successor is unused, whoever proves to be the client (authentication,
  certificate, or the DPoP key of the family) receives that successor still; it is an entry of its
  own, and the person is told. Whoever proves nothing may be a thief: the family ends.
- A token whose successor was used means that two parties hold it: the family ends for everybody,
  and the person can see it.
- Scopes and resources can only shrink (RFC 6749 §6).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from foundation.database import Tx
from foundation.encryption import FieldCipher
from foundation.ids import UUID_LENGTH
from idp.models import SESSION_LIFETIME, Client
from idp.protocol import resources, scopes
from idp.protocol.authorizations import Authorization, Family
from idp.protocol.errors import InvalidGrant, InvalidScope, InvalidTarget, OAuthError
from idp.protocol.grant_types import GrantTypes, of_client
from idp.protocol.policy import Policy
from idp.protocol.profiles import rules_of
from idp.protocol.syntax import parameter
from idp.store import families
from idp.token.grants.grant_type import GrantType, NotRedeemed
from idp.token.grants.person_claims import with_claims
from idp.token.tokens import ACCESS_TOKEN_LIFETIME, Grant
from ledger import Entry

GRACE = Policy().refresh_grace
IDLE_LIFETIME = timedelta(days=14)
FAMILY_LIFETIME = timedelta(days=90)
_NUMBERED = UUID_LENGTH + 8  # where the name of a token ends


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """A well-formed refresh request by an authenticated client."""

    client: Client
    family: str  # that the token names
    token: str
    scopes: tuple[str, ...] | None  # None: all that was granted
    resources: tuple[str, ...]  # (): all that were granted
    now: datetime
    jkt: str = ""  # of the DPoP proof that came along


class RefreshVerdict(StrEnum):
    """What `judge` can find; the text is the error description."""

    ROTATE = "rotate"
    KEEP = "keep"
    REPEAT = "repeat"
    LATE = "repeat, late"
    REUSED = "the refresh token was used before; every token of this sign-in has been revoked"
    UNKNOWN = "the refresh token is unknown, expired or revoked"
    FOREIGN = "the refresh token was issued to another client"
    KEY = "the refresh token is bound to another DPoP key"
    SCOPE = "scope goes beyond what was granted"
    TARGET = "resource goes beyond what was granted"


_GRANTED = frozenset(
    (RefreshVerdict.ROTATE, RefreshVerdict.KEEP, RefreshVerdict.REPEAT, RefreshVerdict.LATE)
)
_ERRORS: Mapping[RefreshVerdict, type[OAuthError]] = {
    RefreshVerdict.SCOPE: InvalidScope,
    RefreshVerdict.TARGET: InvalidTarget,
}


def may_follow(client: Client, authorization: Authorization) -> bool:
    """A refresh token needs the grant type, and with OpenID Connect the person's yes to
    offline_access (OIDC Core §11); without it, a client that hears of sign-outs, or is registered
    so, may refresh until the session ends."""
    if RefreshToken.grant_type not in client.grant_types:
        return False
    return not _online(authorization) or bool(
        client.backchannel_logout_uri or client.refresh_ends_with_session
    )


def ends_at(authorization: Authorization, now: datetime) -> datetime:
    """When a family with refresh tokens that begins `now` ends: with the session at the latest,
    where the person did not say yes to offline_access. "Access to the End-User's UserInfo Endpoint
    even when the End-User is not present" is what that scope is for (OIDC Core §11)."""
    last = now + FAMILY_LIFETIME
    if not _online(authorization):
        return last
    return min(last, datetime.fromtimestamp(authorization.auth_time, UTC) + SESSION_LIFETIME)


def _online(authorization: Authorization) -> bool:
    return "openid" in authorization.scopes and authorization.ends_with_session


def live_token(cipher: FieldCipher, family: Family) -> str:
    """The one refresh token of the family that counts now."""
    return _token(cipher, family, family.refresh_number)


def number_of(cipher: FieldCipher, family: Family | None, token: str) -> int:
    """Which refresh token of the family this is; 0 when it is none."""
    if family is None:
        return 0
    try:
        number = int(token[UUID_LENGTH:_NUMBERED], 16)
    except ValueError:
        return 0
    same = secrets.compare_digest(_token(cipher, family, number).encode(), token.encode())
    return number if same else 0


def live_until(family: Family) -> datetime:
    """When the live refresh token ends unless it is used."""
    if family.issued_at is None:
        return family.expires_at
    return min(family.expires_at, family.issued_at + IDLE_LIFETIME)


def _token(cipher: FieldCipher, family: Family, number: int) -> str:
    name = f"{family.id}{number:08x}"
    return name + cipher.blind_index(f"{name}{family.code_hash}", "refresh token")


def judge(
    request: RefreshRequest, family: Family | None, number: int, grace: timedelta = GRACE
) -> RefreshVerdict:
    """Does the request fit the stored family? `number`: which of its tokens came.

    1. It is a token of a family that lives.
    2. It belongs to this client (RFC 6749 §6), and to the key of this proof (RFC 9449 §5).
    3. Scope and resource stay within what was granted.
    4. The live one: rotate, or keep it where nothing rotates. The one before it, so that its
       successor is unused: repeat within the grace, and later to whoever proves to be the client.
       Any older: reuse.                                                    RFC 9700 §4.14.2
    """
    if family is None or not 0 < number <= family.refresh_number:
        return RefreshVerdict.UNKNOWN
    if live_until(family) <= request.now:
        return RefreshVerdict.UNKNOWN
    if not secrets.compare_digest(family.client_id, request.client.client_id):
        return RefreshVerdict.FOREIGN
    if family.revoked:
        return RefreshVerdict.UNKNOWN
    granted = family.authorization
    if granted.jkt not in ("", request.jkt):
        return RefreshVerdict.KEY
    verdict = _of_number(request, family, number, grace)
    if verdict is RefreshVerdict.REUSED:
        return verdict
    if not set(request.scopes or ()) <= set(granted.scopes):
        return RefreshVerdict.SCOPE
    if not resources.granted(request.resources, request.client, granted):
        return RefreshVerdict.TARGET
    return verdict


def _of_number(
    request: RefreshRequest, family: Family, number: int, grace: timedelta
) -> RefreshVerdict:
    rotates = rules_of(request.client).rotates_refresh_tokens
    if number == family.refresh_number:
        return RefreshVerdict.ROTATE if rotates else RefreshVerdict.KEEP
    # Where nothing rotates, nobody knows whether the live one was used since.
    if not rotates or number != family.refresh_number - 1:
        return RefreshVerdict.REUSED
    assert family.issued_at is not None
    if request.now - family.issued_at <= grace:
        return RefreshVerdict.REPEAT
    proven = request.client.confidential or family.authorization.jkt != ""
    return RefreshVerdict.LATE if proven else RefreshVerdict.REUSED


class RefreshToken(GrantType[RefreshRequest]):
    """Only beside a grant type that a refresh token may come with."""

    grant_type = label = "refresh_token"
    parameters = ("refresh_token", "scope", "resource")
    repeated = resources.REPEATED

    @classmethod
    def objection(cls, client: Client, offered: GrantTypes) -> str:
        """Objects when no other grant type of the client gives out refresh tokens."""
        if any(each.refreshable for each in of_client(client, offered)):
            return ""
        names = [each.grant_type for each in offered.values() if each.refreshable]
        return f"refresh_token needs {' or '.join(each.rpartition(':')[2] for each in names)}"

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> RefreshRequest:
        """Is the request well formed? (RFC 6749 §6)"""
        token = parameter(form, "refresh_token")
        return RefreshRequest(
            client=client,
            family=families.family_in(token),
            token=token,
            scopes=scopes.understood(form.get("scope", ""), client) or None,
            resources=resources.asked(form),
            now=now,
            jkt=confirmation.get("jkt", ""),
        )

    def redeem(self, tx: Tx, requests: Sequence[RefreshRequest]) -> list[Grant | NotRedeemed]:
        """Apply a batch: one query per question, whatever the size of the batch.

        Each request is judged against its family as the requests before it left it, so the same
        token twice in one batch is one rotation with the same answer.
        """
        now, cipher = requests[0].now, self._database.cipher
        stored = families.families(tx, {request.family for request in requests}, lock=True)
        results: list[Grant | NotRedeemed] = []
        rotating: set[str] = set()
        kept: set[str] = set()
        ending: set[str] = set()
        for request in requests:
            family = stored.get(request.family)
            number = number_of(cipher, family, request.token)
            verdict = judge(request, family, number, self._policy.refresh_grace)
            if family is not None and verdict in _GRANTED:
                results.append(_refreshed(cipher, request, family, verdict))
                if verdict is RefreshVerdict.ROTATE:
                    rotating.add(family.id)
                    next_number = family.refresh_number + 1
                    stored[family.id] = replace(family, refresh_number=next_number, issued_at=now)
                elif verdict is RefreshVerdict.KEEP:
                    kept.add(family.id)
            elif family is not None and verdict is RefreshVerdict.REUSED:
                results.append(_refused(verdict, family))
                ending.add(family.id)
                stored[family.id] = replace(family, revoked=True)
            else:
                results.append(_refused(verdict))
        if rotating:
            families.rotate(tx, rotating, now)
        if kept:
            families.touch(tx, kept, now)
        families.revoke_families(
            self._database, tx, ending, "refresh_token_reuse", now, ACCESS_TOKEN_LIFETIME
        )
        return with_claims(tx, results, now)

    def entries(self, request: RefreshRequest, result: Grant | NotRedeemed) -> Sequence[Entry]:
        """One more for tokens that were given again late: the person reads it among their own."""
        entries = super().entries(request, result)
        if not isinstance(result, Grant) or not result.late:
            return entries
        return [*entries, _given_late(request, result)]


def _given_late(request: RefreshRequest, grant: Grant) -> Entry:
    assert grant.authorization is not None
    return Entry(
        kind="idp.refresh_repeated",
        actor=request.client.actor,
        at=request.now,
        subject=grant.authorization.subject,
        verdict="refresh_token_repeated",
        details={"family": grant.family},
    )


def _refused(verdict: RefreshVerdict, ended: Family | None = None) -> NotRedeemed:
    error = _ERRORS.get(verdict, InvalidGrant)(verdict.value)
    return NotRedeemed(error, ended, "refresh_token_reuse")


def _refreshed(
    cipher: FieldCipher, request: RefreshRequest, family: Family, verdict: RefreshVerdict
) -> Grant:
    number = family.refresh_number + (verdict is RefreshVerdict.ROTATE)
    authorization = family.authorization
    return Grant(
        client=request.client,
        scopes=request.scopes or authorization.scopes,
        resources=request.resources or authorization.resources,
        family=family.id,
        authorization=authorization,
        refresh_token=_token(cipher, family, number),
        late=verdict is RefreshVerdict.LATE,
    )
