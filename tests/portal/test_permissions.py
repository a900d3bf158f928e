"""Who may open what: every page and every form, for everybody who might try.

The table names every route of the portal, and a test says so: a new page cannot be forgotten here.
What is not yours looks exactly like what does not exist.
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute

import portal
from portal.frame.session import form_token
from tests.portal.conftest import ORIGIN, Browse, Licence, issue, permit_fields
from tests.portal.signing_in.test_signin import authorize
from tests.portal.surfer import Page, Surfer

NOBODY, CITIZEN, HOLDER, CLERK, FOREIGN = "", "lin", "chen", "zhao", "wang"
EVERYONE = "everyone"  # also who is not signed in
PERSON = "person"  # whoever is signed in
HOLDS = "holds"  # whose certificate it is
OFFICE = "office"  # any officer of any department
MINE = "mine"  # officers of the department whose thing it is
INTERACTION = (
    "interaction"  # the browser that began this sign-in: tests/portal/signing_in/test_signin.py
)

RIGHTS = {
    "GET /": EVERYONE,
    "GET /issuers": EVERYONE,
    "GET /issuers/{seal_id}.svg": EVERYONE,
    "GET /status": EVERYONE,
    "GET /help": EVERYONE,
    "GET /accessibility": EVERYONE,
    "GET /privacy": EVERYONE,
    "GET /static/{name}": EVERYONE,
    "GET /favicon.ico": EVERYONE,
    "GET /developers": EVERYONE,
    "GET /developers/client.json": EVERYONE,
    "GET /developers/verify.py": EVERYONE,
    "GET /verify": EVERYONE,
    "POST /verify/number": EVERYONE,
    "POST /verify/file": EVERYONE,
    "POST /verify/photo": EVERYONE,
    "GET /verify/document": EVERYONE,
    "POST /verify/document": EVERYONE,
    "GET /v/{token}": EVERYONE,
    "POST /v/{token}": EVERYONE,
    "GET /signin": EVERYONE,
    "POST /signin": EVERYONE,
    "GET /signout": EVERYONE,
    "POST /signout": EVERYONE,
    "GET /signed-out": EVERYONE,
    "GET /signed-out/{name}": EVERYONE,
    "GET /signin/{interaction_id}": INTERACTION,
    "POST /signin/{interaction_id}": INTERACTION,
    "POST /signin/{interaction_id}/continue": INTERACTION,
    "GET /consent/{interaction_id}": INTERACTION,
    "POST /consent/{interaction_id}": INTERACTION,
    "GET /device": PERSON,
    "POST /device": PERSON,
    "POST /device/answer": PERSON,
    "GET /me": PERSON,
    "GET /me/sign-outs": PERSON,
    "GET /me/access": PERSON,
    "GET /me/access.csv": PERSON,
    "GET /me/certificates/{identifier}": HOLDS,
    "GET /me/certificates/{identifier}/certificate.pdf": HOLDS,
    "GET /me/certificates/{identifier}/show": HOLDS,
    "POST /me/certificates/{identifier}/show": HOLDS,
    "POST /me/certificates/{identifier}/show/end": HOLDS,
    "GET /staff": OFFICE,
    "GET /staff/drafts/new": OFFICE,
    "POST /staff/drafts": OFFICE,
    "GET /staff/drafts/{draft_id}": MINE,
    "POST /staff/drafts/{draft_id}": MINE,
    "GET /staff/drafts/{draft_id}/preview": MINE,
    "GET /staff/drafts/{draft_id}/preview.pdf": MINE,
    "GET /staff/drafts/{draft_id}/preview.png": MINE,
    "POST /staff/drafts/{draft_id}/submit": MINE,
    "GET /staff/review/{draft_id}": MINE,
    "POST /staff/review/{draft_id}/approve": MINE,
    "POST /staff/review/{draft_id}/return": MINE,
    "GET /staff/certificates": OFFICE,
    "GET /staff/certificates/{identifier}": MINE,
    "GET /staff/certificates/{identifier}/certificate.pdf": MINE,
    "GET /staff/certificates/{identifier}/{act}": MINE,
    "POST /staff/certificates/{identifier}/{act}": MINE,
    "GET /staff/seals": OFFICE,
    "GET /staff/seals/new": OFFICE,
    "POST /staff/seals/new": OFFICE,
    "GET /staff/seals/preview.svg": OFFICE,
    "GET /staff/seals/{seal_id}": MINE,
    "GET /staff/seals/{seal_id}/{act}": MINE,
    "POST /staff/seals/{seal_id}/{act}": MINE,
    "GET /staff/seals/{seal_id}/permits": MINE,
    "GET /staff/seals/{seal_id}/permits/new": MINE,
    "POST /staff/seals/{seal_id}/permits/new": MINE,
    "GET /staff/seals/{seal_id}/permits/{permit_id}": MINE,
    "POST /staff/seals/{seal_id}/permits/{permit_id}/approve": MINE,
    "POST /staff/seals/{seal_id}/permits/{permit_id}/withdraw": MINE,
    "POST /staff/seals/{seal_id}/permits/{permit_id}/use": MINE,
    "GET /staff/bulk": OFFICE,
    "POST /staff/bulk": OFFICE,
    "GET /staff/bulk/template/{type_name}.csv": OFFICE,
    "GET /staff/bulk/{batch_id}": MINE,
    "GET /staff/bulk/{batch_id}/errors.csv": MINE,
    "GET /staff/bulk/{batch_id}/rows/{row}.png": MINE,
    "POST /staff/bulk/{batch_id}/submit": MINE,
    "POST /staff/bulk/{batch_id}/approve": MINE,
    "POST /staff/bulk/{batch_id}/return": MINE,
    "POST /staff/bulk/{batch_id}/pause": MINE,
    "POST /staff/bulk/{batch_id}/resume": MINE,
    "GET /staff/bulk/{batch_id}/progress": MINE,
}
# What an address needs besides its path.
QUERIES = {
    "/staff/drafts/new": "?type=residence-permit",
    "/staff/seals/preview.svg": "?name=示例市公安局&code=9900010000009",
}
BEHIND_SIGN_IN = {r for r, right in RIGHTS.items() if right not in {EVERYONE, INTERACTION}}
FORMS = sorted(route for route in RIGHTS if route.startswith("POST"))


@dataclass(frozen=True)
class Things:
    """What the police department has: a certificate of Chen, a draft and a batch of Zhao."""

    permit: Licence
    draft: str
    batch: str
    seal: str
    seal_permit: str
    interaction: str = "none"

    def path(self, route: str) -> str:
        values = {
            "identifier": self.permit.identifier,
            "draft_id": self.draft,
            "batch_id": self.batch,
            "seal_id": self.seal,
            "permit_id": self.seal_permit,
            "interaction_id": self.interaction,
            "token": "none",
            "name": "style.css",
            "type_name": "residence-permit",
            "act": "suspend",
            "row": "2",
        }
        path = route.split(" ")[1].format(**values)
        return path + QUERIES.get(path, "")


@pytest.fixture(scope="module")
def things(house) -> Things:
    zhao = house.idp.people.find("zhao").actor
    draft = house.certificates.draft(zhao, "residence-permit", permit_fields())
    table = house.batches.template_file("residence-permit")
    batch = house.batches.upload(zhao, "residence-permit", "", table, "permits.csv")
    permit = issue(house, "zhao", "sun", "residence-permit", permit_fields())
    seal = house.seals.for_owner(zhao.organisation)[0]
    now = house.clock()
    with house.database.write() as tx:
        leave = house.seals.permits.ask(
            tx, seal.id, purpose="通知", quota=1, by=zhao, now=now, until=now + timedelta(days=1)
        )
    return Things(permit, draft.id, batch.id, seal.id, leave)


def ask(surfer: Surfer, route: str, path: str) -> Page:
    """Open a page, or send its form with a token that is as good as can be."""
    if route.startswith("GET"):
        return surfer.get(path)
    return surfer.post(path, {"form_token": own_token(surfer, path)})


def own_token(surfer: Surfer, path: str) -> str:
    secret = surfer.cookies.get("yz_session") or surfer.cookies.get("yz_browser") or ""
    return form_token(secret, path)


def is_sign_in(page: Page) -> bool:
    return page.path == "/signin" and "password" in [n for n, _ in page.form("/signin").values]


def test_the_table_names_every_route(house):
    built = portal.build(house)
    routes = {
        f"{method} {route.path}"
        for route in _all_routes(built)
        for method in route.methods - {"HEAD"}
    }
    assert routes == RIGHTS.keys()


def _all_routes(router) -> list[APIRoute]:
    found = []
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        found += _all_routes(inner) if inner is not None else [route]
    return [route for route in found if isinstance(route, APIRoute)]


@pytest.mark.parametrize("route", sorted(BEHIND_SIGN_IN))
def test_who_is_not_signed_in_is_led_to_the_sign_in_page(browse: Browse, things, route):
    assert is_sign_in(ask(browse(), route, things.path(route)))


@pytest.mark.parametrize("route", sorted(r for r, right in RIGHTS.items() if right == EVERYONE))
def test_public_pages_ask_nobody_who_they_are(browse: Browse, things, route):
    page = ask(browse(), route, things.path(route))
    assert page.status != 401
    assert route.endswith("/signin") or not page.path.startswith("/signin")
    if route.startswith("GET"):
        assert page.status == 200


@pytest.mark.parametrize(
    "route", sorted(r for r, right in RIGHTS.items() if right in {OFFICE, MINE})
)
def test_a_citizen_finds_nothing_at_the_addresses_of_offices(browse: Browse, things, route):
    page = ask(browse(CITIZEN), route, things.path(route))
    assert page.status == 404
    assert things.permit.number not in page.html


@pytest.mark.parametrize("route", sorted(r for r, right in RIGHTS.items() if right == MINE))
def test_an_officer_of_another_department_finds_nothing(browse: Browse, things, route):
    nothing = replace(things, permit=Licence("CN-NOTHING", ""), draft="no", batch="no", seal="no")
    for other in (FOREIGN, "li"):  # a drafter and an approver
        surfer = browse(other)
        theirs = ask(surfer, route, things.path(route))
        absent = ask(surfer, route, nothing.path(route))
        assert (theirs.status, theirs.title) == (absent.status, absent.title)
        # An office that may not do this at all is told so before anything is looked up.
        assert theirs.status in {403, 404}
        assert "陈静怡" not in theirs.html


@pytest.mark.parametrize("route", sorted(r for r, right in RIGHTS.items() if right == HOLDS))
def test_somebody_elses_certificate_does_not_exist(browse: Browse, things, route):
    for other in (CITIZEN, FOREIGN):
        mine_not = ask(browse(other), route, things.path(route))
        nothing = ask(browse(other), route, route.split(" ")[1].format(identifier="CN-NOTHING"))
        assert mine_not.status == nothing.status == 404
        assert mine_not.title == nothing.title


@pytest.mark.parametrize(
    "route", sorted(r for r, right in RIGHTS.items() if right == HOLDS and r.startswith("GET"))
)
def test_the_holder_opens_the_certificate(browse: Browse, things, route):
    assert browse(HOLDER).get(things.path(route)).status == 200


@pytest.mark.parametrize(
    "route",
    sorted(r for r, right in RIGHTS.items() if right in {OFFICE, MINE} and r.startswith("GET")),
)
def test_an_officer_opens_what_belongs_to_the_department(browse: Browse, things, route):
    assert browse(CLERK).get(things.path(route)).status == 200


def test_roles_decide_inside_a_department_too(browse: Browse, things):
    approver = browse("sun")  # may approve, may not draft
    page = ask(approver, "POST", "/staff/drafts")
    assert page.status in {403, 404}
    drafter = browse(CLERK)  # may draft, may not take a certificate back
    path = f"/staff/certificates/{things.permit.identifier}/revoke"
    sent = drafter.post(
        path, {"form_token": own_token(drafter, path), "reason_code": "bribery_or_fraud"}
    )
    assert sent.status in {403, 422}
    assert "Revoked" not in drafter.get(f"/staff/certificates/{things.permit.identifier}").text


# --- forms: attack 9 ----------------------------------------------------------------------------


def allowed(route: str) -> str:
    """Somebody who may send this form, so that only the form itself is in question."""
    return {EVERYONE: HOLDER, HOLDS: HOLDER, INTERACTION: HOLDER}.get(RIGHTS[route], CLERK)


def forged(surfer: Surfer, path: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Form and headers of everything that is not one of our own forms in this browser."""
    browser = surfer.cookies["yz_browser"]
    good = form_token(surfer.cookies["yz_session"], path)
    return {
        "no token": ({}, {}),
        "a token of another form": (
            {"form_token": form_token(surfer.cookies["yz_session"], "/")},
            {},
        ),
        "a token of another session": ({"form_token": form_token("somebody-else", path)}, {}),
        "a token of a browser that is another's": (
            {"form_token": form_token("b" + browser, path)},
            {},
        ),
        "another site": ({"form_token": good}, {"sec-fetch-site": "cross-site"}),
        "another origin": ({"form_token": good}, {"origin": "https://evil.test"}),
        "a hidden origin": ({"form_token": good}, {"origin": "null"}),
    }


@pytest.mark.parametrize("route", FORMS)
def test_a_form_that_is_not_ours_changes_nothing(browse: Browse, things, route):
    surfer = browse(allowed(route))
    if RIGHTS[route] == INTERACTION:
        things = replace(things, interaction=authorize(surfer, "state").path.rpartition("/")[2])
    path = things.path(route)
    for what, (data, headers) in forged(surfer, path).items():
        page = surfer.post(path, data, headers=headers)
        assert page.status == 403, what
        assert "form" in page.text.lower(), what


def test_a_form_token_from_before_signing_in_is_worthless_after(browse: Browse):
    surfer = browse()
    page = surfer.get("/verify")
    old = page.form("/verify/number").value("form_token")
    surfer.send(surfer.get("/signin"), "/signin", username="chen", password="yinzheng-sandbox")
    assert surfer.post("/verify/number", {"form_token": old, "number": "X1"}).status == 403


def test_signing_out_makes_open_forms_worthless(browse: Browse, permit):
    surfer = browse("chen")
    page = surfer.get(f"/me/certificates/{permit.identifier}/show")
    surfer.send(page, "/signout")
    assert surfer.left == ""
    again = surfer.send(page, page.path)
    assert is_sign_in(again)


# --- what a stranger learns ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["https://evil.test", "//evil.test", "/\\evil.test", "javascript:1"]
)
def test_signing_in_never_leads_to_another_site(browse: Browse, target):
    surfer = browse()
    page = surfer.send(
        surfer.get("/signin"), "/signin", username="chen", password="yinzheng-sandbox", next=target
    )
    assert surfer.left == ""
    assert page.path == "/me"
    assert str(page.answer.url).startswith(ORIGIN)


def test_signing_in_leads_back_to_the_page_that_was_asked_for(browse: Browse, permit):
    surfer = browse()
    wanted = f"/me/certificates/{permit.identifier}"
    page = surfer.get(wanted)
    assert is_sign_in(page)
    page = surfer.send(page, "/signin", username="chen", password="yinzheng-sandbox")
    assert page.path == wanted
    assert re.search(r"陈静怡", page.text)
