"""Drafting, previewing, reviewing: four eyes, and nothing typed is lost. Without any script."""

import pytest

from tests.portal.conftest import Browse, permit_fields
from tests.portal.surfer import Page, Surfer

NEW = "/staff/drafts/new?type=residence-permit"


def draft(surfer: Surfer, **changes: str) -> Page:
    """Fill the form and ask for the preview."""
    fields = permit_fields(**changes)
    return surfer.send(surfer.get(NEW), "/staff/drafts", ("then", "preview"), **fields)


def submitted(surfer: Surfer) -> str:
    page = draft(surfer)
    draft_id = page.path.split("/")[3]
    assert "In review" in surfer.send(page, f"/staff/drafts/{draft_id}/submit").text
    return draft_id


def test_a_mistake_is_named_at_its_field_and_everything_typed_stays(browse: Browse):
    surfer = browse("zhao")
    page = draft(surfer, resident_number="990001199003070021", birth_date="1990-02-31")
    assert page.status == 422
    form = page.form("/staff/drafts")
    for name, value in permit_fields().items():
        if name not in {"resident_number", "birth_date"}:
            assert form.value(name) == value
    assert form.value("resident_number") == "990001199003070021"
    assert "#resident_number" in page.links
    assert "resident_number-error" in page.ids
    assert page.title.startswith("Error")
    fixed = surfer.send(page, "/staff/drafts", ("then", "preview"), **permit_fields())
    assert fixed.path.endswith("/preview")


def test_the_preview_is_the_page_that_will_be_sealed(browse: Browse):
    surfer = browse("zhao")
    page = draft(surfer)
    picture = surfer.get(page.path + ".png").answer
    assert picture.content.startswith(b"\x89PNG")
    assert surfer.get(page.path + ".pdf").answer.content.startswith(b"%PDF")
    assert "陈静怡" in page.text


def test_the_drafter_is_told_why_approving_is_for_somebody_else(house, browse: Browse):
    surfer = browse("zhao")
    draft_id = submitted(surfer)
    page = surfer.get(f"/staff/review/{draft_id}")
    assert not [f for f in page.forms if f.action.endswith("/approve")]


def test_a_second_officer_approves_and_the_certificate_appears(house, browse: Browse):
    draft_id = submitted(browse("zhao"))
    surfer = browse("sun")
    assert f"/staff/review/{draft_id}" in surfer.get("/staff").links
    page = surfer.get(f"/staff/review/{draft_id}")
    page = surfer.send(page, f"/staff/review/{draft_id}/approve")
    assert page.path == f"/staff/drafts/{draft_id}/preview"
    made = house.certificates.issue(draft_id)
    page = surfer.get(page.path)
    assert f"/staff/certificates/{made.identifier}" in page.links
    assert "陈静怡" in surfer.get(f"/staff/certificates/{made.identifier}").text


def test_what_changed_after_it_was_looked_at_is_not_approved(house, browse: Browse):
    """Two tabs of the approver; in between the draft goes back and comes again, changed."""
    drafter, approver = browse("zhao"), browse("sun")
    draft_id = submitted(drafter)
    looked_at = approver.get(f"/staff/review/{draft_id}")
    approver.send(looked_at, f"/staff/review/{draft_id}/return", reason="The address is old.")
    page = drafter.get(f"/staff/drafts/{draft_id}")
    assert "The address is old." in page.text
    action = f"/staff/drafts/{draft_id}"
    changed = {"residence_address": "示例市平江路99号"}
    page = drafter.send(page, action, ("then", "preview"), **changed)
    drafter.send(page, f"{action}/submit")
    refused = approver.send(looked_at, f"/staff/review/{draft_id}/approve")
    assert refused.status == 409
    assert "示例市平江路99号" in refused.text
    # The page shows the content as it is now, and its form names that content.
    digest = refused.form(f"/staff/review/{draft_id}/approve").value("content_digest")
    assert digest != looked_at.form(f"/staff/review/{draft_id}/approve").value("content_digest")


def test_returning_needs_a_reason(browse: Browse):
    draft_id = submitted(browse("zhao"))
    surfer = browse("sun")
    page = surfer.get(f"/staff/review/{draft_id}")
    page = surfer.send(page, f"/staff/review/{draft_id}/return", reason="  ")
    assert page.status == 422
    assert "#reason" in page.links


def test_a_name_that_hides_something_shows_it(browse: Browse):
    """Attack 46: a bidirectional control would make the page read differently from the record."""
    page = draft(browse("zhao"), holder_name="陈\u202e怡静")
    assert page.status == 422
    assert "#holder_name" in page.links


def test_the_register_is_searched_from_two_characters_on(browse: Browse, permit):
    surfer = browse("zhao")
    assert surfer.get("/staff/certificates?q=J").status == 422
    page = surfer.get(f"/staff/certificates?q={permit.number}")
    assert f"/staff/certificates/{permit.identifier}" in page.links


@pytest.mark.parametrize("act", ["suspend", "withdraw", "cancel", "revoke"])
def test_a_legal_act_needs_a_reason_and_is_seen_at_once(browse: Browse, permit, act):
    surfer = browse("sun")
    path = f"/staff/certificates/{permit.identifier}/{act}"
    page = surfer.get(path)
    refused = surfer.send(page, path, reason_code="", note="Kept note.")
    assert refused.status == 422
    assert refused.form(path).value("note") == "Kept note."
    options = refused.html.partition("<select")[2].partition("</select>")[0]
    reason = options.split('value="')[2].split('"')[0]
    done = surfer.send(refused, path, reason_code=reason)
    assert done.path == f"/staff/certificates/{permit.identifier}"
    holder = browse("chen").get(f"/me/certificates/{permit.identifier}")
    assert holder.status == 200
    assert "Valid" not in holder.text.partition("Download")[0].partition("陈静怡")[0]


def test_an_act_the_present_state_does_not_know_is_refused(browse: Browse, permit):
    surfer = browse("sun")
    path = f"/staff/certificates/{permit.identifier}/revoke"
    first, second = surfer.get(path), surfer.get(path)
    reason = first.html.partition("<select")[2].split('value="')[2].split('"')[0]
    surfer.send(first, path, reason_code=reason)
    late = surfer.send(second, path, reason_code=reason)
    assert late.status == 409
