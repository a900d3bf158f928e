"""What every page asks for: who are you, is this form yours, which page next.

A route asks the context for the visitor (`visitor`, `person`, `officer`), hands a form over to be
checked (`accept`), calls one service, and lets the context draw the answer (`page`) or send the
browser on (`go`). Routes decide nothing.
"""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from foundation.actor import ANONYMOUS
from foundation.batching import ASKER
from foundation.errors import Malformed, YinzhengError
from idp import Cookies, Interaction, new_browser_id
from portal.frame import problems, session
from portal.frame.addresses import address_of
from portal.frame.errors import CookiesBlocked, CookieWanted, OfficeNeeded, SignInNeeded
from portal.frame.language import Language, Languages
from portal.frame.render import Pages
from portal.frame.session import Visitor, role_of
from portal.frame.site import Site

MAX_FIELDS = 200
_COOKIE_GIVEN = (
    "cookie"  # in the address of a page that was opened once more to see whether it is kept
)
MAX_FILES = 2  # a document and the signature beside it


async def read_form(request: Request) -> FormData:
    """The posted form; two files at most. The middleware has already limited the bytes.

    A text with a NUL in it is nobody's: PostgreSQL can neither hold nor look for one.
    """
    form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)
    if any(isinstance(value, str) and "\0" in value for _, value in form.multi_items()):
        raise Malformed("a field holds a character that no text has")
    return form


Form = Annotated[FormData, Depends(read_form)]


class PageContext:
    """One per application."""

    def __init__(self, site: Site) -> None:
        public = urlsplit(site.settings.public_url)
        self.site = site
        self._proxies = tuple(map(ip_network, site.settings.proxies))
        self.origin = f"{public.scheme}://{public.netloc}"
        self.cookies = Cookies(site.idp.issuer)
        self.pages = Pages(Languages.read(), self.cookies, sandbox=site.settings.mode == "sandbox")

    # --- who is it? -----------------------------------------------------------------------------

    def visitor(self, request: Request) -> Visitor:
        """Who this browser is; read once a request."""
        known = getattr(request.state, "visitor", None)
        if isinstance(known, Visitor):
            return known
        session_id = self.cookies.session(request) or ""
        found = self.site.idp.session(session_id)
        visitor = Visitor(
            actor=found.actor if found else ANONYMOUS,
            session_id=session_id if found else "",
            browser=self.cookies.browser(request) or "",
        )
        request.state.visitor = visitor
        request.scope.setdefault("state", {})[ASKER] = role_of(visitor)
        return visitor

    def person(self, request: Request, after_form: str = "/") -> Visitor:
        """The signed-in person. Raises `SignInNeeded`, which leads back to this page, and from a
        form, whose fields are lost, to `after_form`."""
        visitor = self.visitor(request)
        if not visitor.signed_in:
            query = f"?{request.url.query}" if request.url.query else ""
            back = request.url.path + query if request.method in {"GET", "HEAD"} else after_form
            raise SignInNeeded(session.safe_return(back, "/"))
        return visitor

    def officer(self, request: Request) -> Visitor:
        """A signed-in officer of a department. Raises `SignInNeeded` or `OfficeNeeded`."""
        visitor = self.person(request)
        if not visitor.actor.organisation or not visitor.actor.roles:
            raise OfficeNeeded("there is nothing at this address")
        return visitor

    def now(self, request: Request) -> datetime:
        """The time of this request; the clock is read once."""
        known = getattr(request.state, "now", None)
        if isinstance(known, datetime):
            return known
        now = self.site.clock()
        request.state.now = now
        return now

    def address(self, request: Request) -> str:
        """Where the visitor sits; see `portal/frame/addresses.py`."""
        return address_of(request, self._proxies)

    def accept(self, request: Request, form: FormData) -> None:
        """Refuse a form that this browser did not get from us. Raises `ForeignForm`."""
        visitor = self.visitor(request)
        secret = visitor.session_id or visitor.browser
        session.check_form(request, secret, _token(form), self.origin)

    def word(self, request: Request) -> str:
        """What an accepted form's browser is known by at this address; see `session.word_for`."""
        visitor = self.visitor(request)
        return session.word_for(visitor.session_id or visitor.browser, request.url.path)

    def accept_from_browser(self, request: Request, form: FormData, about: str = "") -> None:
        """The same for sign-in and consent, whose forms hang on the browser, not the session."""
        browser = self.cookies.browser(request) or ""
        session.check_form(request, browser, _token(form), self.origin, about)

    def need_cookie(self, request: Request) -> None:
        """This browser has the cookie on which its sign-in hangs.

        Raises `CookieWanted`, which gives it one, then `CookiesBlocked` when that does not come
        back: no script is needed to know.
        """
        if self.cookies.browser(request) is not None:
            return
        if request.method == "GET" and _COOKIE_GIVEN not in request.query_params:
            query = urlencode([*request.query_params.multi_items(), (_COOKIE_GIVEN, "1")])
            raise CookieWanted(f"{request.url.path}?{query}")
        raise CookiesBlocked(
            "the browser did not send back the cookie of this site",
            next_step="allow cookies for this site and open the page again",
        )

    def serve(self, request: Request, interaction: Interaction) -> None:
        """This request belongs to a service's sign-in request: from here on its pages speak the
        languages that the service asks for, and errors lead back to the service."""
        request.state.interaction = interaction

    # --- what next? -----------------------------------------------------------------------------

    def language(self, request: Request) -> Language:
        """The language in which this request is answered."""
        return self.pages.language(request)

    def page(self, request: Request, template: str, **values: Any) -> Response:
        """A finished page; `status` and `headers` may be given."""
        return self.pages.page(request, self.visitor(request), template, **values)

    def go(self, path: str) -> RedirectResponse:
        """303 See Other: the browser fetches the next page with GET (attack 8)."""
        return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})

    def error_page(self, request: Request, error: YinzhengError, request_id: str) -> Response:
        """Any refusal as a page; what needs a person goes to the sign-in page instead."""
        if isinstance(error, SignInNeeded):
            return self.go(error.at or f"/signin?next={quote(error.back)}")
        if isinstance(error, CookieWanted):
            response = self.go(error.back)
            self.cookies.set_browser(response, new_browser_id())
            return response
        lang = self.language(request)
        shown = problems.refusal(lang, error, self.site.clock())
        return self.pages.page(
            request,
            self._visitor_or_nobody(request, error),
            "error.html",
            status=error.status,
            headers=_retry(error),
            refusal=shown,
            request_id=request_id if error.status >= 500 else "",
            for_service=_for_service(error),
            way_back=_way_back(request, error),
            again=_again(request, error),
        )

    def _visitor_or_nobody(self, request: Request, error: YinzhengError) -> Visitor:
        """Drawing a fault must not need what may just have failed."""
        return Visitor() if error.status >= 500 else self.visitor(request)


def upload(form: FormData, name: str) -> UploadFile | None:
    """The file that was sent under `name`, None when the field was left empty."""
    file = form.get(name)
    return file if isinstance(file, UploadFile) and file.filename else None


def _token(form: FormData) -> str:
    token = form.get(session.FIELD)
    return token if isinstance(token, str) else ""


def _retry(error: YinzhengError) -> dict[str, str]:
    seconds = getattr(error, "retry_after", 0)
    return {"Retry-After": str(seconds)} if seconds else {}


def _again(request: Request, error: YinzhengError) -> str:
    """The page to open once more, when its reader has done what the refusal asks."""
    path = request.url.path
    to_sign_in = isinstance(error, CookiesBlocked) and path.startswith(("/signin", "/consent/"))
    return path.removesuffix("/continue") if to_sign_in else ""


def _for_service(error: YinzhengError) -> str:
    """What the developers of a service need to put its request right: code and rule."""
    code = error.params.get("error", "")
    return f"{code}: {error.detail}" if code else ""


def _way_back(request: Request, error: YinzhengError) -> str:
    """Where a refused sign-in came from, if the client registered an address of its own."""
    interaction = getattr(request.state, "interaction", None)
    uri = interaction.client.way_back if interaction else error.params.get("client_uri", "")
    return uri if uri.startswith(("https://", "http://")) else ""
