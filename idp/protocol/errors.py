"""What the identity provider refuses, by the name each standard gives it.

    YinzhengError
    ├── OAuthError                       answered as RFC 6749 §5.2 says, with error_description
    │   ├── InvalidRequest        400    a parameter is missing, repeated, malformed (RFC 6749 §5.2)
    │   ├── InvalidClient         401    client authentication failed
    │   ├── InvalidGrant          400    code, refresh token or assertion is not (or no longer) good
    │   ├── UnauthorizedClient    400    this client may not use this grant
    │   ├── UnsupportedGrantType  400    nobody may
    │   ├── InvalidScope          400    beyond what the client is registered for
    │   ├── AuthorizationPending  400    the person has not answered the device yet (RFC 8628 §3.5)
    │   ├── SlowDown              400    the device asks too often
    │   ├── ExpiredToken          400    its code is over
    │   ├── AccessDenied          400    the person said no
    │   ├── InvalidTarget         400    unknown resource (RFC 8707 §2)
    │   ├── UnsupportedTokenType  400    a token that cannot be revoked (RFC 7009 §2.2.1)
    │   ├── InvalidDpopProof      400    a DPoP proof is missing or does not hold (RFC 9449 §5)
    │   │   └── UseDpopNonce      400    try again with this nonce (RFC 9449 §8)
    │   ├── TokenRefused                 answered with a challenge (RFC 6750 §3)
    │   │   ├── InvalidToken      401    the access token is expired, revoked, foreign or malformed
    │   │   │   └── TokenMissing  401    there is none
    │   │   ├── DpopChallenge     401    the same refusals of a proof, at a resource (RFC 9449 §7.1)
    │   │   ├── RequestSignatureRefused  401  a signature is missing or does not hold (RFC 9421)
    │   │   ├── InsufficientUserAuthentication  401    sign in better or again (RFC 9470 §3)
    │   │   └── InsufficientScope 403    it is good, but not for this
    │   └── AuthorizationError           the authorization endpoint's own codes; `error` is a field
    ├── LogoutNotConfirmed    502    a service did not confirm a sign-out (only inside jobs)
    ├── AuthorizationRefused      400    an authorization request that must not redirect
    │   └── AuthorizationRequestOver  400    its request_uri is unknown, expired or used
    ├── InteractionNotFound       410    the pending request is unknown or its time is over
    ├── InteractionElsewhere      403    it was begun in another browser
    ├── ClientNotFound            404
    ├── LogoNotFound              404
    ├── ClientExists              409
    ├── PersonNotFound            404
    ├── PersonExists              409
    ├── IdentityNumberTaken       409    one identity number opens one account
    ├── NoCollision               409    these two accounts do not hold the same number
    └── TwoPeopleNeeded           403    who decides about accounts decides with somebody else

`error_description` names the rule that was broken and never repeats a secret or a personal value.
"""

from typing import ClassVar

from foundation.errors import Conflict, Gone, Invalid, NotFound, Refused, YinzhengError
from keys import MessageSignatureRefused


class OAuthError(YinzhengError):
    """`code` is the error code of the standard; `detail` becomes error_description."""

    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400

    @property
    def error(self) -> str:
        """The `error` that the caller reads."""
        return self.code

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Extra response headers, such as a challenge."""
        return ()

    def body(self) -> dict[str, str]:
        """The JSON object of RFC 6749 §5.2."""
        return {"error": self.error, "error_description": self.detail}


class InvalidRequest(OAuthError):
    """A request that cannot be understood as it was sent (RFC 6749 §5.2)."""

    code = "invalid_request"


class InvalidClient(OAuthError):
    """RFC 6749 §5.2: 401 and, when the client tried the Authorization header, a challenge."""

    code = "invalid_client"
    status = 401

    def headers(self) -> tuple[tuple[str, str], ...]:
        """A Basic challenge: every 401 carries one (RFC 9110 §15.5.2)."""
        return (("WWW-Authenticate", 'Basic realm="oauth"'),)


class InvalidGrant(OAuthError):
    """The code, refresh token or assertion is wrong, used, expired or another client's."""

    code = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """The client is known, but not registered for this grant type (RFC 6749 §5.2)."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """No grant type of this name is offered to anybody (RFC 6749 §5.2)."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is malformed, or more than the client is registered for (RFC 6749 §5.2)."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """A `resource` that the client is not registered for (RFC 8707 §2)."""

    code = "invalid_target"


class AuthorizationPending(OAuthError):
    """The device is to ask again: nobody has answered yet (RFC 8628 §3.5)."""

    code = "authorization_pending"


class SlowDown(OAuthError):
    """The device is to ask again, and from now on less often (RFC 8628 §3.5)."""

    code = "slow_down"


class ExpiredToken(OAuthError):
    """The device code's time is over; the device begins anew (RFC 8628 §3.5)."""

    code = "expired_token"


class AccessDenied(OAuthError):
    """The person refused what the device asks for (RFC 8628 §3.5)."""

    code = "access_denied"


class UnsupportedTokenType(OAuthError):
    """A kind of token that cannot be revoked, such as an ID token (RFC 7009 §2.2.1)."""

    code = "unsupported_token_type"


class InvalidDpopProof(OAuthError):
    """A DPoP proof is missing or does not hold (RFC 9449 §5). `dpop_nonce`: see `UseDpopNonce`."""

    code = "invalid_dpop_proof"

    dpop_nonce: str = ""


class UseDpopNonce(InvalidDpopProof):
    """`dpop_nonce` is the one to use; it travels in the DPoP-Nonce header."""

    code = "use_dpop_nonce"

    def __init__(self, detail: str, *, nonce: str = "") -> None:
        super().__init__(detail)
        self.dpop_nonce = nonce

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The nonce for the next proof (RFC 9449 §8)."""
        return (("DPoP-Nonce", self.dpop_nonce),)


class TokenRefused(OAuthError):
    """A protected resource's answer: the challenge repeats the error (RFC 6750 §3, RFC 9449 §7.1).

    `scheme` is "Bearer" or "DPoP"; `attributes` are further challenge parameters.
    """

    def __init__(self, detail: str, *, scheme: str = "Bearer", **attributes: str) -> None:
        super().__init__(detail)
        self.scheme = scheme
        self.attributes = attributes

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate value: scheme, error, its description, further parameters."""
        pairs = {"error": self.error, "error_description": self.detail, **self.attributes}
        said = ", ".join(f'{name}="{_quotable(value)}"' for name, value in pairs.items())
        return f"{self.scheme} {said}"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge (RFC 6750 §3)."""
        return (("WWW-Authenticate", self.challenge),)


class InvalidToken(TokenRefused):
    """The access token is expired, revoked, malformed, or for somebody else (RFC 6750 §3.1)."""

    code = "invalid_token"
    status = 401


class TokenMissing(InvalidToken):
    """Nothing was sent to refuse: the challenge names the ways in and no error (RFC 6750 §3.1).

    `algs` are the algorithms of a DPoP proof, where one is taken (RFC 9449 §7.1).
    """

    @property
    def challenge(self) -> str:
        """Bearer alone, or both schemes with the algorithms of a proof."""
        algs = self.attributes.get("algs")
        return f'Bearer, DPoP algs="{algs}"' if algs else "Bearer"


class DpopChallenge(TokenRefused):
    """A proof was refused where a token is used: 401, the proof's own code, perhaps a nonce."""

    code = "invalid_dpop_proof"
    status = 401

    def __init__(self, refusal: InvalidDpopProof, *, algs: str) -> None:
        super().__init__(refusal.detail, scheme="DPoP", algs=algs)
        self._error = refusal.error
        self.dpop_nonce = refusal.dpop_nonce

    @property
    def error(self) -> str:
        """The code of the refused proof."""
        return self._error

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge, and the nonce for the next proof when there is one."""
        nonce = (("DPoP-Nonce", self.dpop_nonce),) if self.dpop_nonce else ()
        return (*super().headers(), *nonce)


class RequestSignatureRefused(TokenRefused):
    """`error` names the rule; the Accept-Signature header says what to sign (RFC 9421 §5.1)."""

    code = "message_signature_refused"
    status = 401

    def __init__(self, refusal: MessageSignatureRefused, *, accept_signature: str) -> None:
        super().__init__(refusal.detail)
        self._error = refusal.code
        self.accept_signature = accept_signature
        self.next_step = "sign the request as the page docs/api.md shows"

    @property
    def error(self) -> str:
        """The code of the rule that the request's signature breaks."""
        return self._error

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge, and what a signature has to cover."""
        return (*super().headers(), ("Accept-Signature", self.accept_signature))


class InsufficientUserAuthentication(TokenRefused):
    """The challenge names what is wanted: `acr_values`, `max_age` in seconds."""

    code = "insufficient_user_authentication"
    status = 401


class InsufficientScope(TokenRefused):
    """A good token without the scope that is asked for here (RFC 6750 §3.1)."""

    code = "insufficient_scope"
    status = 403


class AuthorizationError(OAuthError):
    """An authorization request that is refused; its code is one of RFC 6749 §4.1.2.1, OIDC Core
    §3.1.2.6 or RFC 9101 §7. Whether it may redirect is decided by `authorization`.
    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self._error = error

    @property
    def error(self) -> str:
        """The code that was given to this refusal."""
        return self._error


class LogoutNotConfirmed(YinzhengError):
    """A service did not confirm a logout token; the job that sent it is tried again."""

    code = "logout_not_confirmed"
    status = 502
    passing = True


class ClientDeleted(Conflict):
    """The client was deleted, which is for ever."""

    code = "client_deleted"


class NoSuchNotice(NotFound):
    """No notice of a sign-out has this id, or its service confirmed it."""

    code = "notice_not_found"


class AuthorizationRefused(YinzhengError):
    """Shown on a page of ours: client or redirect URI are not trustworthy (RFC 6749 §4.1.2.1).
    `params["error"]` is the code that the service would have been told."""

    code = "authorization_refused"
    status = 400


class AuthorizationRequestOver(AuthorizationRefused):
    """The pushed request behind a `request_uri` is unknown, expired or used (RFC 9126 §4)."""

    code = "authorization_request_over"


class InteractionNotFound(Gone):
    """`params["client_uri"]`, when known, is the way back to the service."""

    code = "interaction_not_found"


class InteractionElsewhere(Refused):
    """A sign-in request opened in another browser than it was begun in."""

    code = "interaction_elsewhere"


class ClientNotFound(NotFound):
    """No client is registered under this client_id."""

    code = "client_not_found"


class ClientExists(Conflict):
    """The client_id of a new registration is taken."""

    code = "client_exists"


class InvalidClientMetadata(Invalid):
    """RFC 7591 §3.2.2: what a client is registered with contradicts itself or this profile."""

    code = "invalid_client_metadata"


class LogoNotFound(NotFound):
    """A client has no logo of this content."""

    code = "logo_not_found"


class PersonExists(Conflict):
    """The user name of a new account is taken."""

    code = "person_exists"


class PersonNotFound(NotFound):
    """No account has this user name."""

    code = "person_not_found"


class AccountClosed(Conflict):
    """The account is not in a state in which this can be decided about it."""

    code = "account_closed"


class IdentityNumberTaken(Conflict):
    """The identity number of a new account opens another one already."""

    code = "identity_number_taken"


class NoCollision(Conflict):
    """The two accounts that are named do not wait for a decision about one identity number."""

    code = "no_collision"


class TwoPeopleNeeded(Refused):
    """Those who decide about accounts are not two officers apart from the people concerned."""

    code = "two_people_needed"


def _quotable(value: str) -> str:
    """Characters that a quoted-string of a challenge may carry (RFC 6750 §3)."""
    kept = "".join(c if " " <= c <= "~" else "?" for c in value)
    return kept.replace("\\", "\\\\").replace('"', "'")
