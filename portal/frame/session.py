"""Who is at the counter, and whether this form is theirs: form tokens, origins, returns.

- The cookies are the identity provider's (`idp.Cookies`): a session id that is new after every
  sign-in, so that one planted before is worthless (attack 10), and the browser's random id.
- A form token is HMAC-SHA-256 over the form's path, keyed by the session id. It is fresh in every
  form, needs no table, and is void in another session.
- Sign-in and consent happen in several tabs at once, while sessions come and go. Their tokens hang
  on the browser's own random cookie instead, and on the person the page was drawn for.
- A POST must also come from our own pages: Sec-Fetch-Site when the browser sends it, else Origin
  (attack 9). Either check alone would do; a page needs both.
- `next=` is a path on this site or it is nothing (attack 7).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from foundation.actor import ANONYMOUS, Actor
from portal.frame.errors import CookiesBlocked, ForeignForm

FIELD = "form_token"


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser: its signed-in actor (or ANONYMOUS), and the two secrets its forms hang on.

    `browser` is "" until the first page with a form has been sent to this browser.
    """

    actor: Actor = ANONYMOUS
    session_id: str = ""
    browser: str = ""

    @property
    def signed_in(self) -> bool:
        """Whether somebody is signed in with this browser."""
        return bool(self.session_id)


def role_of(visitor: Visitor) -> str:
    """As what somebody is here, for the log: offices, "citizen", or "" for nobody signed in."""
    if not visitor.signed_in:
        return ""
    return "+".join(sorted(visitor.actor.roles)) or "citizen"


def form_token(secret: str, path: str, about: str = "") -> str:
    """A fresh token for a form that posts to `path`; `about` binds it to something more."""
    nonce = secrets.token_urlsafe(9)
    return f"{nonce}.{_mac(secret, path, about, nonce)}"


def token_matches(secret: str, path: str, token: str, about: str = "") -> bool:
    """Was `token` made with this secret for this form? Constant time."""
    nonce, _, mac = token.partition(".")
    expected = _mac(secret, path, about, nonce)
    return bool(secret) and hmac.compare_digest(expected.encode(), mac.encode(errors="replace"))


def word_for(secret: str, path: str) -> str:
    """By what this secret's owner is known at `path` later: the same for every form sent there."""
    return _mac(secret, path, "opened", "")


def check_form(
    request: HTTPConnection, secret: str, token: str, own_origin: str, about: str = ""
) -> None:
    """Raises `ForeignForm` unless the POST comes from a form that this secret's owner got here, and
    `CookiesBlocked` where our own form came without any secret: it hung on a cookie."""
    if not _from_our_pages(request, own_origin):
        raise ForeignForm(
            "the form was sent from another site", next_step="open the page here and send it again"
        )
    if not secret:
        raise CookiesBlocked(
            "the browser did not send back the cookie of its form",
            next_step="allow cookies for this site and open the page again",
        )
    if not token_matches(secret, request.url.path, token, about):
        raise ForeignForm(
            "the form does not belong to this browser session",
            next_step="open the page again and send the form once more",
        )


def safe_return(path: str, fallback: str) -> str:
    """`path` if it is a plain path on this site, else `fallback`.

    Refused are: another scheme or host, "//host", backslashes (browsers read them as slashes),
    control characters (browsers drop them), and dot segments.
    """
    if not path.startswith("/") or path.startswith("//") or len(path) > 500:
        return fallback
    if "\\" in path or any(ord(c) <= 32 or ord(c) == 127 for c in path):
        return fallback
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or ".." in parts.path.split("/"):
        return fallback
    return path


def _mac(secret: str, path: str, about: str, nonce: str) -> str:
    message = "\n".join(("form", path, about, nonce)).encode(errors="replace")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _from_our_pages(request: HTTPConnection, own_origin: str) -> bool:
    site = request.headers.get("sec-fetch-site", "")
    if site:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin", "")
    if not origin:
        return True  # not a browser, or one that tells nothing: the token decides
    here = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return origin in {own_origin, here}
