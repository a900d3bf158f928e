"""How things are written: the alphabets of the standards, and addresses put together and judged."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from idp.models import Client
from idp.protocol.errors import InvalidRequest

CODE_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")  # BASE64URL(SHA256(…)), RFC 7636 §4.2
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?=[/?]|\Z)")
LONGEST_NAME: Final = 200
CODE_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")  # RFC 7636 §4.1
# RFC 6749 appendix A.4: words of visible characters without quote and backslash, one space between.
SCOPE: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*\Z")


def parameter(form: Mapping[str, str], name: str) -> str:
    """A required parameter; absent and empty are the same (RFC 6749 §3.2)."""
    value = form.get(name, "")
    if not value:
        raise InvalidRequest(f"{name} is missing")
    return value


def normal_name(username: str) -> str:
    """A user name as it is compared: NFKC (letters in full width, as Chinese input methods type
    them, are the same letters), in no case, without spaces around it. Shown is what is stored.

    Longer than 200 characters is no user name; the rest is cut off before it costs anything.
    """
    folded = unicodedata.normalize("NFKC", username.strip()[:LONGEST_NAME]).casefold()
    return unicodedata.normalize("NFKC", folded)[:LONGEST_NAME].strip()


def with_query(uri: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """Append `parameters` to the query of `uri`, keeping what is there (RFC 6749 §3.1.2)."""
    separator = "" if uri.endswith(("?", "&")) else "&" if "?" in uri else "?"
    return f"{uri}{separator}{urlencode(parameters)}"


def error_parameters(
    error: str, description: str, *, state: str | None, issuer: str
) -> tuple[tuple[str, str], ...]:
    """An error response with `state` and `iss` (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    pairs = (("error", error), ("error_description", description), ("state", state))
    return (*((name, value) for name, value in pairs if value is not None), ("iss", issuer))


_LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?(?=[/?]|\Z)")


def is_registered(uri: str, client: Client) -> bool:
    """Is `uri` one of the client's redirect URIs? Byte for byte (RFC 9700 §4.1.3).

    The port alone may differ for a native app at a loopback address: "The authorization server MUST
    allow any port to be specified at the time of the request for loopback IP redirect URIs" (RFC
    8252 §7.3). Never for the name localhost, which may lead elsewhere (§8.3).
    """
    if uri in client.redirect_uris:
        return True
    if client.application_type != "native":
        return False
    asked = _without_port(uri)
    return asked is not None and asked in map(_without_port, client.redirect_uris)


def _without_port(uri: str) -> tuple[str, str] | None:
    """A loopback address and what follows its port; None for every other address."""
    found = _LOOPBACK.match(uri)
    if found is None or not 0 < int(found[2] or 80) < 65536:
        return None
    return found[1], uri[found.end() :]


def origin_of(uri: str) -> str:
    """Scheme, host and port of a web address, fit to stand in a policy of ours; "" when it is none
    that we would write there."""
    found = _ORIGIN.match(uri)
    return found[0] if found else ""


def redirect_uri_problem(uri: str) -> str | None:
    """Why `uri` cannot be registered as a redirect URI, or None (RFC 6749 §3.1.2, RFC 8252 §7).

    https anywhere; http only to this very machine; a private-use scheme must contain a dot.
    """
    if not uri.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in uri):
        return "has characters that a URI cannot have"
    try:
        parts, _ = urlsplit(uri), urlsplit(uri).port
    except ValueError:
        return "has no host or port that can be read"
    if "#" in uri:
        return "has a fragment"
    if "@" in parts.netloc:
        return "has user information"
    if "*" in uri:
        return "has a wildcard; redirect URIs are compared exactly"
    if parts.scheme == "https":
        return None if parts.hostname else "has no host"
    if parts.scheme == "http":
        local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        return None if local else "is http to another machine; use https"
    if "." in parts.scheme and not parts.netloc:
        return None
    return "needs https, or a private-use scheme named like com.example.app"
