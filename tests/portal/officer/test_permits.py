"""Permits to use a seal: asked, granted by another officer, used by uploading, ended."""

from datetime import timedelta

import pytest

from foundation.clock import system_clock
from portal.frame.session import form_token
from server.sandbox import seeds
from signing.formats import SIGNATURES
from tests.portal.conftest import Browse
from tests.portal.surfer import Page, Surfer
from tests.signing.formats.test_dummy_signature import DummySignature
from tests.signing.pages import page as a_pdf

PURPOSE = "2026 年度年检通知"


@pytest.fixture
def seal(house) -> str:
    """The address of the police department's seal."""
    return f"/staff/seals/{house.seals.for_owner(seeds.POLICE.code)[0].id}"


def ask(surfer: Surfer, seal: str, **changes: str) -> Page:
    new = f"{seal}/permits/new"
    typed = {"purpose": PURPOSE, "quota": "1"} | changes
    return surfer.send(surfer.get(new), new, **typed)


def press(surfer: Surfer, path: str, act: str) -> Page:
    return surfer.send(surfer.get(path), f"{path}/{act}")


def by_hand(surfer: Surfer, path: str) -> Page:
    """A form that no page has shown, with a token that is as good as can be."""
    return surfer.post(path, {"form_token": form_token(surfer.cookies["yz_session"], path)})


def use(surfer: Surfer, path: str, name: str, data: bytes, how: str) -> Page:
    files = {"file": (name, data, "application/octet-stream")}
    return surfer.send(surfer.get(path), f"{path}/use", files=files, how=how)


def granted(browse: Browse, seal: str, **changes: str) -> tuple[Surfer, Surfer, str]:
    """Who asked, who approved, and the permit's address."""
    drafter, keeper = browse("zhao"), browse("sun")
    path = ask(drafter, seal, **changes).path
    press(keeper, path, "approve")
    return drafter, keeper, path


def test_a_file_is_sealed_under_a_permit_and_is_valid(browse: Browse, house, seal: str):
    drafter, _, path = granted(browse, seal)

    answer = use(drafter, path, "通知.pdf", a_pdf(), "pdf").answer

    assert answer.headers["content-type"] == "application/pdf"
    assert "-sealed.pdf" in answer.headers["content-disposition"]
    found = house.signing.validate(answer.content)
    assert (found.indication, found.seal_id) == ("valid", seal.rpartition("/")[2])
    assert "Used up" in drafter.get(path).text


@pytest.mark.parametrize(
    ("how", "ending", "judged"),
    [("cms", ".p7s", "valid"), ("jws", ".jws", "unknown")],  # nobody proves the time of a JWS
)
def test_any_file_gets_a_signature_beside_it(browse: Browse, house, seal, how, ending, judged):
    drafter, _, path = granted(browse, seal)

    answer = use(drafter, path, "minutes.txt", b"minutes", how).answer

    assert answer.headers["content-disposition"].endswith(f"minutes.txt{ending}")
    found = house.signing.validate(b"minutes", answer.content)
    assert (found.indication, found.check("integrity").result) == (judged, "pass")


def test_a_format_that_only_the_table_knows_is_offered_and_sealed(
    browse: Browse, house, seal, monkeypatch
):
    monkeypatch.setitem(SIGNATURES, "dummy", DummySignature())
    drafter, _, path = granted(browse, seal)
    assert '<option value="dummy">DUMMY</option>' in drafter.get(path).html

    answer = use(drafter, path, "minutes.txt", b"minutes", "dummy").answer

    assert answer.headers["content-type"] == "application/x-dummy"
    assert answer.headers["content-disposition"].endswith("minutes.txt.dummy")
    assert house.signing.validate(b"minutes", answer.content).format == "dummy"


def test_a_permit_for_one_file_seals_no_second(browse: Browse, seal: str):
    drafter, _, path = granted(browse, seal)
    before = drafter.get(path)  # a second tab that still shows the form
    use(drafter, path, "a.txt", b"a", "cms")

    files = {"file": ("b.txt", b"b", "text/plain")}
    again = drafter.send(before, f"{path}/use", files=files, how="cms")

    assert again.status == 409
    assert "used up" in again.text
    assert f'action="{path}/use"' not in again.html


def test_who_asked_does_not_approve(browse: Browse, seal: str):
    keeper = browse("sun")
    page = ask(keeper, seal)
    assert "another officer has to decide" in page.text
    assert f'action="{page.path}/approve"' not in page.html

    refused = by_hand(keeper, f"{page.path}/approve")
    assert refused.status == 403
    assert "two different people" in refused.text


def test_an_officer_without_the_right_sees_no_button_and_is_refused(browse: Browse, seal: str):
    path = ask(browse("sun"), seal).path
    assert f'action="{path}/approve"' not in browse("zhao").get(path).html
    assert by_hand(browse("zhao"), f"{path}/approve").status == 403


def test_nobody_uses_the_permit_of_another(browse: Browse, seal: str, house):
    _, keeper, path = granted(browse, seal)
    assert f'action="{path}/use"' not in keeper.get(path).html
    token = form_token(keeper.cookies["yz_session"], f"{path}/use")
    files = {"file": ("a.txt", b"a", "text/plain")}
    refused = keeper.post(f"{path}/use", {"form_token": token, "how": "cms"}, files=files)
    assert refused.status == 409
    assert "0 of 1" in keeper.get(path).text


def test_a_permit_that_was_ended_seals_nothing_more(browse: Browse, seal: str):
    drafter, keeper, path = granted(browse, seal, quota="5")
    before = drafter.get(path)
    assert "Ended" in press(keeper, path, "withdraw").text

    files = {"file": ("b.txt", b"b", "text/plain")}
    refused = drafter.send(before, f"{path}/use", files=files, how="cms")

    assert refused.status == 409


def test_a_request_that_was_ended_cannot_be_approved(browse: Browse, seal: str):
    path = ask(browse("zhao"), seal).path
    keeper = browse("sun")
    before = keeper.get(path)
    press(keeper, path, "withdraw")

    assert keeper.send(before, f"{path}/approve").status == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("purpose", wrong) for wrong in ("", "用" * 61)),
        *(("quota", wrong) for wrong in ("", "0", "-1", "1.5", "100001", "two")),
        *(("until", wrong) for wrong in ("", "tomorrow", "2020-01-01", "2026-02-30")),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(browse: Browse, seal: str, field, value):
    page = ask(browse("zhao"), seal, **{field: value})

    assert page.status == 422
    assert page.links.count(f"#{field}") == 1
    assert page.form(f"{seal}/permits/new").value(field) == value


def test_a_permit_may_end_today_and_then_holds_until_midnight(browse: Browse, seal: str, house):
    today = (system_clock() + timedelta(hours=8)).date()

    page = ask(browse("zhao"), seal, until=today.isoformat())

    assert page.status == 200
    assert "Waits for a decision" in page.text


def test_without_a_file_nothing_is_spent(browse: Browse, seal: str):
    drafter, _, path = granted(browse, seal)

    page = drafter.send(drafter.get(path), f"{path}/use", how="pdf")

    assert page.status == 422
    assert "#file" in page.links
    assert "0 of 1" in page.text


def test_permits_are_found_from_the_seal_and_listed(browse: Browse, seal: str):
    surfer = browse("zhao")
    path = ask(surfer, seal).path

    assert f"{seal}/permits" in surfer.get(seal).links
    assert path in surfer.get(f"{seal}/permits").links


def test_a_permit_of_another_seal_is_not_there(browse: Browse, seal: str, house):
    path = ask(browse("zhao"), seal).path
    other = house.seals.for_owner(seeds.CHICAGO.code)[0].id
    elsewhere = f"/staff/seals/{other}/permits/{path.rpartition('/')[2]}"

    assert browse("baker").get(elsewhere).status == 404
