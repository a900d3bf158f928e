"""Step-up: a protected resource asks for a better or a more recent sign-in (RFC 9470).

    client ──token──▶ resource: 401 insufficient_user_authentication, acr_values, max_age
    client ──acr_values, max_age──▶ authorization endpoint ──▶ a token that will do

What a resource wants is an `Assurance`; `demand` compares it with what the token says was reached.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from idp.protocol.acr import acr_reaches
from idp.protocol.errors import InsufficientUserAuthentication
from idp.token.tokens import VerifiedToken


@dataclass(frozen=True, slots=True)
class Assurance:
    """How well, and how long ago at most, the person must have signed in. Empty: anyhow."""

    acr_values: tuple[str, ...] = ()
    max_age: timedelta | None = None


def demand(token: VerifiedToken, assurance: Assurance, now: datetime) -> None:
    """Was the sign-in behind `token` good enough? Raises `InsufficientUserAuthentication`.

    1. The authentication context reached is one of those wanted, or better.   RFC 9470 §3
    2. It is at most max_age old; a token that does not say is too old.        RFC 9470 §3, §6.1
    """
    scheme = "DPoP" if "jkt" in token.binding else "Bearer"
    # 1.
    reached = str(token.claims.get("acr", ""))
    if assurance.acr_values and not acr_reaches(reached, assurance.acr_values):
        wanted = " ".join(assurance.acr_values)
        raise InsufficientUserAuthentication(
            "a stronger sign-in is needed", scheme=scheme, acr_values=wanted
        )
    # 2.
    if assurance.max_age is None:
        return
    seconds = assurance.max_age.total_seconds()
    if now.timestamp() - int(token.claims.get("auth_time", 0)) > seconds:
        raise InsufficientUserAuthentication(
            "a more recent sign-in is needed", scheme=scheme, max_age=str(int(seconds))
        )
