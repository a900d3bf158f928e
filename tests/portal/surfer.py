"""A browser that knows HTML forms, cookies and redirects, and no JavaScript at all.

It sends what a browser would send: the values that stand in the form, the changes somebody typed,
and the one button that was pressed. Whatever a test does with it works without a script.
"""

import asyncio
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

FILE = tuple[str, bytes, str]
_VOID_TYPES = {"submit", "button", "reset", "image", "file"}


@dataclass
class FormOnPage:
    """A form as it stands on a page: where it goes, what is in it, which buttons it has."""

    action: str
    method: str = "get"
    multipart: bool = False
    values: list[tuple[str, str]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def value(self, name: str) -> str:
        return dict(self.values)[name]


class _Reader(HTMLParser):
    """Collects forms, links, headings and text."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FormOnPage] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.title = ""
        self._form: FormOnPage | None = None
        self._inside: list[str] = []
        self._area: tuple[str, list[str]] | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            multipart = given.get("enctype") == "multipart/form-data"
            self._form = FormOnPage(given.get("action", ""), given.get("method", "get"), multipart)
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(tag, given, dict(attrs))

    def _control(self, tag: str, given: dict[str, str], raw: dict[str, str | None]) -> None:
        form, name = self._form, given.get("name", "")
        assert form is not None
        if tag == "button" and given.get("type", "submit") == "submit":
            form.buttons.append((name, given.get("value", "")))
        if tag == "option" and self._select:
            self._select[1].append((given.get("value", ""), "selected" in raw))
        if not name or "disabled" in raw:
            return
        kind = given.get("type", "text")
        if tag == "input" and kind == "file":
            form.files.add(name)
        elif tag == "input" and kind in {"checkbox", "radio"}:
            if "checked" in raw:
                form.values.append((name, given.get("value", "on")))
        elif tag == "input" and kind not in _VOID_TYPES:
            form.values.append((name, given.get("value", "")))
        elif tag == "textarea":
            self._area = (name, [])
        elif tag == "select":
            self._select = (name, [])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea" and self._area and self._form:
            self._form.values.append((self._area[0], "".join(self._area[1])))
            self._area = None
        elif tag == "select" and self._select and self._form:
            name, options = self._select
            chosen = [value for value, selected in options if selected] or [options[0][0]]
            self._form.values.append((name, chosen[0]))
            self._select = None
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)
        if "title" in self._inside:
            self.title += data
        elif not {"script", "style"} & set(self._inside):
            self.words.append(data)


@dataclass(frozen=True)
class Page:
    """What came back, read once."""

    answer: httpx.Response
    forms: list[FormOnPage]
    links: list[str]
    ids: list[str]
    text: str
    title: str

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def path(self) -> str:
        return self.answer.url.path

    @property
    def html(self) -> str:
        return self.answer.text

    def form(self, action: str) -> FormOnPage:
        """The form that goes to `action`."""
        found = [form for form in self.forms if form.action == action]
        assert found, (
            f"no form to {action} on {self.path}; there are {[f.action for f in self.forms]}"
        )
        return found[0]


class Surfer:
    """One browser of one person. Redirects are followed as long as they stay on this site."""

    def __init__(self, app: Any, origin: str, language: str = "en") -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.origin = origin
        self.left: str = ""  # where the last redirect to another site pointed
        self.follows = True  # redirects to this site; else one request is one request
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=transport,
            base_url=origin,
            headers={"accept": "text/html", "accept-language": language},
        )

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def keep_no_cookies(self) -> None:
        """As a browser that blocks them."""
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, path: str, **options: Any) -> Page:
        return self._open("GET", path, **options)

    def post(self, path: str, data: Any = None, **options: Any) -> Page:
        """A POST that no form of ours made: what an attacker, or a stale tab, would send."""
        return self._open("POST", path, data=data, **options)

    def cookies_set_by(self, method: str, path: str, **options: Any) -> list[str]:
        """By the first answer, whatever follows it."""
        answer = self._runner.run(self._client.request(method, path, **options))
        return answer.headers.get_list("set-cookie")

    def send(
        self,
        page: Page,
        action: str,
        press: tuple[str, str] | None = None,
        files: dict[str, FILE] | None = None,
        without: tuple[str, ...] = (),
        **typed: str | list[str],
    ) -> Page:
        """Type into the form that goes to `action`, choose files, press a button."""
        form = page.form(action)
        unknown = (files or {}).keys() - form.files
        assert not unknown, f"the form has no file field {unknown}"
        values = [(k, v) for k, v in form.values if k not in typed and k not in without]
        for name, value in typed.items():
            values += [(name, v) for v in (value if isinstance(value, list) else [value])]
        values += [press] if press else []
        target = urljoin(str(page.answer.url), form.action)
        if form.method == "get":
            return self._open("GET", target, params=values)
        data: dict[str, Any] = {}
        for name, value in values:
            data.setdefault(name, []).append(value)
        if form.multipart:
            empty: FILE = ("", b"", "application/octet-stream")
            chosen = {name: (files or {}).get(name, empty) for name in form.files}
            return self._open("POST", target, data=data, files=chosen)
        return self._open("POST", target, data=data)

    def _open(self, method: str, url: str, **options: Any) -> Page:
        self.left = ""
        answer = self._runner.run(self._client.request(method, url, **options))
        for _ in range(8):
            if not answer.has_redirect_location:
                break
            target = urljoin(str(answer.url), answer.headers["location"])
            if urlsplit(target)[:2] != urlsplit(self.origin)[:2]:
                self.left = target
                break
            if not self.follows:
                break
            assert answer.status_code == 303, "only 303 makes every browser fetch with GET"
            answer = self._runner.run(self._client.get(target))
        return read(answer)


def read(answer: httpx.Response) -> Page:
    """Parse an answer; what is not HTML has no forms."""
    reader = _Reader()
    if answer.headers.get("content-type", "").startswith("text/html"):
        reader.feed(answer.text)
    text = " ".join(" ".join(reader.words).split())
    return Page(answer, reader.forms, reader.links, reader.ids, text, reader.title)


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
