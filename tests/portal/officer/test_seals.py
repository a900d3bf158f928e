"""The keeper's desk: a seal from its application to the end, by two people, at their screens."""

import itertools

from server.sandbox import seeds
from tests.portal.conftest import Browse, permit_fields
from tests.portal.surfer import Page, Surfer

_codes = itertools.count(9_900_010_000_100)


def apply(surfer: Surfer, **changes: str) -> Page:
    """Type, look at the drawing, and apply for exactly that."""
    typed = {
        "name": seeds.POLICE.name,
        "kind": "business",
        "line": "证照专用章",
        "code": str(next(_codes)),
    } | changes
    drawn = surfer.send(
        surfer.get("/staff/seals/new"), "/staff/seals/new", ("then", "preview"), **typed
    )
    if drawn.status != 200:
        return drawn
    return surfer.send(drawn, "/staff/seals/new", ("then", "apply"))


def step(surfer: Surfer, path: str, act: str, **typed: str) -> Page:
    return surfer.send(surfer.get(f"{path}/{act}"), f"{path}/{act}", **typed)


def active_seal(drafter: Surfer, keeper: Surfer) -> str:
    path = apply(drafter).path
    step(keeper, path, "approve")
    step(keeper, path, "make")
    step(keeper, path, "file", reason="沪印备 2026-17")
    step(keeper, path, "activate")
    return path


def test_a_seal_is_drawn_before_anybody_applies(browse: Browse):
    surfer = browse("zhao")
    typed = {"name": seeds.POLICE.name, "kind": "statutory", "code": str(next(_codes))}
    page = surfer.send(
        surfer.get("/staff/seals/new"), "/staff/seals/new", ("then", "preview"), **typed
    )
    address = page.html.partition('src="/staff/seals/preview.svg')[2].partition('"')[0]
    picture = surfer.get("/staff/seals/preview.svg" + address.replace("&amp;", "&")).answer
    assert picture.headers["content-type"] == "image/svg+xml"
    assert page.form("/staff/seals/new").value("code") == typed["code"]
    assert typed["code"] not in surfer.get("/staff/seals").text


def test_the_whole_life_of_a_seal(browse: Browse, house):
    drafter, keeper = browse("zhao"), browse("sun")
    path = active_seal(drafter, keeper)
    page = keeper.get(path)
    assert "In force" in page.text
    assert "沪印备 2026-17" in page.text
    assert {"赵磊", "孙悦"} <= {name for name in ("赵磊", "孙悦") if name in page.text}
    assert "Suspended" in step(keeper, path, "suspend", reason="Lost token").text
    assert "In force" in step(keeper, path, "resume", reason="Found again").text
    assert "Revoked" in step(keeper, path, "revoke", reason="Office closed").text
    assert "Destroyed" in step(keeper, path, "destroy", reason="Retention is over").text
    assert path.rpartition("/")[2] in browse().get("/issuers").html  # it stays on the public list


def test_who_applied_does_not_decide(browse: Browse):
    keeper = browse("sun")
    path = apply(keeper).path
    page = keeper.get(path)
    assert "another officer has to decide" in page.text
    refused = step(keeper, path, "approve")
    assert refused.status == 403
    assert "two different people" in refused.text


def test_a_drafter_is_no_keeper(browse: Browse):
    drafter = browse("zhao")
    path = apply(browse("sun")).path
    assert not [link for link in drafter.get(path).links if link.endswith("/approve")]
    assert step(drafter, path, "approve").status == 403


def test_a_step_that_the_state_does_not_know_changes_nothing(browse: Browse):
    keeper = browse("sun")
    path = apply(browse("zhao")).path
    for act in ("activate", "make"):
        assert step(keeper, path, act).status == 409
    assert "Applied for" in keeper.get(path).text


def test_grave_steps_need_a_reason(browse: Browse):
    keeper = browse("sun")
    path = active_seal(browse("zhao"), keeper)
    for act in ("suspend", "revoke", "renew"):
        page = step(keeper, path, act, reason=" ")
        assert page.status == 422
        assert "#reason" in page.links


def test_a_new_version_needs_two_people_too(browse: Browse):
    drafter, keeper = browse("zhao"), browse("sun")
    path = active_seal(drafter, keeper)
    step(drafter, path, "renew", reason="The key is five years old")
    assert "The key is five years old" in keeper.get(path).text
    step(keeper, path, "approve")
    page = step(keeper, path, "make")
    assert "Version 2 applied for" in page.text


def test_a_name_that_nobody_can_read_is_refused_and_stays_in_its_field(browse: Browse):
    page = apply(browse("zhao"), name="示例市\u202e局安公")
    assert page.status == 422
    assert "#name" in page.links
    assert page.form("/staff/seals/new").value("line") == "证照专用章"


def test_the_same_code_is_not_taken_twice(browse: Browse):
    surfer, code = browse("zhao"), str(next(_codes))
    apply(surfer, code=code)
    assert apply(surfer, code=code).status == 409


def test_a_suspended_only_seal_stops_drafting_with_a_sentence(house, browse: Browse):
    keeper, drafter = browse("baker"), browse("adams")
    seal = house.seals.for_owner(seeds.CHICAGO.code)[0]
    path = f"/staff/seals/{seal.id}"
    step(keeper, path, "suspend", reason="Audit")
    page = drafter.get("/staff/drafts/new?type=residence-permit")
    refused = drafter.send(page, "/staff/drafts", ("then", "preview"), **permit_fields())
    assert refused.status == 503
    assert "no usable seal" in refused.text
    step(keeper, path, "resume", reason="Audit is over")
