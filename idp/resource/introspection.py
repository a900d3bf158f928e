"""Introspection: does this token count, and what may its asker know of it? (RFC 7662, RFC 9701)

- Two may ask: the client a token was issued to, and the resource server it is meant for. To
  everybody else, and for whatever is not a live token, the answer is `{"active": false}` and
  nothing more (RFC 7662 §2.2, §4): why it does not count is nobody's business.
- A resource server may ask for the answer as a signed token, which proves later what it was told
  (RFC 9701); with a registered encryption key only it can read that.
- The claims shown are those of `SHOWN`; what a token carries for us alone is not among them.
- A resource server asks the same for each request it gets. Who sends which question is a fact that
  an exact request states once and for all, so one that comes back is read no more (`again`).
  Whether asker and token still count is asked of the database every time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from foundation.batching import (
    HotAnswer,
    HotRequest,
    Loader,
)
from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Unavailable
from idp.clients.credentials import read_credentials
from idp.clients.service import Clients
from idp.models import Client, RegisteredClient
from idp.protocol import encryption
from idp.protocol.authorizations import Family
from idp.protocol.errors import InvalidClient, InvalidToken
from idp.protocol.subjects import subject_for
from idp.protocol.syntax import parameter
from idp.resource.access import TokenReader
from idp.store import families
from idp.token.grants import refresh
from idp.token.standing import ids_of
from idp.token.tokens import Tokens, VerifiedToken

JWT_TYPE: Final = "token-introspection+jwt"
MEDIA_TYPE: Final = f"application/{JWT_TYPE}"
INACTIVE: Final[Mapping[str, Any]] = {"active": False}
SHOWN: Final = frozenset(
    {
        *("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"),  # RFC 7662 §2.2
        *("auth_time", "acr", "amr"),  # RFC 9470 §6.2: step-up is decided by them
        "cnf",  # RFC 8705 §3.2, RFC 9449 §6.2
        *("act", "may_act"),  # RFC 8693 §4: who acts is never dropped on the way
    }
)


_REMEMBERED: Final = 8_192  # requests
_BY_SECRET: Final = ("client_secret_basic", "client_secret_post")


@dataclass(slots=True)
class IntrospectionAnswer:
    """What is told to `asker`; as a token when `signed` is there. `token` is the access token that
    was asked about, if it counts."""

    asker: Client
    body: Mapping[str, Any]
    signed: str = ""
    token: VerifiedToken | None = None


@dataclass(frozen=True, slots=True)
class _Understood:
    """What an exact request says: the client that it authenticates, in one version of its
    registration, and the access token it is about. `told` holds while both count."""

    asker: Client
    token: VerifiedToken
    told: HotAnswer


@dataclass(slots=True, eq=False)
class _Question:
    """What the database is asked for one request: who asks, and about which access token.

    `token` is what `text` says, once it was read.
    """

    client_id: str
    text: str
    token: VerifiedToken | None = None


class Introspection:
    """`await introspection.answer(request, form)`."""

    def __init__(
        self,
        database: Database,
        clients: Clients,
        tokens: Tokens,
        access: TokenReader,
        clock: Clock,
    ) -> None:
        self._database = database
        self._clients = clients
        self._tokens = tokens
        self._access = access
        self._clock = clock
        self._questions = Loader(database, self._look_up, before=self._read)
        self._families = Loader(database, families.families)
        self._heard = _Heard()
        self._understood: Bounded[bytes, _Understood] = Bounded(_REMEMBERED)

    async def answer(self, request: HotRequest, form: Mapping[str, str]) -> IntrospectionAnswer:
        """Answer an introspection request (RFC 7662 §2).

        1. The token is read; the database is asked once, about the asker and the token.
        2. The asker authenticates; a client that cannot is refused (§2.1).
        3. token is there. token_type_hint only hints, so the token's form decides (§2.1).
        4. The token counts, and this asker may know it: else it is inactive (§2.2).
        5. Asked for by media type, the answer is a JWT (RFC 9701 §4, §5).
        Raises `InvalidClient`, `InvalidRequest`.
        """
        # 1.
        credentials = read_credentials(request.headers, form)
        question = _Question(credentials.client_id, form.get("token", ""))
        registered, counts = await self._questions.get(question) or (None, False)
        # 2.
        asker = await self._clients.prove(request, credentials, registered)
        if not asker.confidential:
            raise InvalidClient("introspection needs client authentication")
        # 3.
        text = parameter(form, "token")
        # 4.
        token = question.token
        if token is not None and not (counts and may_know(asker, token)):
            token = None
        body = INACTIVE if token is None else described(token)
        if "." not in text:
            body = await self._refresh_token(text, asker)
        # 5.
        if not wants_token(request.headers.get("accept", "")):
            return IntrospectionAnswer(asker, body, token=token)
        claims = statement(body, asker, self._tokens.issuer, self._clock())
        signed = await self._tokens.signed(asker, claims, typ=JWT_TYPE)
        asker = await self._clients.with_keys(asker, "introspection")
        return IntrospectionAnswer(
            asker, body, encryption.for_client(asker, "introspection", signed)
        )

    async def again(self, request: HotRequest) -> HotAnswer | None:
        """The answer to a request that was understood before; None sends it the whole way.

        1. It is the same to the byte.
        2. The token is still ours and in time.
        3. It was not revoked, and the asker neither disabled nor changed.
        """
        # 1.
        if not self._heard.before(request):
            return None
        understood = self._understood.get(_fingerprint(request))
        # 2.
        if understood is None or not self._tokens.is_still_good(understood.token, self._clock()):
            return None
        # 3.
        try:
            question = _Question(understood.asker.client_id, "", understood.token)
            registered, counts = await self._questions.get(question) or (None, False)
        except Unavailable:
            return None
        same = registered and registered.client is understood.asker and not registered.disabled
        return understood.told if same and counts else None

    def understand(self, request: HotRequest, answer: IntrospectionAnswer, told: HotAnswer) -> None:
        """Remember a request for `again` if it came before, and if nothing but the database can
        change its answer: an assertion counts once, a certificate is the connection's.

        Most requests never come back: of the first time only a number is kept.
        """
        if answer.token is None or answer.asker.token_endpoint_auth_method not in _BY_SECRET:
            return
        if self._heard.before(request):
            understood = _Understood(answer.asker, answer.token, told)
            self._understood.put(_fingerprint(request), understood)
        else:
            self._heard.add(request)

    def close(self) -> None:
        """Finish the reads that were given, then end their threads."""
        self._questions.close()
        self._families.close()

    def _read(self, questions: Sequence[_Question]) -> None:
        """Verify the tokens of all questions of one tick, one right after the other."""
        for each in questions:
            if "." in each.text:
                each.token = self._verified(each.text)

    def _verified(self, text: str) -> VerifiedToken | None:
        """An access token of ours that is in time. As at every API of ours, anybody may have it
        verified; what comes of it is for the asker who has authenticated.
        """
        try:
            return self._tokens.verify_access_token(text, audience=None, now=self._clock())
        except InvalidToken:
            return None

    def _look_up(
        self, tx: Tx, questions: Sequence[_Question]
    ) -> dict[_Question, tuple[RegisteredClient | None, bool]]:
        """The asker, and whether the token counts."""
        tokens = {each: ids_of(each.token) for each in questions if each.token is not None}
        ids = {each.client_id for each in questions}
        ids.update(each.client_id for each in tokens.values())
        known = self._clients.known(tx, list(ids))
        standings = self._access.standings(tx, tokens.values(), known)
        return {
            each: (known.get(each.client_id), tokens.get(each) in standings) for each in questions
        }

    async def _refresh_token(self, text: str, asker: Client) -> Mapping[str, Any]:
        family = await self._families.get(families.family_in(text))
        number = refresh.number_of(self._database.cipher, family, text)
        if family is None or not is_live(family, number, asker, self._clock()):
            return INACTIVE
        authorization = family.authorization
        return {
            "active": True,
            "iss": self._tokens.issuer,
            "client_id": asker.client_id,
            "sub": subject_for(self._database.cipher, asker, authorization.person_id),
            "scope": " ".join(authorization.scopes),
            "exp": int(refresh.live_until(family).timestamp()),
        }


class _Heard:
    """Which requests came before, not long ago: for each a number that no outsider can foresee.

    A hint only. Two requests with one number cost a look that finds nothing.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def before(self, request: HotRequest) -> bool:
        number = self._number(request)
        return number in self._recent or number in self._older

    def add(self, request: HotRequest) -> None:
        if len(self._recent) >= _REMEMBERED // 2:
            self._recent, self._older = set(), self._recent
        self._recent.add(self._number(request))

    def _number(self, request: HotRequest) -> int:
        return hash((request.headers.get("authorization"), request.body))


def _fingerprint(request: HotRequest) -> bytes:
    """Everything that `answer` looks at; no header holds a line break."""
    names = ("authorization", "content-type", "accept")
    head = "\n".join([request.headers.get(name, "") for name in names])
    return hashlib.sha256(b"%b\n%b" % (head.encode("latin-1"), request.body)).digest()


def may_know(asker: Client, token: VerifiedToken) -> bool:
    """The token's own client, or the resource server among its audience (RFC 7662 §4)."""
    audience = token.claims.get("aud")
    served = audience if isinstance(audience, list) else [audience]
    return token.client_id == asker.client_id or bool(
        asker.resource_server and asker.resource_server in served
    )


def described(token: VerifiedToken) -> dict[str, Any]:
    """A live access token in the words of RFC 7662 §2.2."""
    shown = {name: value for name, value in token.claims.items() if name in SHOWN}
    kind = "DPoP" if "jkt" in shown.get("cnf", ()) else "Bearer"
    return {"active": True, "token_type": kind, **shown}


def is_live(family: Family, number: int, asker: Client, now: datetime) -> bool:
    """A refresh token counts while it is its client's, the last one, and its family lives."""
    live = 0 < number == family.refresh_number and refresh.live_until(family) > now
    return live and not family.revoked and family.client_id == asker.client_id


def statement(
    body: Mapping[str, Any], asker: Client, issuer: str, now: datetime
) -> Mapping[str, Any]:
    """The claims of a signed answer (RFC 9701 §5): no sub and no exp beside the answer itself, so
    that it can never be taken for an access token."""
    return {
        "iss": issuer,
        "aud": asker.client_id,
        "iat": int(now.timestamp()),
        "token_introspection": dict(body),
    }


def wants_token(accept: str) -> bool:
    """Whether the Accept header names the signed form (RFC 9701 §4); `*/*` does not."""
    asked = accept.lower()
    return MEDIA_TYPE in asked and any(
        media_type.strip() == MEDIA_TYPE and not _refused(parameters)
        for media_type, _, parameters in (each.partition(";") for each in asked.split(","))
    )


def _refused(parameters: str) -> bool:
    """q=0: "anything but this" (RFC 9110 §12.4.2)."""
    qualities = (each.strip().partition("=") for each in parameters.split(";"))
    return any(name == "q" and value.strip("0.") == "" for name, _, value in qualities)
