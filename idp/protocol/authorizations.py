"""What clients ask for and people allow: values that outlive a request.

AuthorizationRequest ── a person signs in and agrees ──▶ Authorization ──▶ Family of tokens
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ClaimRequests = Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A checked authorization request: every field obeys the client's registration.

    Made by `authorization.check_authorization` only; kept in an interaction until it is answered.
    `pushed` is the hash of the reference it came by, "" when it came openly.
    """

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    created_at: datetime
    code_challenge: str = ""
    state: str | None = None
    nonce: str | None = None
    response_mode: str = "query"
    resources: tuple[str, ...] = ()
    userinfo_claims: ClaimRequests = field(default_factory=dict)
    id_token_claims: ClaimRequests = field(default_factory=dict)
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    login_hint: str = ""
    ui_locales: tuple[str, ...] = ()
    dpop_jkt: str = ""
    pushed: str = ""
    essential_acr: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What one person allowed one client at one moment; the root of a token family.

    `subject` is the pseudonym under which the ledger tells the person about it. `jkt` is the DPoP
    key it is bound to: the code from the start (RFC 9449 §10), and with a public client every
    refresh token too (§5).
    """

    person_id: str
    subject: str
    sid: str
    scopes: tuple[str, ...]
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    resources: tuple[str, ...] = ()
    userinfo_claims: tuple[str, ...] = ()
    id_token_claims: tuple[str, ...] = ()
    nonce: str | None = None
    jkt: str = ""

    @property
    def ends_with_session(self) -> bool:
        """Only offline_access outlives the sign-in it came from (OIDC Core §11)."""
        return "offline_access" not in self.scopes


@dataclass(frozen=True, slots=True)
class Agreement:
    """A person's answer to a client: `answered` is all that was asked, the rest was granted.

    `granted_at` tells a stored answer from the one before it; a new one has none yet."""

    scopes: frozenset[str]
    claims: frozenset[str]
    answered: frozenset[str]
    granted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A stored token family. Until tokens were issued it `expires_at` the end of its code."""

    id: str
    client_id: str
    authorization: Authorization
    code_hash: str = field(repr=False)
    expires_at: datetime
    issued_at: datetime | None = None
    refresh_number: int = 0
    revoked: bool = False
