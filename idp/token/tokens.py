"""Tokens: what this provider signs, and how our own access tokens are read back.

- Access tokens are JWTs of type `at+jwt` (RFC 9068); ID tokens are `JWT` with our issuer and the
  client as audience (OIDC Core §2). The two types can never stand in for one another (RFC 8725
  §3.11), because every reader demands its `typ`.
- `sub` of a client's own token is its client_id; of a person's, an id that no client can have
  (RFC 9700 §4.15).
- `verify` answers only what a signature and a clock can tell. Whether a token was revoked is a
  question to the database (`Idp.standing`), asked for every request.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.canonical import b64url
from idp.models import Client
from idp.protocol import encryption
from idp.protocol.authorizations import Authorization
from idp.protocol.errors import InvalidToken
from idp.protocol.messages import TokenResponse
from idp.protocol.profiles import response_algorithm
from keys import InvalidJws, Keys
from keys.encoding.algorithms import algorithm as algorithm_row
from keys.encoding.jose import VerifiedJws, VerifiedSignatures, is_trusted, verify_compact

USE: Final = "idp.tokens"
# A use of its own for each algorithm: what signs ID tokens can never sign an access token.
USES: Final[Mapping[str, str]] = {
    "ES256": USE,
    "RS256": f"{USE}.rs256",
    "PS256": f"{USE}.ps256",
    "EdDSA": f"{USE}.eddsa",
}
ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=10)
ID_TOKEN_LIFETIME: Final = timedelta(minutes=10)
API_PATH: Final = "/api/v1"
JTI_BYTES: Final = 16
_NOBODY: Final = "urn:yinzheng:nobody"
_LIFETIME_SECONDS: Final = int(ACCESS_TOKEN_LIFETIME.total_seconds())


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a grant type allows the token endpoint to issue.

    `resources` are those it names, none for the first of the client's. `family` and `authorization`
    are absent for a client's own token, which goes by a `jti` that is known before. What was
    exchanged says who acts (`act`, RFC 8693 §4.1), ends no later than `ends_at` (seconds since
    1970), and is told by its type (§2.2.1). `late`: these tokens were granted before, some time
    ago, and the client says it never got them.
    """

    client: Client
    scopes: tuple[str, ...]
    resources: tuple[str, ...] = ()
    family: str = ""
    authorization: Authorization | None = None
    refresh_token: str | None = None
    nonce: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    jti: str = ""
    act: Mapping[str, Any] = field(default_factory=dict)
    ends_at: int | None = None
    issued_token_type: str = ""
    late: bool = False

    @property
    def id_token(self) -> bool:
        """Whether an ID token belongs to the answer: a person signed in for the scope openid."""
        return self.authorization is not None and "openid" in self.scopes


@dataclass(slots=True)
class VerifiedToken:
    """An access token of ours with a good signature, type, audience and dates."""

    jws: VerifiedJws

    @property
    def claims(self) -> Mapping[str, Any]:
        """Everything the token says, unfiltered."""
        return self.jws.claims

    @property
    def scopes(self) -> frozenset[str]:
        """What the token allows; empty without the claim `scope`."""
        return frozenset(str(self.claims.get("scope", "")).split())

    @property
    def client_id(self) -> str:
        """The client that the token was issued to."""
        return str(self.claims["client_id"])

    @property
    def subject(self) -> str:
        """`sub`: a person's name for this client, or the client_id of the client's own token."""
        return str(self.claims["sub"])

    @property
    def family(self) -> str:
        """The token family, "" for a client's own token."""
        return str(self.claims.get("fam", ""))

    @property
    def jti(self) -> str:
        """The id under which this one token can be revoked."""
        return str(self.claims["jti"])

    @property
    def expires_at(self) -> int:
        """`exp`, in seconds since 1970."""
        return int(self.claims["exp"])

    @property
    def binding(self) -> Mapping[str, str]:
        """`cnf`: the key or certificate that the token is bound to; empty for a bearer token."""
        return dict(self.claims.get("cnf", {}))


@dataclass(frozen=True, slots=True)
class Specimens:
    """An access token and an ID token that no resource server and no client of ours accepts; of ID
    tokens one for each algorithm that has a key."""

    access_token: str
    id_tokens: Mapping[str, str]
    audience: str


class Tokens:
    """Issues and verifies tokens under the use "idp.tokens" and, for clients that want another
    algorithm than ES256, under those of `USES`."""

    def __init__(self, keys: Keys, issuer: str) -> None:
        self._keys = keys
        self.issuer = issuer
        self.api_audience = issuer + API_PATH
        self._seen = VerifiedSignatures()
        self._trusted = keys.trusted(USE)
        self._trusted_for_clients = keys.trusted(*USES.values())

    def audience(
        self, client: Client, scopes: Sequence[str], resources: Sequence[str]
    ) -> tuple[str, ...]:
        """Who may accept the token: the resources asked for, else this service's own API.

        `openid` adds the userinfo endpoint, whose audience is the issuer itself (RFC 9068 §3).
        """
        named = tuple(resources) or client.resources[:1] or (self.api_audience,)
        return (*named, self.issuer) if "openid" in scopes else named

    async def issue(
        self, grant: Grant, subject: str, binding: Mapping[str, str], now: datetime
    ) -> TokenResponse:
        """The token response for a grant (RFC 6749 §5.1).

        `subject` is the person's name for this client, `binding` the confirmation claim of a
        sender-constrained token (RFC 7800 §3.1).
        """
        return await self._keys.off_loop(lambda: self._issued(grant, subject, binding, now))

    def _issued(
        self, grant: Grant, subject: str, binding: Mapping[str, str], now: datetime
    ) -> TokenResponse:
        access_token = self._access_token(grant, subject, binding, now)
        response: TokenResponse = {
            "access_token": access_token,
            "token_type": "DPoP" if "jkt" in binding else "Bearer",
            "expires_in": _lifetime(grant, now),
            "scope": " ".join(grant.scopes),
        }
        if grant.issued_token_type:
            response["issued_token_type"] = grant.issued_token_type
        if grant.refresh_token is not None:
            response["refresh_token"] = grant.refresh_token
        if grant.id_token:
            response["id_token"] = self._id_token(grant, subject, access_token, now)
        return response

    def specimens(self, now: datetime) -> "Specimens":
        """A token and an ID token about nobody: to see whether strangers can read what we sign."""
        nobody = Client(
            client_id=_NOBODY, name={}, purpose={}, organisation="", organisation_name=""
        )
        published = {each.algorithm for each in self._keys.inventory(*USES.values())}
        said = Authorization(
            person_id="",
            subject="",
            sid="",
            scopes=("openid",),
            auth_time=int(now.timestamp()),
            acr="",
            amr=(),
        )
        grant = Grant(client=nobody, scopes=(), resources=(_NOBODY,), authorization=said)
        access_token = self._access_token(grant, _NOBODY, {}, now)
        id_tokens = {}
        for name in (each for each in USES if each in published):
            grant.client = replace(nobody, id_token_signed_response_alg=name)
            id_tokens[name] = self._id_token(grant, _NOBODY, access_token, now)
        return Specimens(access_token, id_tokens, _NOBODY)

    def verify_access_token(
        self, token: str, *, audience: str | None, now: datetime
    ) -> VerifiedToken:
        """Is this an access token of ours, for `audience`, at `now`? (RFC 9068 §4, RFC 8725)

        1. JWS of type at+jwt under a key of ours.
        2. iss is us, aud names the asked resource server.
        3. Not expired, not from the future.
        `audience` is None only where it is itself the question (introspection, revocation).
        Raises `InvalidToken`.
        """
        try:
            verified = verify_compact(token, typ="at+jwt", key_for=self._trusted, cache=self._seen)
        except InvalidJws as problem:
            raise InvalidToken(f"the access token is not ours: {problem.detail}") from None
        claims = verified.claims
        if claims.get("iss") != self.issuer:
            raise InvalidToken("the access token is from another issuer")
        if audience is not None and audience not in _as_tuple(claims.get("aud")):
            raise InvalidToken("the access token is for another audience")
        seconds = now.timestamp()
        if not _is_time(claims.get("exp")) or claims["exp"] <= seconds:
            raise InvalidToken("the access token has expired")
        if not _is_time(claims.get("iat")) or claims["iat"] > seconds + 60:
            raise InvalidToken("the access token is from the future")
        return VerifiedToken(verified)

    def is_still_good(self, token: VerifiedToken, now: datetime) -> bool:
        """Whether what time can change of `verify_access_token` still holds: trust in the key, and
        that the token has not expired."""
        try:
            return is_trusted(token.jws, self._trusted) and token.expires_at > now.timestamp()
        except InvalidJws:
            return False

    def publish(self, algorithm: str) -> None:
        """See to it that a key for this algorithm signs, and so is in the key set: before a client
        that wants it is registered, and at the latest with the first signature."""
        self._keys.ensure(USES[algorithm], algorithm)

    def sign(
        self, client: Client, claims: Mapping[str, Any], *, typ: str, algorithm: str = ""
    ) -> str:
        """A statement of ours for one client, with the algorithm of its registration, or with
        `algorithm` where it names one for this kind; `typ` keeps it from being taken for another
        kind of token (RFC 8725 §3.11)."""
        algorithm = algorithm or response_algorithm(client)
        self.publish(algorithm)
        return self._keys.jws(USES[algorithm], claims, typ=typ)

    async def signed(self, client: Client, claims: Mapping[str, Any], *, typ: str) -> str:
        """`sign`, for whoever stands on the event loop."""
        return await self._keys.off_loop(lambda: self.sign(client, claims, typ=typ))

    def read_id_token(self, token: str) -> Mapping[str, Any] | None:
        """The claims of an ID token of ours, even an expired one; None when it is not ours.

        For `id_token_hint` (OIDC RP-Initiated Logout §2: an expired hint is still a hint).
        """
        try:
            verified = verify_compact(token, typ="JWT", key_for=self._trusted_for_clients)
        except InvalidJws:
            return None
        return verified.claims if verified.claims.get("iss") == self.issuer else None

    def _access_token(
        self, grant: Grant, subject: str, binding: Mapping[str, str], now: datetime
    ) -> str:
        seconds = int(now.timestamp())
        audience = self.audience(grant.client, grant.scopes, grant.resources)
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience[0] if len(audience) == 1 else list(audience),
            "exp": seconds + _lifetime(grant, now),
            "iat": seconds,
            "jti": grant.jti or secrets.token_urlsafe(JTI_BYTES),
            "client_id": grant.client.client_id,
            "scope": " ".join(grant.scopes),
        }
        if binding:
            claims["cnf"] = dict(binding)
        if grant.act:
            claims["act"] = dict(grant.act)
        if grant.authorization is not None:
            claims["fam"] = grant.family
            claims["auth_time"] = grant.authorization.auth_time
            claims["acr"] = grant.authorization.acr
            claims["amr"] = list(grant.authorization.amr)
        return self._keys.jws(USE, claims, typ="at+jwt")

    def _id_token(self, grant: Grant, subject: str, access_token: str, now: datetime) -> str:
        authorization = grant.authorization
        assert authorization is not None
        seconds = int(now.timestamp())
        claims: dict[str, Any] = {
            **grant.claims,
            "iss": self.issuer,
            "sub": subject,
            "aud": grant.client.client_id,
            "exp": seconds + int(ID_TOKEN_LIFETIME.total_seconds()),
            "iat": seconds,
            "auth_time": authorization.auth_time,
            "acr": authorization.acr,
            "amr": list(authorization.amr),
            "sid": authorization.sid,
            "at_hash": half_hash(access_token, response_algorithm(grant.client)),
        }
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        signed = self.sign(grant.client, claims, typ="JWT")
        return encryption.for_client(grant.client, "id_token", signed)


def _lifetime(grant: Grant, now: datetime) -> int:
    """How many seconds its access token lives."""
    if grant.ends_at is None:
        return _LIFETIME_SECONDS
    return min(_LIFETIME_SECONDS, grant.ends_at - int(now.timestamp()))


def half_hash(value: str, algorithm: str) -> str:
    """at_hash: the left half of the hash that the ID token's algorithm has, base64url (OIDC Core
    §3.1.3.6); for EdDSA it is Ed25519's own, SHA-512 (RFC 8032 §5.1)."""
    whole = hashlib.new(algorithm_row(algorithm).digest, value.encode("ascii")).digest()
    return b64url(whole[: len(whole) // 2])


def _as_tuple(audience: object) -> tuple[object, ...]:
    return tuple(audience) if isinstance(audience, list) else (audience,)


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
