"""Tables and value types of the identity provider.

- Nothing that grants access is stored: session ids and codes are kept as SHA-256 of a 256-bit
  random value, client secrets as HMAC-SHA-256, passwords as argon2id; refresh tokens by number.
- A *token family* is everything that grows out of one authorization: the code, the refresh tokens,
  the access tokens. It is one row from the code on, and is revoked as one (RFC 9700 §4.14.2). A row
  that only changes in place costs a fraction of rows that come and go under random keys.
- A *revocation* is the id of a token, a family or a client whose access tokens no longer count,
  kept until the last of them would have expired anyway.
- Flow state (pending requests, codes, sessions) lives here and nowhere else, so a restart loses
  nothing and several processes may serve one sign-in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import urljoin

from sqlalchemy import Column, ColumnElement, Index, Integer, LargeBinary, String, Table, Text

from foundation.actor import Actor, ActorKind
from foundation.columns import EncryptedJson, EncryptedText, JsonText, UtcDateTime
from foundation.database import metadata

people = Table(
    "people",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("username", String(200), nullable=False, unique=True),
    Column("username_normal", String(200)),  # as it is compared; who collides has none
    Column("name_taken_by", String(40)),  # collides: that account has the same normal form
    Column("kind", String(20), nullable=False),  # "citizen" | "officer"
    Column("name", EncryptedText("people.name"), nullable=False),
    Column("email", EncryptedText("people.email")),
    Column("email_verified_at", UtcDateTime),
    Column("phone_number", EncryptedText("people.phone_number")),  # E.164
    Column("phone_number_verified_at", UtcDateTime),
    Column("updated_at", UtcDateTime),  # the profile, since it was made
    Column("id_number", EncryptedText("people.id_number")),
    Column("subject", String(64), nullable=False, index=True),
    Column("represents", JsonText, nullable=False),
    Column("organisation", String(18), nullable=False),
    Column("organisation_name", Text, nullable=False),
    Column("roles", JsonText, nullable=False),
    Column("locale", String(20), nullable=False),
    Column("password_hash", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("ended_at", UtcDateTime),  # for ever; name and number are given to nobody else
    Column("id_number_index", String(64)),  # blind; one account a number
    Column("citizen_id", String(40)),  # of an officer: the account that they have as a citizen
    Column("collides_with", String(40)),  # suspended: that account has the same number
)

idp_sessions = Table(
    "idp_sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("sid", String(43), nullable=False, unique=True),
    Column("person_id", String(40), nullable=False, index=True),
    Column("authenticated_at", UtcDateTime, nullable=False),
    Column("amr", JsonText, nullable=False),
    Column("acr", String(100), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("client_id", String(100), nullable=False),
    Column("request", Text, nullable=False),
    Column("browser_hash", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
    Column("flow", EncryptedJson("interactions.flow")),  # of its sign-in, while there is one
)

pushed_requests = Table(
    "pushed_requests",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("client_id", String(100), nullable=False),
    Column("request", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("used_by", String(43)),  # the interaction that came to a good end
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(100), primary_key=True),
    Column("organisation", String(18), nullable=False, index=True),
    Column("metadata", Text, nullable=False),  # `Client` as JSON, mostly names of RFC 7591
    Column("secret_hash", String(64), nullable=False),
    Column("secret_prefix", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("second_secret_hash", String(64), nullable=False, server_default=""),
    Column("second_secret_prefix", String(20), nullable=False, server_default=""),
    Column("deleted_at", UtcDateTime),  # for ever; the client_id is given to nobody else
    Column("logo", LargeBinary),  # PNG, drawn by us
)

token_families = Table(
    "token_families",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client_id", String(100), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("sid", String(43), nullable=False, index=True),
    Column("authorization", Text, nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", String(43), nullable=False),
    Column("issued_at", UtcDateTime),  # the last time that tokens were; NULL: the code waits
    Column("refresh_number", Integer, nullable=False),  # of the live token; 0: none
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime),
    Column("revoked_reason", String(100)),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

consents = Table(
    "consents",
    metadata,
    Column("person_id", String(40), primary_key=True),
    Column("client_id", String(100), primary_key=True),
    Column("scopes", JsonText, nullable=False),
    Column("claims", JsonText, nullable=False),
    Column("answered", JsonText, nullable=False),  # everything asked, whatever the answer
    Column("granted_at", UtcDateTime, nullable=False),
)

logouts = Table(
    "logouts",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("redirect_to", Text),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

initial_access_tokens = Table(
    "initial_access_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("bounds", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

registrations = Table(
    "registrations",
    metadata,
    Column("client_id", String(100), primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("bounds", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("device_hash", String(64), primary_key=True),
    Column("user_code_hash", String(64), nullable=False, unique=True),
    Column("client_id", String(100), nullable=False),
    Column("request", Text, nullable=False),
    Column("person_id", String(40)),  # who typed the code first
    Column("authorization", Text),
    Column("denied_at", UtcDateTime),
    Column("interval_seconds", Integer, nullable=False),
    Column("polled_at", UtcDateTime),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

logout_notices = Table(
    "logout_notices",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("client_id", String(100), nullable=False),
    Column("person_id", String(40), nullable=False, index=True),
    Column("sid", String(43), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("confirmed_at", UtcDateTime),
    Column("given_up_at", UtcDateTime),
)

replays = Table(
    "replays",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", String(64), primary_key=True),  # blind index of the account name tried
    Column("failures", Integer, nullable=False),
    Column("last_failure_at", UtcDateTime, nullable=False),
)

LOCALES = ("zh-Hans", "zh-Hant", "en")
SELF_REGISTERED = "dyn-"  # how the client_id begins that a program gets who registers itself
Texts = Mapping[str, str]  # one text in `LOCALES`


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in. `subject` is the pseudonym under which certificates know them.

    An officer's account holds no identity number; `citizen_id` is the account that does. Where
    `collides_with` names an account, this one is suspended until it is decided whose the number is.
    Where `name_taken_by` does, nobody can sign in here by user name until one of them is renamed.
    """

    id: str
    username: str
    kind: str
    name: str
    subject: str
    represents: tuple[str, ...] = ()
    organisation: str = ""
    organisation_name: str = ""
    roles: frozenset[str] = frozenset()
    locale: str = "zh-Hans"
    disabled: bool = False
    ended: bool = False
    id_number: str = field(default="", repr=False)
    citizen_id: str = ""
    collides_with: str = ""
    name_taken_by: str = ""
    email: str = field(default="", repr=False)
    email_verified: bool = False
    phone_number: str = field(default="", repr=False)
    phone_number_verified: bool = False
    updated_at: datetime | None = None

    @property
    def actor(self) -> Actor:
        """What other packages see of this person."""
        return Actor(
            ActorKind.PERSON,
            self.id,
            name=self.name,
            organisation=self.organisation,
            organisation_name=self.organisation_name,
            roles=self.roles,
            subjects=frozenset({self.subject, *self.represents}),
        )


SESSION_LIFETIME: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody is signed in. `sid` is the public name (OIDC back-channel)."""

    id_hash: str
    sid: str
    person: Person
    authenticated_at: datetime
    amr: tuple[str, ...]
    acr: str
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """The signed-in person, as use cases take them."""
        return self.person.actor


Profile = Literal["fapi2", "standard", "basic", "public"]
AuthMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered program, with its purpose and the most it may ask (purpose limitation).

    Field names follow RFC 7591 where it has one; docs/clients.md tells what each means. `name` and
    `purpose` hold every language of `LOCALES`. `claims` are the personal data the client may ever
    be told; `scopes` what it may do; `resources` where (RFC 8707), and `resource_server` is the one
    that this client itself *is*.
    """

    client_id: str
    name: Texts
    purpose: Texts
    organisation: str
    organisation_name: str
    profile: Profile = "fapi2"
    token_endpoint_auth_method: AuthMethod = "private_key_jwt"  # noqa: S105
    token_endpoint_auth_signing_alg: str = ""  # "": any of the profile
    application_type: Literal["web", "native"] = "web"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code",)
    scopes: tuple[str, ...] = ("openid",)
    claims: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str = ""
    sector_identifier_uri: str = ""
    subject_type: Literal["public", "pairwise"] = "public"
    first_party: bool = False
    claims_in_id_token: bool = False
    default_max_age: int | None = None
    client_uri: str = ""
    logo_uri: str = ""
    logo: str = ""  # digest of what was read there, as we serve it
    policy_uri: Texts = field(default_factory=dict)
    tos_uri: Texts = field(default_factory=dict)
    resource_server: str = ""
    exchange_targets: tuple[str, ...] = ()
    id_token_signed_response_alg: str = ""  # "": what the profile has for everybody
    id_token_encrypted_response_alg: str = ""
    userinfo_signed_response_alg: str = ""
    userinfo_encrypted_response_alg: str = ""
    introspection_encrypted_response_alg: str = ""
    authorization_signed_response_alg: str = ""  # "": as ID tokens
    authorization_encrypted_response_alg: str = ""
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str = ""
    frontchannel_logout_session_required: bool = False
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    require_signed_requests: bool = False
    relies_on_nonce: bool = False
    relies_on_rotation: bool = False
    refresh_ends_with_session: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str = ""
    tls_client_auth_san_dns: str = ""
    tls_client_auth_san_uri: str = ""

    @property
    def confidential(self) -> bool:
        """Whether the client authenticates at the token endpoint (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method != "none"  # noqa: S105

    @property
    def way_back(self) -> str:
        """Where the people it sends came from: its own page, else the root of the site it
        registered to receive them; "/" for an app that has neither."""
        return self.client_uri or urljoin("".join(self.redirect_uris[:1]), "/")

    @property
    def actor(self) -> Actor:
        """The client itself, as use cases take it; named in simplified Chinese."""
        name = self.name["zh-Hans"]
        return _client_actor(self.client_id, name, self.organisation, self.organisation_name)


@lru_cache(maxsize=10_000)
def _client_actor(client_id: str, name: str, organisation: str, organisation_name: str) -> Actor:
    """Made once for each client: every token and every ledger entry names it."""
    return Actor(
        ActorKind.CLIENT,
        client_id,
        name,
        organisation,
        organisation_name,
        named_itself=client_id.startswith(SELF_REGISTERED),
    )


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client as the token endpoint needs it: with what proves it is itself.

    `forbidden`: the operator allows its profile no more; such a client is `disabled` too.
    """

    client: Client
    secret_hashes: tuple[str, ...]
    version: int
    disabled: bool
    forbidden: bool = False


Index("ix_token_families_client_person", token_families.c.client_id, token_families.c.person_id)


def _partial(name: str, where: ColumnElement[bool], *on: Column[Any], unique: bool = False) -> None:
    Index(name, *on, unique=unique, sqlite_where=where, postgresql_where=where)


_p = people.c
_numbered, _collides = _p.id_number_index.is_not(None), _p.collides_with.is_not(None)
_named, _name_taken = _p.username_normal.is_not(None), _p.name_taken_by.is_not(None)
_partial("ix_people_id_number_index", _numbered, _p.id_number_index, unique=True)
_partial("ix_people_collides_with", _collides, _p.collides_with)
_partial("ix_people_username_normal", _named, _p.username_normal, unique=True)
# Empty but for people whom a program added that did not know the column.
_unsettled = _p.id_number.is_not(None) & ~_numbered & ~_collides
_partial("ix_people_unsettled", _unsettled, _p.created_at, _p.id)
_partial("ix_people_unnamed", ~_named & ~_name_taken, _p.created_at, _p.id)
