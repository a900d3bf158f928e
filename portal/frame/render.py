"""Pages out of templates: one Jinja environment, strict about names, escaping everything.

A template sees the words of its language (`t`, `tn`), dates, the visitor, a token for each of its
forms, and what the route hands in. An unknown name is an error, not an empty string.

Static files are read once into memory under their exact names, so there is no path to traverse;
their URLs carry a digest of the content and may be kept for a year.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import HTTPConnection

from idp import (
    Cookies,
    new_browser_id,
)
from portal.frame import language, session
from portal.frame.forms import show_invisible
from portal.frame.language import CODES, Language, Languages

_HERE = Path(__file__).parents[1]
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file: its bytes, its media type, and a digest that names this version."""

    body: bytes
    media_type: str
    version: str


class Pages:
    """Renders templates for a request. One per application; holds no request."""

    def __init__(self, languages: Languages, cookies: Cookies, *, sandbox: bool) -> None:
        self.languages = languages
        self.cookies = cookies
        self.assets = _read_assets(_HERE / "static")
        self._environment = _environment(sandbox, self.assets)

    def language(self, request: HTTPConnection) -> Language:
        """The language this request wants; what a person chose here goes before what the service
        that sent them asks for (`ui_locales`, OIDC Core §3.1.2.1)."""
        interaction = getattr(request.state, "interaction", None)
        return self.languages.choose(
            request.query_params.get("lang", ""),
            request.cookies.get(language.COOKIE, ""),
            interaction.ui_locales if interaction else (),
            request.headers.get("accept-language", ""),
        )

    def page(
        self,
        request: HTTPConnection,
        visitor: session.Visitor,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """The finished page. A browser without its own cookie gets one, if the page has a form."""
        html, browser = self.html(request, visitor, template, **values)
        response = HTMLResponse(html, status, headers=dict(headers or {}))
        if browser and not visitor.browser:
            self.cookies.set_browser(response, browser)
        self._finish(request, response)
        return response

    def html(
        self, request: HTTPConnection, visitor: session.Visitor, template: str, **values: object
    ) -> tuple[str, str]:
        """The page as text, and the browser secret its forms hang on ("" when none does)."""
        lang = self.language(request)
        browser: list[str] = []

        def browser_token(path: str, about: str = "") -> Markup:
            if not browser:
                browser.append(visitor.browser or new_browser_id())
            return _hidden(session.form_token(browser[0], path, about))

        def form_token(path: str) -> Markup:
            if visitor.session_id:
                return _hidden(session.form_token(visitor.session_id, path))
            return browser_token(path)

        context = {
            "lang": lang,
            "t": lang.say,
            "tn": lang.count,
            "visitor": visitor,
            "actor": visitor.actor,
            "path": request.url.path,
            "tongues": self._tongues(request, lang),
            "form_token": form_token,
            "browser_token": browser_token,
            "errors": (),
            **values,
        }
        html = self._environment.get_template(template).render(context)
        return html, browser[0] if browser else ""

    def _finish(self, request: HTTPConnection, response: Response) -> None:
        asked = request.query_params.get("lang", "")
        if asked in CODES:
            response.set_cookie(
                language.COOKIE,
                asked,
                max_age=_YEAR,
                path="/",
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="lax",
            )
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Content-Language"] = self.language(request).tag
        response.headers["Vary"] = "Accept-Language, Cookie"

    def _tongues(self, request: HTTPConnection, now: Language) -> list[dict[str, object]]:
        """The links that show this same page in each language."""
        kept = [(k, v) for k, v in parse_qsl(request.url.query) if k != "lang"]
        return [
            {
                "language": each,
                "now": each.code == now.code,
                "href": f"?{urlencode([*kept, ('lang', each.code)])}",
            }
            for each in self.languages
        ]


def _hidden(token: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(session.FIELD, token)


def _environment(sandbox: bool, assets: Mapping[str, Asset]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["sandbox"] = sandbox
    environment.globals["asset"] = lambda name: f"/static/{name}?v={assets[name].version}"
    environment.filters["visible"] = show_invisible
    return environment


def _read_assets(folder: Path) -> dict[str, Asset]:
    assets = {}
    for file in sorted(folder.iterdir()):
        body = file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        assets[file.name] = Asset(body, kind, hashlib.sha256(body).hexdigest()[:12])
    return assets
