"""Bulk issuing through its pages: dry run, second officer, live progress, nothing lost."""

import csv
import io
from itertools import islice
from pathlib import Path

import pytest

from tests.portal.conftest import Browse
from tests.portal.surfer import Page, Surfer

SAMPLE = Path("certificates/samples/chicago-business-licences.csv").read_text(encoding="utf-8")
HEADER, *ROWS = SAMPLE.splitlines(keepends=True)
TYPE = "chicago-business-licence"
_unused = iter(ROWS)


def table(rows: int = 3) -> bytes:
    """Some rows of the real register that no other test has taken."""
    return (HEADER + "".join(islice(_unused, rows))).encode()


def upload(surfer: Surfer, data: bytes, name: str = "register.csv", **chosen: str) -> Page:
    choices = {"type": TYPE, "mapping": "chicago"} | chosen
    page = surfer.get("/staff/bulk")
    return surfer.send(page, "/staff/bulk", files={"file": (name, data, "text/csv")}, **choices)


def submitted(surfer: Surfer, rows: int = 3) -> str:
    page = upload(surfer, table(rows))
    surfer.send(page, f"{page.path}/submit")
    return page.path


def test_a_good_table_is_checked_approved_by_another_officer_and_issued(house, browse: Browse):
    drafter, approver = browse("adams"), browse("baker")
    page = upload(drafter, table())
    assert "Every row is right" in page.text
    assert "Nothing has been issued" in page.text
    path = page.path
    page = drafter.send(page, f"{path}/submit")
    assert not [f for f in page.forms if f.action.endswith("/approve")]
    page = approver.get(path)
    progress = approver.send(page, f"{path}/approve")
    assert progress.path == f"{path}/progress"
    assert "All done." in progress.text
    assert "3 of 3 issued" in progress.text
    assert path in progress.links
    assert "3 certificates" in approver.get(path).text


def test_the_second_officer_sees_the_rows_and_their_digest(browse: Browse):
    path = submitted(browse("adams"), 30)
    page = browse("baker").get(path)
    digest = page.form(f"{path}/approve").value("content_digest")
    assert digest in page.text
    assert page.html.count('<th scope="row" class="num">') == 20
    after = next(link for link in page.links if "after=" in link)
    assert browse("baker").get(path + after).html.count('<th scope="row" class="num">') == 10


def test_the_second_officer_sees_the_page_a_row_will_become(browse: Browse):
    path = submitted(browse("adams"))
    surfer = browse("baker")
    link = next(link for link in surfer.get(path).links if link.endswith("/rows/2.png"))
    assert surfer.get(link).answer.content.startswith(b"\x89PNG")
    assert surfer.get(f"{path}/rows/99999.png").status == 404
    assert surfer.get(f"{path}/rows/two.png").status in {404, 422}


def test_another_digest_issues_nothing(browse: Browse):
    path = submitted(browse("adams"))
    surfer = browse("baker")
    page = surfer.send(surfer.get(path), f"{path}/approve", content_digest="something-else")
    assert page.status == 409
    assert page.form(f"{path}/approve")  # it can be looked at and approved again


def strayed(surfer: Surfer, *columns: str) -> Page:
    """A residence permit whose sheet has these columns too."""
    lines = surfer.get("/staff/bulk/template/residence-permit.csv").answer.content.decode()
    header, row = lines.splitlines()
    data = "\r\n".join([",".join([header, *columns]), ",".join([row, *("x" for _ in columns)])])
    return upload(surfer, data.encode(), type="residence-permit", mapping="")


def test_columns_that_nobody_knows_are_waived_by_name_or_nothing_goes_on(browse: Browse):
    surfer = browse("zhao")
    page = strayed(surfer, "备注", "resident_no")
    path = page.path
    assert "Needs your answer" in page.text
    assert "Perhaps meant: Resident" in page.text
    page = surfer.send(page, f"{path}/submit", waive="备注")
    assert page.status == 422
    assert "#waive" in page.links
    assert page.form(f"{path}/submit").value("waive") == "备注"  # what was ticked stays ticked
    page = surfer.send(page, f"{path}/submit", waive=["备注", "resident_no"])
    assert "Waiting for a second officer" in page.text

    page = browse("sun").get(path)
    assert "nothing in them is issued" in page.text
    assert {"备注", "resident_no"} <= set(page.text.replace(",", " ").split())


def test_a_column_of_states_is_called_what_it_is(browse: Browse):
    assert "all are issued as valid" in strayed(browse("zhao"), "状态").text


def test_a_column_name_that_hides_something_shows_it(browse: Browse):
    page = strayed(browse("zhao"), "no\u202ete")
    assert "⟨U+202E⟩" in page.text


def test_an_unknown_column_beside_another_mistake_is_told_in_the_list(browse: Browse):
    page = upload(browse("adams"), ("OWNER," + HEADER + "x," + ROWS[-1].replace("/", "#")).encode())
    assert "No field of the certificate uses this column." in page.text
    assert not [f for f in page.forms if f.action.endswith("/submit")]


def test_a_guessed_encoding_is_looked_at_and_confirmed_by_both_officers(browse: Browse):
    drafter, approver = browse("zhao"), browse("sun")
    data = drafter.get("/staff/bulk/template/residence-permit.csv").answer.content
    # The number is left to be drawn: other tests use the one of the template.
    data = data.decode("utf-8-sig").replace("JZ320506202600012345", "").encode("gb18030")
    page = upload(drafter, data, type="residence-permit", mapping="")
    path = page.path
    assert "GB18030, a guess" in page.text
    assert page.text.count("李雪梅") > 1  # once in the table of rows
    page = drafter.send(page, f"{path}/submit")
    assert page.status == 422
    assert "#encoding" in page.links
    page = drafter.send(page, f"{path}/submit", encoding="gb18030")
    assert "Waiting for a second officer" in page.text

    page = approver.get(path)
    assert "These are the strangest rows" in page.text
    page = approver.send(page, f"{path}/approve")
    assert page.status == 422
    assert "#encoding" in page.links
    assert approver.send(page, f"{path}/approve", encoding="gb18030").path == f"{path}/progress"


def test_who_uploaded_cannot_approve_even_by_hand(browse: Browse):
    from tests.portal.test_permissions import own_token

    surfer = browse("adams")
    path = submitted(surfer)
    data = {"form_token": own_token(surfer, f"{path}/approve"), "content_digest": "x"}
    assert surfer.post(f"{path}/approve", data).status == 403


def test_each_mistake_is_told_with_row_column_rule_and_fix(browse: Browse):
    surfer = browse("adams")
    bad = ROWS[-1].replace("/", "#")  # dates that are none
    page = upload(surfer, (HEADER + ROWS[-2] + bad).encode())
    assert "nothing was issued" in page.text
    assert "DATE ISSUED" in page.text
    assert "This is not a date that exists." in page.text
    assert not [f for f in page.forms if f.action.endswith("/submit")]
    answer = surfer.get(f"{page.path}/errors.csv").answer
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {line["row"] for line in lines} == {"3"}
    assert all(line["fix"] for line in lines)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "file"),
        (b"name,date\n\x81\xff\xff\x00", "file"),
        (b"PK\x03\x04" + b"\x00" * 50, "file"),
    ],
)
def test_what_is_no_table_is_refused_at_its_field_and_the_choice_stays(browse: Browse, data, field):
    page = upload(browse("adams"), data)
    assert page.status in {400, 422}
    assert f"#{field}" in page.links
    assert page.form("/staff/bulk").value("mapping") == "chicago"


def test_without_a_file_the_form_says_what_is_missing(browse: Browse):
    surfer = browse("adams")
    page = surfer.send(surfer.get("/staff/bulk"), "/staff/bulk", type=TYPE)
    assert page.status == 422
    assert "#file" in page.links


@pytest.mark.parametrize("mapping", ["chicago", "../secrets", "nothing"])
def test_a_mapping_that_does_not_fit_is_refused_at_its_field(browse: Browse, mapping):
    page = upload(browse("adams"), table(), type="residence-permit", mapping=mapping)
    assert page.status == 422
    assert "#mapping" in page.links


def test_a_batch_is_returned_with_a_reason(browse: Browse):
    path = submitted(browse("adams"))
    surfer = browse("baker")
    page = surfer.get(path)
    assert surfer.send(page, f"{path}/return", reason="").status == 422
    page = surfer.send(page, f"{path}/return", reason="Two rows are missing.")
    assert "returned" in page.text
    assert [f for f in browse("adams").get(path).forms if f.action == f"{path}/submit"]


def test_a_batch_that_is_done_cannot_be_paused_or_resumed(house, browse: Browse):
    surfer = browse("baker")
    path = submitted(browse("adams"))
    from tests.portal.test_permissions import own_token

    surfer.send(surfer.get(path), f"{path}/approve")
    for act in ("pause", "resume"):
        page = surfer.post(f"{path}/{act}", {"form_token": own_token(surfer, f"{path}/{act}")})
        assert page.status == 409
        assert page.text.count("3 certificates") == 1


def test_a_file_name_that_hides_something_shows_it(browse: Browse):
    page = upload(browse("adams"), table(), name="list\u202evsc.exe.csv")
    assert "⟨U+202E⟩" in page.text
    assert "\u202e" not in page.html


def test_the_template_is_a_table_that_passes_its_own_dry_run(browse: Browse):
    surfer = browse("zhao")
    data = surfer.get("/staff/bulk/template/residence-permit.csv").answer.content
    page = upload(surfer, data, type="residence-permit", mapping="")
    assert "Every row is right" in page.text


def test_progress_is_written_while_the_work_goes_on(house, browse: Browse, monkeypatch):
    """The page is live without a script: it shows every state between approval and the end."""
    import portal.officer.bulk_progress

    monkeypatch.setattr(portal.officer.bulk_progress, "LOOK_EVERY", 0.01)
    surfer = browse("baker")
    path = submitted(browse("adams"), 40)
    page = surfer.send(surfer.get(path), f"{path}/approve")
    assert page.html.count('class="tick-line"') > 1
    assert page.html.rstrip().endswith("</html>")
    assert page.answer.headers["x-accel-buffering"] == "no"
    assert page.answer.headers["cache-control"] == "no-store"
    assert "content-length" not in page.answer.headers


def test_a_page_that_waited_long_enough_asks_to_be_opened_again(browse: Browse, monkeypatch):
    import portal.officer.bulk_progress

    monkeypatch.setattr(portal.officer.bulk_progress, "LOOK_FOR", 0.0)
    monkeypatch.setattr(portal.officer.bulk_progress, "_MOVING", {"running", "done"})
    surfer = browse("baker")
    path = submitted(browse("adams"))
    page = surfer.send(surfer.get(path), f"{path}/approve")
    assert f"{path}/progress" in page.links
