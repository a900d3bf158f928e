"""What a script of any origin may read: CORS (Fetch §3.2) for addresses that look at no cookie.

Apps in a browser check our keys, read our metadata and status lists, and are clients themselves
(profile `public`): any origin may, because without a code, a verifier, a key and a token a
stranger's script learns what anybody learns. It reads every refusal there too, or it could tell
nobody what went wrong. Addresses that look at cookies (the pages, `/oauth/authorize`,
`/oauth/logout`) and those for other servers (introspection, registration, `/api/v1`) are not among
them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

_BELOW: Final = (
    "/.well-known/",
    "/keys/",
    "/ledger/",
    "/pki/",
    "/status-lists/",
    "/types/",
)
_EXACTLY: Final = frozenset(
    {
        "/api/openapi.json",
        "/oauth/device",
        "/oauth/par",
        "/oauth/revoke",
        "/oauth/token",
        "/oauth/userinfo",
        "/status-lists",
        "/tsa",
        "/types",
    }
)
_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
ANSWER: Final[Headers] = (
    _ANY_ORIGIN,
    (
        b"access-control-expose-headers",
        b"DPoP-Nonce, ETag, Retry-After, WWW-Authenticate, X-Request-Id",
    ),
)
_USUAL: Final = "Authorization, Content-Type, DPoP"
# Names, as Fetch lists them: lower case, no space after the comma; others send spaces.
_NAMES: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}(?: ?, ?[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}){0,49}"
)


def is_open(path: str) -> bool:
    """Whether a script of any origin may ask at this address and read what it answers."""
    return path in _EXACTLY or path.startswith(_BELOW)


def preflight(asked: Mapping[bytes, bytes], methods: Sequence[str]) -> Headers:
    """May a script send this? (Fetch §4.8) Any header may come: a wildcard would not name
    Authorization, and tracing adds `traceparent` to whatever a page asks for."""
    if b"access-control-request-method" not in asked:
        return ()
    named = asked.get(b"access-control-request-headers", b"").decode("latin-1").strip()
    allowed = named if _NAMES.fullmatch(named) else _USUAL
    return (
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", allowed.encode()),
        (b"access-control-max-age", b"3600"),
        (b"vary", b"Access-Control-Request-Headers"),
    )
