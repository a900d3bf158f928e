"""The two cookies of this service, named in one place.

- the session: a secret that stands for somebody signed in;
- the browser: a random id that says nothing about anybody; interactions belong to it.

Both are HttpOnly and SameSite=Lax; over https they are `__Host-` cookies (RFC 6265bis §4.1.3.2), so
no neighbouring host can plant one.
"""

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from idp.models import SESSION_LIFETIME

_BROWSER_LIFETIME: Final = 365 * 24 * 3600
_LONGEST: Final = 64


class Cookies:
    """Reads and writes the cookies; the issuer's scheme decides their names."""

    def __init__(self, issuer: str) -> None:
        self._https = issuer.startswith("https://")
        prefix = "__Host-" if self._https else ""
        self.session_name = prefix + "yz_session"
        self.browser_name = prefix + "yz_browser"

    def session(self, request: Request) -> str | None:
        """The session id that the browser sent; None when it is missing, empty or too long."""
        return self._read(request, self.session_name)

    def browser(self, request: Request) -> str | None:
        """The id that the browser sent; None when it is missing, empty or too long."""
        return self._read(request, self.browser_name)

    def set_session(self, response: Response, session_id: str) -> None:
        """Give the browser a session id, for as long as a session lives."""
        lifetime = int(SESSION_LIFETIME.total_seconds())
        self._write(response, self.session_name, session_id, lifetime)

    def clear_session(self, response: Response) -> None:
        """Make the browser forget its session id."""
        self._write(response, self.session_name, "", 0)

    def set_browser(self, response: Response, browser: str) -> None:
        """Give the browser an id of its own, for a year."""
        self._write(response, self.browser_name, browser, _BROWSER_LIFETIME)

    def ensure_browser(self, request: Request, response: Response) -> str:
        """The browser's id; a browser without one gets one with `response`."""
        if (known := self.browser(request)) is not None:
            return known
        browser = new_browser_id()
        self.set_browser(response, browser)
        return browser

    def _read(self, request: Request, name: str) -> str | None:
        value = request.cookies.get(name, "")
        return value if 0 < len(value) <= _LONGEST else None

    def _write(self, response: Response, name: str, value: str, lifetime: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=lifetime,
            path="/",
            secure=self._https,
            httponly=True,
            samesite="lax",
        )


def new_browser_id() -> str:
    """128 random bits, base64url."""
    return secrets.token_urlsafe(16)
