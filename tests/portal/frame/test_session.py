"""Form tokens, origins and returns: attacks 7, 9 and 10."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from portal.frame.errors import CookiesBlocked, ForeignForm
from portal.frame.session import check_form, form_token, safe_return, token_matches

ORIGIN = "https://yinzheng.test"
PATH = "/staff/drafts"


def request(*headers: tuple[str, str], path: str = PATH) -> Request:
    raw = [(b"host", b"yinzheng.test"), *((k.encode(), v.encode()) for k, v in headers)]
    return Request(
        {
            "type": "http",
            "method": "POST",
            "scheme": "https",
            "server": ("yinzheng.test", 443),
            "path": path,
            "query_string": b"",
            "headers": raw,
        }
    )


def test_a_token_is_good_for_its_form_its_session_and_its_subject_only():
    token = form_token("session-1", PATH, "chen")
    assert token_matches("session-1", PATH, token, "chen")
    assert not token_matches("session-2", PATH, token, "chen")
    assert not token_matches("session-1", "/signout", token, "chen")
    assert not token_matches("session-1", PATH, token, "lin")
    assert not token_matches("session-1", PATH, token)


def test_tokens_differ_every_time_so_that_compression_tells_nothing():
    assert form_token("session-1", PATH) != form_token("session-1", PATH)


def test_nobody_without_a_secret_has_a_good_token():
    assert not token_matches("", PATH, form_token("", PATH))


@given(st.text(max_size=60))
def test_a_made_up_token_is_never_good(token):
    assert not token_matches("session-1", PATH, token)


def test_parts_of_a_token_cannot_be_moved_between_its_fields():
    token = form_token("session-1", "/a", "b")
    assert not token_matches("session-1", "/a\nb", token, "")
    assert not token_matches("session-1", "/", token, "a\nb")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "none")],
        [("origin", ORIGIN)],
        [("sec-fetch-site", "same-origin"), ("origin", "https://other.test")],
    ],
)
def test_a_form_from_our_own_pages_is_taken(headers):
    check_form(request(*headers), "s", form_token("s", PATH), ORIGIN)


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
        [("origin", "https://evil.test")],
        [("origin", "null")],
        [("origin", "http://yinzheng.test")],
        [("origin", "https://yinzheng.test.evil.test")],
    ],
)
def test_a_form_from_elsewhere_is_refused_even_with_a_good_token(headers):
    with pytest.raises(ForeignForm):
        check_form(request(*headers), "s", form_token("s", PATH), ORIGIN)


def test_our_own_form_without_any_secret_hung_on_a_cookie_that_did_not_come_back():
    with pytest.raises(CookiesBlocked):
        check_form(request(("sec-fetch-site", "same-origin")), "", form_token("s", PATH), ORIGIN)
    with pytest.raises(ForeignForm):  # another site's form comes without cookies too
        check_form(request(("sec-fetch-site", "cross-site")), "", form_token("s", PATH), ORIGIN)


@pytest.mark.parametrize("path", ["/me", "/v/abc?lang=en", "/staff/bulk?after=x#row", "/", "/a//b"])
def test_a_path_on_this_site_is_a_return(path):
    assert safe_return(path, "") == path


HOSTILE = [
    "https://evil.test",
    "//evil.test",
    "///evil.test",
    "/\\evil.test",
    "\\/evil.test",
    "/\t/evil.test",
    "\t//evil.test",
    "/\n/evil.test",
    "/me\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.test",
    "/../../etc",
    "/a/../..//evil.test",
    "/me\x00",
    "/ /evil.test",
    "",
    "/" + "a" * 600,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_anything_else_is_no_return(path):
    assert safe_return(path, "/fallback") == "/fallback"


@given(st.text(alphabet="/\\.:@?#%\t\n ae", max_size=20))
def test_whatever_is_returned_to_stays_on_this_site(path):
    back = safe_return(path, "/fallback")
    # Browsers strip white space and read backslashes as slashes before they resolve (WHATWG URL).
    as_read = back.strip().replace("\\", "/").replace("\t", "").replace("\n", "")
    assert urlsplit(urljoin(ORIGIN, as_read))[:2] == urlsplit(ORIGIN)[:2]
