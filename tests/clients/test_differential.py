"""The same requests to oidc-provider and to us: the same outcome, or a written reason.

The reasons are a table in docs/standards.md, which this test reads. A difference without a reason
fails, and so does a reason without a difference.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.clients.conftest import REDIRECT_URI, Site
from tests.clients.requests import CASES, Ask
from tests.clients.sides import LOGGED_OUT_URI, Side, ours, rival

pytestmark = pytest.mark.node

DOCUMENT = Path(__file__).parents[2] / "docs" / "standards.md"
_ROW = re.compile(
    r"^\| `(?P<case>[^`]+)` \| (?P<ours>[^|]+) \| (?P<theirs>[^|]+) \| (?P<why>[^|]+) \|$"
)


@pytest.fixture(scope="module")
def sides(site: Site, packages: Path) -> Iterator[tuple[Side, Side]]:
    with ours(site) as mine, rival() as theirs:
        yield mine, theirs


@pytest.fixture(scope="module")
def reasons() -> dict[str, tuple[str, str, str]]:
    """Case to (ours, theirs, why), as written in docs/standards.md."""
    _, _, section = DOCUMENT.read_text().partition("## Differences from oidc-provider")
    rows = map(_ROW.match, section.splitlines())
    return {
        row["case"]: (row["ours"].strip(), row["theirs"].strip(), row["why"].strip())
        for row in rows
        if row
    }


@pytest.mark.parametrize("name", CASES)
def test_the_outcome_is_the_same_or_the_difference_has_a_reason(
    sides: tuple[Side, Side], reasons: dict[str, tuple[str, str, str]], name: str
):
    mine, theirs = (outcome(side, CASES[name](side)) for side in sides)

    if mine == theirs:
        assert name not in reasons, f"docs/standards.md explains a difference that is gone: {mine}"
    else:
        assert name in reasons, f"no reason in docs/standards.md: | `{name}` | {mine} | {theirs} |"
        assert reasons[name][:2] == (mine, theirs)
        assert len(reasons[name][2]) > 20, "a reason is a sentence"


def test_every_reason_belongs_to_a_request(reasons: dict[str, tuple[str, str, str]]):
    assert len(CASES) >= 60
    assert reasons.keys() <= CASES.keys()


def outcome(side: Side, ask: Ask) -> str:
    """What became of a request, in words that mean the same on both sides."""
    response = send(side, ask)
    if ask.method == "OPTIONS":
        return _options(response)
    if response.is_redirect:
        return _place(side, response.headers["location"])
    if ask.where in ("authorization_endpoint", "end_session_endpoint"):
        return _page(ask, response)
    return _answer(response)


def send(side: Side, ask: Ask) -> httpx.Response:
    url = side.metadata.get(ask.where, ask.where)
    if ask.method in ("GET", "HEAD", "OPTIONS"):
        asked = ask.pairs or None
        response = side.http.request(ask.method, url, params=asked, headers=ask.headers)
    elif ask.body is not None:
        response = side.http.post(url, json=ask.body, headers=ask.headers)
    else:
        body = str(httpx.QueryParams(ask.pairs))
        kind = {"content-type": "application/x-www-form-urlencoded"}
        response = side.http.post(url, content=body, headers={**kind, **ask.headers})
    if response.is_redirect and "/oauth/authorize" in response.headers["location"]:
        response = side.http.get(response.headers["location"])  # ours answers a POST with a GET
    return response


def _place(side: Side, location: str) -> str:
    if location.startswith(LOGGED_OUT_URI):
        return "back to the client"
    if not location.startswith(REDIRECT_URI):
        path = urlsplit(location).path
        assert location.startswith(("/", side.issuer)), location
        return "asks the person" if re.match(r"/(signin|interaction|signout)\b", path) else path
    parts = urlsplit(location)
    told = parse_qs(parts.query) | parse_qs(parts.fragment)
    return f"client is told {told['error'][0]}" if "error" in told else "client gets a code"


def _page(ask: Ask, response: httpx.Response) -> str:
    text = response.text
    if 'name="error"' in text:  # an answer by form
        return "client is told " + re.findall(r'name="error" value="([^"]+)"', text)[0]
    if response.status_code == 200 and ask.where == "end_session_endpoint":
        return "asks the person"
    return f"page {response.status_code}"


def _options(response: httpx.Response) -> str:
    scripts = "access-control-allow-origin" in response.headers
    return f"{response.status_code}, {'open' if scripts else 'closed'} to scripts"


def _answer(response: httpx.Response) -> str:
    try:
        told = response.json()
    except ValueError:
        told = {}
    if "error" in told:
        return f"{response.status_code} {told['error']}"
    if "active" in told:
        return f"{response.status_code} {'active' if told['active'] else 'inactive'}"
    return str(response.status_code)
