"""What happens next at the authorization endpoint: plain values in, a decision out.

No database, no HTTP, no clock. Whether a request obeys at all is `authorization`; here: given who
is signed in and what they agreed to, must they sign in, be asked, or go back with a code or a
refusal? And where may somebody go who signs out?
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from idp.models import Client, Session
from idp.protocol.acr import acr_reaches, acr_satisfies
from idp.protocol.authorizations import Authorization, AuthorizationRequest
from idp.protocol.claims import bundled, in_question, released
from idp.protocol.syntax import error_parameters, with_query

PATIENCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Login:
    """The person must sign in (again) at this interaction."""

    interaction_id: str


@dataclass(frozen=True, slots=True)
class Consent:
    """The person must agree, or not, to what the client asks."""

    interaction_id: str


@dataclass(frozen=True, slots=True)
class Granted:
    """Send the browser to `redirect_uri` of `client` with `parameters` (code, state, iss)."""

    redirect_uri: str
    parameters: tuple[tuple[str, str], ...]
    response_mode: str = "query"
    client: Client | None = field(default=None, repr=False, compare=False)

    @property
    def redirect_to(self) -> str:
        """The client's address with the answer in its query."""
        return with_query(self.redirect_uri, self.parameters)


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """No. With `redirect_uri` the client is told; without, only the person, on a page of ours."""

    error: str
    description: str
    redirect_uri: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    response_mode: str = "query"
    client_uri: str = ""
    client: Client | None = field(default=None, repr=False, compare=False)

    @property
    def redirect_to(self) -> str | None:
        """The client's address with the refusal; None when only the person is told."""
        if self.redirect_uri is None:
            return None
        return with_query(self.redirect_uri, self.parameters)


def decide(
    request: AuthorizationRequest,
    client: Client,
    session: Session | None,
    answered: Collection[str] | None,
    *,
    subject: str,
    interaction_id: str,
    issuer: str,
    now: datetime,
) -> Login | Consent | RequestRefused | None:
    """What stands between a checked request and its code? None means: nothing, grant it.

    `answered` are the scopes and claims this person was asked about before (None: never);
    `subject` is what the client calls them.

     1. Nobody is signed in, or not recently or not well enough, or somebody else: sign in.
        prompt=login, select_account      OIDC Core §3.1.2.1
        max_age                           OIDC Core §3.1.2.1
        acr_values                        OIDC Core §3.1.2.1, RFC 9470 §4
        id_token_hint, claims.sub         OIDC Core §3.1.2.1, §5.5.1
     2. They just did, and still it is somebody else or not well enough: the client hears why.
                                          OIDC Core §5.5.1.1, Unmet Authentication Requirements
     3. More is asked than was answered, or prompt=consent: ask.
     4. prompt=none turns 1 and 3 into an error.                       OIDC Core §3.1.2.6
    """
    silent = "none" in request.prompt
    # 1., 2.
    fresh = session is not None and session.authenticated_at > request.created_at
    unmet = session and _unmet(request, session, subject)
    if (
        session is None
        or _too_long_ago(request, session, now, patience=PATIENCE if fresh else timedelta(0))
        or (not fresh and (unmet or _must_sign_in_again(request, session)))
    ):
        if silent:
            return _refused(request, client, "login_required", "nobody is signed in", issuer)
        return Login(interaction_id)
    if unmet:
        return _refused(request, client, *unmet, issuer)
    # 3.
    if _must_consent(request, client, answered):
        if silent:
            return _refused(
                request, client, "consent_required", "the person has not agreed to this", issuer
            )
        return Consent(interaction_id)
    return None


def used_before(request: AuthorizationRequest, client: Client, issuer: str) -> RequestRefused:
    """A pushed request whose one authorization was given to somebody else (RFC 9126 §7.3)."""
    said = "this request_uri was used before"
    return _refused(request, client, "invalid_request_uri", said, issuer)


def denied(request: AuthorizationRequest, client: Client, issuer: str) -> RequestRefused:
    """The person said no (RFC 6749 §4.1.2.1)."""
    return _refused(request, client, "access_denied", "the person did not agree", issuer)


@dataclass(frozen=True, slots=True)
class Logout:
    """A checked logout request. `at_once`: the hint proves that the asker knows this session."""

    redirect_to: str | None
    at_once: bool


def check_logout(
    params: Mapping[str, str],
    hint: Mapping[str, Any] | None,
    client: Client | None,
    session: Session | None,
    named: Session | None,
) -> Logout | RequestRefused:
    """May the browser be signed out, and where may it go then? (OIDC RP-Initiated Logout §2, §3)

    `hint` are the claims of id_token_hint when it is ours; `client` is the one that the hint or
    client_id names; `session` is this browser's, `named` the one that the hint is about.

    1. A hint that we cannot check, or no longer, is none: nobody stays signed in because of it.
       Where it alone would name the client, nobody is sent anywhere.
    2. client_id, when given, is the client the hint was made for.
    3. post_logout_redirect_uri is exactly one that the client registered; else no redirect.
    4. Only a hint about the session of this browser spares the question "sign out?" (CSRF), or that
       nobody is signed in, here or in the session that the hint is about.
    """
    given = {name: value for name, value in params.items() if value != ""}
    if "id_token_hint" in given and hint is None and client is None:
        given.pop("post_logout_redirect_uri", None)
    if hint is not None and given.get("client_id", hint.get("aud")) != hint.get("aud"):
        return RequestRefused("invalid_request", "client_id is not the client of id_token_hint")
    target = given.get("post_logout_redirect_uri")
    if target is not None and (client is None or target not in client.post_logout_redirect_uris):
        return RequestRefused(
            "invalid_request",
            "post_logout_redirect_uri is not one that the client registered",
            client_uri=client.way_back if client else "",
        )
    if target is not None and "state" in given:
        target = with_query(target, (("state", given["state"]),))
    known = hint is not None and session is not None and hint.get("sid") == session.sid
    return Logout(target, at_once=known or (session is None and named is None))


def asked_claims(request: AuthorizationRequest) -> tuple[str, ...]:
    """Every claim that is in question, through scopes or by name, in catalogue order."""
    wanted = {*bundled(request.scopes), *request.userinfo_claims, *request.id_token_claims}
    return in_question(wanted)


def asked(request: AuthorizationRequest) -> tuple[str, ...]:
    """Everything a person is asked about: scopes and claims."""
    return (*request.scopes, *asked_claims(request))


def authorization_of(
    request: AuthorizationRequest, client: Client, session: Session, allowed: Collection[str]
) -> Authorization:
    """What becomes of a request that `session`'s person granted; `allowed` are the claims.

    What scopes ask for is told at userinfo (OIDC Core §5.4), and in the ID token too for a client
    that is registered so.
    """
    through_scopes = bundled(request.scopes)
    in_id_token = through_scopes if client.claims_in_id_token else frozenset()
    return Authorization(
        person_id=session.person.id,
        subject=session.person.subject,
        sid=session.sid,
        scopes=request.scopes,
        auth_time=int(session.authenticated_at.timestamp()),
        acr=session.acr,
        amr=session.amr,
        resources=request.resources,
        userinfo_claims=released({*through_scopes, *request.userinfo_claims}, allowed),
        id_token_claims=released({*in_id_token, *request.id_token_claims}, allowed),
        nonce=request.nonce,
        jkt=request.dpop_jkt,
    )


def essential_claims(request: AuthorizationRequest) -> frozenset[str]:
    """Claims marked essential (OIDC Core §5.5.1)."""
    both = (*request.userinfo_claims.items(), *request.id_token_claims.items())
    essential = [name for name, asked in both if asked and asked.get("essential") is True]
    return frozenset(in_question(essential))


# --- the steps of decide ------------------------------------------------------------------------


def _unmet(request: AuthorizationRequest, session: Session, subject: str) -> tuple[str, str] | None:
    """What the client insists on and this session does not give: error and description."""
    if request.subject not in ("", subject):
        return "login_required", "another person is signed in than the one that was asked for"
    if request.essential_acr and not acr_reaches(session.acr, request.essential_acr):
        said = "the person did not authenticate as strongly as was asked"
        return "unmet_authentication_requirements", said
    return None


def _too_long_ago(
    request: AuthorizationRequest, session: Session, now: datetime, *, patience: timedelta
) -> bool:
    """Whether the sign-in is older than max_age; after one for this very request the person has
    some `patience` to read and answer, or a short max_age would ask for ever."""
    if request.max_age is None:
        return False
    return session.authenticated_at < now - max(timedelta(seconds=request.max_age), patience)


def _must_sign_in_again(request: AuthorizationRequest, session: Session) -> bool:
    """Whether a session from before the request is not what the request wants."""
    if {"login", "select_account"} & set(request.prompt) or request.max_age == 0:
        return True
    return not acr_satisfies(session.acr, request.acr_values)


def _must_consent(
    request: AuthorizationRequest, client: Client, answered: Collection[str] | None
) -> bool:
    if "consent" in request.prompt:
        return True
    if client.first_party:
        return False
    return answered is None or not set(asked(request)) <= set(answered)


def _refused(
    request: AuthorizationRequest, client: Client, error: str, description: str, issuer: str
) -> RequestRefused:
    return RequestRefused(
        error,
        description,
        request.redirect_uri,
        error_parameters(error, description, state=request.state, issuer=issuer),
        request.response_mode,
        client_uri=client.way_back,
        client=client,
    )
