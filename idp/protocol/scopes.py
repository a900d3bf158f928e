"""The parameter `scope` (RFC 6749 §3.3): which of its values are understood, and who may have them.

- What nobody here understands is ignored, and the answer tells what is granted (OIDC Core
  §3.1.2.1).
- What is understood is within the client's registration or refused, never trimmed.
"""

from functools import lru_cache
from typing import Final

from idp.models import Client
from idp.protocol.claims import SCOPE_CLAIMS, claims_of
from idp.protocol.errors import InvalidScope
from idp.protocol.syntax import SCOPE

API_SCOPES: Final = frozenset({"certificates.verify"})
"""What our own API demands; whatever else clients are registered for, other servers understand."""

_SHORT: Final = 200  # characters; longer texts are not kept
_UNDERSTOOD: Final = API_SCOPES | SCOPE_CLAIMS.keys()


def values(text: str) -> tuple[str, ...]:
    """What stands in the parameter, each once; extra spaces are none. Raises `InvalidScope` when a
    value has other characters than RFC 6749 appendix A.4 allows."""
    return _known_values(text) if len(text) <= _SHORT else _values(text)


def _values(text: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(filter(None, text.split(" "))))
    if not all(map(SCOPE.match, asked)):
        raise InvalidScope("scope is not a space-separated list")
    return asked


_known_values = lru_cache(1024)(_values)  # a client asks for the same again and again


def understood(text: str, client: Client) -> tuple[str, ...]:
    """Each value of the parameter that this provider or the client's registration knows, once.

    () when there is none in `text`. Raises `InvalidScope` as `values` does, and when not one of
    them is known: then an answer would be about nothing that was asked.
    """
    asked = values(text)
    known = tuple(each for each in asked if each in _UNDERSTOOD or each in client.scopes)
    if asked and not known:
        raise InvalidScope("no scope that is asked for is known here; see scopes_supported")
    return known


def about_a_person(text: str, client: Client) -> tuple[str, ...]:
    """What `client` asks about somebody who signs in: at least one scope, each registered, their
    claims within its purpose. Raises `InvalidScope`."""
    scopes = understood(text, client)
    if not scopes:
        raise InvalidScope("scope is missing")
    for scope in scopes:
        if scope not in client.scopes:
            raise InvalidScope(f"the client is not registered for the scope {scope}")
    for claim in claims_of(scopes):
        if claim not in client.claims:
            raise InvalidScope(f"the client's registered purpose does not cover the claim {claim}")
    return scopes
