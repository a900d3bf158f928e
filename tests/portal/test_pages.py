"""What every page owes, whoever reads it: found by walking all links as each kind of reader."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from portal.frame.language import CODES
from tests.portal.conftest import ORIGIN, Browse, issue, permit_fields
from tests.portal.sources import PACKAGE
from tests.portal.surfer import Page, Surfer

READERS = ("", "chen", "lin", "zhao", "sun", "adams")
MACHINES = ("/api/", "/.well-known/", "/keys/", "/pki/", "/ledger/")
CSS_BUDGET, JS_BUDGET = 20 * 1024, 20 * 1024
_EVENT = re.compile(r"<[^>]+\son[a-z]+\s*=", re.IGNORECASE)
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.IGNORECASE)
_STYLE = re.compile(r"<style\b|<[^>]+\sstyle\s*=", re.IGNORECASE)
_SOURCE = re.compile(r"""<(?:script|img|link|iframe|source|object)[^>]*\s(?:src|href)="([^"]+)""")


def walk(surfer: Surfer, start: str = "/") -> Iterator[Page]:
    """Every page that can be reached by links from `start` (one of each shape of address)."""
    seen, waiting, shapes = {start}, [start], set()
    while waiting:
        page = surfer.get(waiting.pop())
        yield page
        for link in page.links:
            target = urlsplit(urljoin(str(page.answer.url), link))
            path = target.path + (f"?{target.query}" if target.query else "")
            if f"{target.scheme}://{target.netloc}" != ORIGIN or "lang=" in target.query:
                continue
            shape = re.sub(r"[0-9A-Za-z.-]{16,}", "*", path)
            if path not in seen and shape not in shapes and not path.startswith(MACHINES):
                seen.add(path)
                shapes.add(shape)
                waiting.append(path)


@pytest.fixture(scope="module")
def walked(app, house) -> dict[str, list[Page]]:
    """All pages of all readers, fetched once; there is something in every list."""
    from tests.portal.conftest import sign_in

    zhao = house.idp.people.find("zhao").actor
    issue(house, "zhao", "sun", "residence-permit", permit_fields())
    house.certificates.draft(zhao, "residence-permit", permit_fields())
    table = house.batches.template_file("residence-permit")
    good = house.batches.upload(zhao, "residence-permit", "", table, "permits.csv")
    house.batches.submit(zhao, good.id)
    house.batches.upload(zhao, "residence-permit", "", b"holder_name\n\xe9\xbe\x98\n", "bad.csv")
    found: dict[str, list[Page]] = {}
    for reader in READERS:
        surfer = Surfer(app, ORIGIN)
        if reader:
            sign_in(surfer, reader)
        found[reader] = list(walk(surfer))
        surfer.close()
    return found


@pytest.fixture
def pages(walked) -> list[Page]:
    return [page for some in walked.values() for page in some if _is_html(page)]


def _is_html(page: Page) -> bool:
    return page.answer.headers["content-type"].startswith("text/html")


def test_every_link_leads_somewhere(walked):
    dead = {(who, p.path) for who, some in walked.items() for p in some if p.status != 200}
    assert dead == set()
    assert min(len(some) for some in walked.values()) > 8


def test_every_page_says_what_it_is_in_its_language(pages):
    for page in pages:
        assert page.title.partition("–")[0].strip(), page.path
        assert page.html.count("<h1") == 1, page.path
        assert '<html lang="en">' in page.html
        assert page.answer.headers["content-language"] == "en"


def test_every_kind_of_entry_has_words_of_its_own(pages):
    assert {page.path for page in pages if "Another record" in page.text} == set()


def test_nothing_runs_on_a_page_but_our_own_file(pages):
    for page in pages:
        assert not _INLINE_SCRIPT.search(page.html), page.path
        assert not _STYLE.search(page.html), page.path
        assert not _EVENT.search(page.html), page.path
        assert "javascript:" not in page.html, page.path


def test_a_page_asks_nobody_else_for_anything(pages):
    for page in pages:
        policy = page.answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';"), page.path
        assert "unsafe" not in policy
        assert "*" not in policy
        for source in _SOURCE.findall(page.html):
            assert source.startswith("/"), (page.path, source)
            assert not source.startswith("//"), (page.path, source)


def test_pages_about_people_are_kept_by_no_cache_and_shown_in_no_frame(pages):
    for page in pages:
        headers = page.answer.headers
        assert headers["cache-control"] == "no-store", page.path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_every_id_is_there_once_and_every_reference_to_one_leads_to_it(pages):
    for page in pages:
        assert len(page.ids) == len(set(page.ids)), page.path
        wanted = set(re.findall(r'\s(?:for|aria-labelledby|aria-describedby)="([^"]+)"', page.html))
        missing = {i for each in wanted for i in each.split()} - set(page.ids)
        assert missing == set(), page.path
        anchors = {link[1:] for link in page.links if link.startswith("#")}
        assert anchors <= set(page.ids), page.path


def test_every_form_that_changes_something_carries_a_token(pages):
    sent = [(page, form) for page in pages for form in page.forms if form.method == "post"]
    assert len(sent) > 40
    for page, form in sent:
        assert form.value("form_token"), (page.path, form.action)
        assert form.buttons, (page.path, form.action)


@pytest.mark.parametrize("code", CODES)
def test_every_page_is_there_in_every_language(browse: Browse, code):
    for reader in ("", "chen", "zhao"):
        surfer = browse(reader, language=code)
        for page in walk(surfer):
            assert page.status == 200, page.path
            if _is_html(page) and code != "en":
                assert re.search(r"[\u4e00-\u9fff]{2}", page.text), page.path


def test_the_language_is_chosen_by_a_link_and_kept(browse: Browse):
    surfer = browse(language="en")
    assert '<html lang="zh-TW">' in surfer.get("/verify?lang=zh-Hant").html
    assert '<html lang="zh-TW">' in surfer.get("/help").html
    assert '<html lang="zh-CN">' in surfer.get("/help?lang=zh-Hans").html
    # What is not a language is not kept and changes nothing.
    assert '<html lang="zh-CN">' in surfer.get('/help?lang="><script>').html


def test_a_language_link_keeps_the_question_of_the_page(browse: Browse):
    page = browse().get("/verify?number=JY1")
    assert "?number=JY1&lang=zh-Hant" in page.links


# --- errors have a way back ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/staff", 404), ("/me/certificates/none", 404)]
)
def test_an_error_page_says_what_happened_and_leads_on(browse: Browse, path, status):
    page = browse("lin").get(path)
    assert page.status == status
    assert {"/", "/help"} <= set(page.links)
    assert page.answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_a_page_that_takes_forms_only_says_so(browse: Browse):
    page = browse().get("/verify/number")
    assert page.status == 405
    assert "/" in page.links


def test_an_odd_cursor_is_a_refusal_and_no_fault(browse: Browse):
    for path in ("/me/access?after=%00", "/me/access?after=W10", "/me/access?after=" + "A" * 999):
        page = browse("chen").get(path)
        assert page.status == 400
        assert "/" in page.links


def test_a_fault_of_ours_names_the_request_and_nothing_else(house, browse: Browse, monkeypatch):
    class Broken(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise Broken("陈静怡 99000119900307002")

    surfer = browse("chen")
    monkeypatch.setattr(house.certificates, "held_by", fail)
    page = surfer.get("/me")
    assert page.status == 500
    assert page.answer.headers["x-request-id"] in page.text
    assert "99000119900307002" not in page.html
    assert "Broken" not in page.html
    assert "/help" in page.links


# --- static files -------------------------------------------------------------------------------


def test_static_files_are_small_and_kept_by_their_digest(browse: Browse):
    surfer = browse()
    page = surfer.get("/")
    for name, budget in (("style.css", CSS_BUDGET), ("app.js", JS_BUDGET)):
        address = re.search(rf'"(/static/{name}\?v=[0-9a-f]+)"', page.html)[1]
        answer = surfer.get(address).answer
        assert len(answer.content) <= budget
        assert "immutable" in answer.headers["cache-control"]
        assert surfer.get(f"/static/{name}?v=0").answer.headers["cache-control"] == "no-cache"
    assert len(page.answer.content) < 16 * 1024


@pytest.mark.parametrize(
    "name", ["../render.py", "..%2frender.py", "%2e%2e/render.py", "style.css%00", "nothing.css"]
)
def test_only_files_that_were_put_there_are_served(browse: Browse, name):
    answer = browse().get(f"/static/{name}").answer
    assert answer.status_code == 404
    assert "import" not in answer.text


@cache
def _templates() -> dict[str, str]:
    folder = PACKAGE / "templates"
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*.*"))}


def test_every_template_is_drawn_by_somebody():
    text = "\n".join([*_templates().values(), *(f.read_text() for f in PACKAGE.rglob("*.py"))])
    named = {name for name in _templates() if f'"{name}"' in text}
    chosen = {name for name in _templates() if f'"{name.partition("/")[0]}/" ~' in text}
    assert set(_templates()) - named - chosen == set()


def test_every_class_a_template_names_has_a_rule():
    css = Path(PACKAGE, "static", "style.css").read_text()
    styled = set(re.findall(r"\.([a-z][a-z-]*)", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)))
    markup = "\n".join(_templates().values())
    code = "\n".join(f.read_text() for f in PACKAGE.rglob("*.py"))
    used = {
        name
        for value in re.findall(r'class="((?:[^"{]|\{\{.*?\}\}|\{%.*?%\})*)"', markup + code)
        for name in re.findall(r"[a-z][a-z-]*", re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", value))
    }
    assert used - styled == set()
