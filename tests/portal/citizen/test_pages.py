"""The holder's pages: what I hold, showing it for a minute, and everybody who looked."""

import csv
import io
import re
from dataclasses import replace
from urllib.parse import urlsplit

import zxingcpp
from PIL import Image

from certificates.rules import REASONS, State
from foundation.actor import Actor, ActorKind
from ledger import Entry
from portal.citizen.pictures import qr_svg
from server.sandbox import seeds
from tests.certificates.issuing.test_rendering import words_of
from tests.idp.proofs import Prover
from tests.idp.world import challenge
from tests.portal.conftest import Browse, issue, permit_fields
from tests.portal.signing_in.test_signin import allow, authorize
from tests.portal.surfer import Page, Surfer

BANK = Actor(
    ActorKind.CLIENT,
    "shili-bank",
    name="示例银行信贷系统",
    organisation=seeds.BANK.code,
    organisation_name=seeds.BANK.name,
    roles=frozenset({"certificates.verify"}),
)


def picture_of_code(page: Page) -> Image.Image:
    """The page's QR code as a camera would see it: drawn from the SVG's own path."""
    return picture_of(page.html)


def picture_of(html: str) -> Image.Image:
    side = int(re.search(r'<svg class="qr" viewBox="0 0 (\d+) ', html)[1])
    path = re.search(r'<path d="([^"]+)" fill="#000"/>', html)[1]
    picture = Image.new("L", (side, side), 255)
    for numbers in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+Z", path):
        x, y, wide, high = map(int, numbers)
        picture.paste(0, (x, y, x + wide, y + high))
    return picture.resize((side * 8, side * 8), Image.Resampling.NEAREST)


def shown_code(page: Page) -> str:
    found = zxingcpp.read_barcodes(picture_of_code(page))
    assert len(found) == 1
    return str(found[0].text)


def opened(surfer: Surfer, code: str) -> Page:
    """Follow a code and press the button that opens it."""
    path = urlsplit(code).path
    return surfer.send(surfer.get(path), path)


def test_the_drawn_code_is_read_by_another_reader():
    svg = qr_svg("http://localhost:8000/v/abc", 'a "label"')
    [read] = zxingcpp.read_barcodes(picture_of(svg))
    assert read.text == "http://localhost:8000/v/abc"
    assert 'aria-label="a &#34;label&#34;"' in svg
    assert "<script" not in qr_svg("x", "<script>")


def test_my_certificates_are_there_with_their_state(browse: Browse, permit):
    page = browse("chen").get("/me")
    assert f"/me/certificates/{permit.identifier}" in page.links
    assert permit.number in page.text


def test_a_person_is_told_when_something_of_theirs_was_used_twice(browse: Browse, house):
    """Attacks 2 and 25 as the person sees them: what was copied, what was done, what to do."""
    prover, surfer = Prover(house.clock), browse("long")
    page = authorize(surfer, "twice", code_challenge=challenge("v" * 43))
    code = allow(surfer, page)["code"]
    assert "used twice" not in surfer.get("/me").text

    assert [redeem(surfer, prover, code) for _ in range(2)] == [200, 400]

    for path in ("/me", "/me/access"):
        told = surfer.get(path).text
        assert "used twice" in told
        assert "Sign in there again" in told


def test_a_person_is_told_when_a_service_was_given_a_renewal_again_late(browse: Browse, house):
    """Not as a theft: the service proved who it is, and its access goes on."""
    long = house.idp.people.find("long")
    entry = Entry(
        kind="idp.refresh_repeated",
        actor=Actor(ActorKind.CLIENT, "some-service", "Some service"),
        at=house.clock(),
        subject=long.subject,
        verdict="refresh_token_repeated",
    )
    with house.database.write() as tx:
        house.ledger.append(tx, entry)

    told = browse("long").get("/me/access").text

    assert "It proved who it is, so its access goes on." in told


def redeem(surfer: Surfer, prover: Prover, code: str) -> int:
    """What the service does with its code; answers the status."""
    form = {
        "grant_type": "authorization_code",
        "client_id": seeds.SERVICES.client_id,
        "code": code,
        "code_verifier": "v" * 43,
        "redirect_uri": seeds.CALLBACK,
    }
    for _ in range(2):  # a service that has no nonce yet is given one and asks again
        proof = prover.proof("POST", surfer.origin + "/oauth/token")
        answer = surfer.post("/oauth/token", form, headers={"DPoP": proof}).answer
        prover.nonce = answer.headers.get("dpop-nonce", prover.nonce)
        if answer.json().get("error") != "use_dpop_nonce":
            break
    return answer.status_code


def test_what_a_service_was_told_in_a_token_is_a_look(browse: Browse, house):
    prover, surfer = Prover(house.clock), browse("lin")
    asked = '{"id_token": {"locale": null}}'
    page = authorize(surfer, "told", code_challenge=challenge("v" * 43), claims=asked)
    code = allow(surfer, page, "locale")["code"]
    assert redeem(surfer, prover, code) == 200

    assert "What they saw Language" in surfer.get("/me/access").text


def test_who_holds_nothing_is_told_how_to_get_something(browse: Browse):
    page = browse("long").get("/me")
    assert page.status == 200
    assert not [link for link in page.links if link.startswith("/me/certificates/")]
    assert "no certificate" in page.text.lower()


def test_a_code_is_made_by_a_button_only_and_opens_once(browse: Browse, permit):
    holder, police = browse("chen"), browse()
    path = f"/me/certificates/{permit.identifier}/show"
    ready = holder.get(path)
    assert '<svg class="qr"' not in ready.html  # a link preview or the back button makes none
    shown = holder.send(ready, path)
    code = shown_code(shown)
    assert urlsplit(code).path.startswith("/v/")
    asked = police.get(urlsplit(code).path)
    assert "陈静怡" not in asked.text  # it opens by a button only, too
    seen = police.send(asked, urlsplit(code).path)
    assert "陈静怡" in seen.text
    assert "990001199003070021" not in seen.text
    again = opened(browse(), code)
    assert (again.status, "陈静怡" in again.text) == (410, False)


def test_a_code_that_was_taken_back_opens_nothing(browse: Browse, permit):
    holder = browse("chen")
    path = f"/me/certificates/{permit.identifier}/show"
    shown = holder.send(holder.get(path), path)
    page = holder.send(shown, f"{path}/end")
    assert page.path == f"/me/certificates/{permit.identifier}"
    late = opened(browse(), shown_code(shown))
    assert (late.status, "陈静怡" in late.text) == (410, False)


def test_a_code_of_a_minute_ago_opens_nothing(browse: Browse, permit, house, monkeypatch):
    from datetime import timedelta

    holder = browse("chen")
    path = f"/me/certificates/{permit.identifier}/show"
    code = shown_code(holder.send(holder.get(path), path))
    showing = house.verifications.showing
    clock = showing._clock
    monkeypatch.setattr(showing, "_clock", lambda: clock() + timedelta(seconds=61))
    late = opened(browse(), code)
    assert (late.status, "陈静怡" in late.text) == (410, False)
    assert late.links


def test_every_look_is_there_with_who_when_why_and_what(browse: Browse, house, permit):
    from exchange import VerificationRequest

    purpose = "loan-application"
    basis = house.catalogue.find("residence-permit").purposes[purpose].legal_basis
    asked = VerificationRequest(
        number=permit.identifier, purpose=purpose, legal_basis=basis, case_ref="L-2026-77"
    )
    verdict = house.verifications.verify_now(BANK, asked)
    assert verdict.verdict == "valid"
    page = browse("chen").get("/me/access")
    for word in ("示例银行", "Loan application", basis, "L-2026-77"):
        assert word in page.text


def test_what_an_asker_gave_as_reasons_in_its_own_words_is_there_too(browse: Browse, house, permit):
    """The public log only commits to words that nobody registered; the holder reads them."""
    from exchange import VerificationRequest

    program = replace(BANK, id="dyn-7", name="某个程序", organisation_name="", named_itself=True)
    for purpose in ("loan-application", "a-purpose-of-our-own"):
        asked = VerificationRequest(
            number=permit.identifier, purpose=purpose, legal_basis="内部规定七", case_ref="L-78"
        )
        verdict = house.verifications.verify_now(program, asked)
        assert verdict.verdict == "not_permitted"

    page = browse("chen").get("/me/access")
    for word in ("某个程序", "Loan application", "a-purpose-of-our-own", "内部规定七", "L-78"):
        assert word in page.text


def test_each_opening_in_office_is_seen_by_the_holder(browse: Browse, permit):
    browse("zhao").get(f"/staff/certificates/{permit.identifier}")
    page = browse("chen").get("/me/access")
    assert "赵磊" in page.text


def test_a_public_check_is_seen_too_without_a_name(browse: Browse, permit):
    public = browse()
    public.send(public.get("/verify"), "/verify/number", number=permit.number)
    page = browse("chen").get(f"/me/certificates/{permit.identifier}")
    assert "omebody" in page.text


def test_the_export_is_a_table_that_runs_nothing(browse: Browse, house, permit):
    from exchange import VerificationRequest

    purpose = "loan-application"
    basis = house.catalogue.find("residence-permit").purposes[purpose].legal_basis
    asked = VerificationRequest(
        number=permit.identifier,
        purpose=purpose,
        legal_basis=basis,
        case_ref="=HYPERLINK(1)",
    )
    house.verifications.verify_now(replace(BANK, organisation_name="@示例银行"), asked)
    answer = browse("chen").get("/me/access.csv").answer
    assert answer.headers["content-disposition"] == 'attachment; filename="who-looked.csv"'
    text = answer.content.decode("utf-8-sig")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(io.StringIO(text)))
    assert len({len(line) for line in lines}) == 1
    cells = [cell for line in lines for cell in line]
    assert "'=HYPERLINK(1)" in cells
    assert "'@示例银行" in cells
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r")]


def test_the_list_of_looks_goes_on_after_its_page(browse: Browse, house):
    made = issue(house, "zhao", "sun", "residence-permit", permit_fields())
    surfer = browse("zhao")
    for _ in range(55):
        surfer.get(f"/staff/certificates/{made.identifier}")
    holder = browse("chen")
    page = holder.get("/me/access")
    after = next(link for link in page.links if "after=" in link)
    assert holder.get("/me/access" + after).status == 200


def test_the_sealed_file_is_downloaded_under_its_own_name(browse: Browse, permit):
    answer = browse("chen").get(f"/me/certificates/{permit.identifier}/certificate.pdf").answer
    assert answer.content.startswith(b"%PDF")
    assert permit.identifier in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"


# --- what a sandbox shows, and what is over ---------------------------------------------------


def test_everything_a_sandbox_shows_of_a_certificate_says_specimen(browse: Browse, house, permit):
    chen = browse("chen")
    path = f"/me/certificates/{permit.identifier}"
    pages = [chen.get(path), chen.send(chen.get(path), f"{path}/show")]
    pages.append(browse("zhao").get(f"/staff/certificates/{permit.identifier}"))
    for page in pages:
        assert "样本 SPECIMEN No legal effect" in page.text
    metadata = house.certificates.catalogue.find("residence-permit")
    answer = chen.get(f"/types/residence-permit/{metadata.version}").answer.json()
    assert all("specimen" in answer["name"] for _ in answer["display"])


def test_the_pdf_of_a_sandbox_is_a_specimen(house, permit, tmp_path):
    chen = house.idp.people.find("chen").actor
    text, title = words_of(house.certificates.pdf(chen, permit.identifier), tmp_path)
    assert "SPECIMEN" in title
    assert "样本 SPECIMEN" in text
    assert "不具法律效力" in text
    assert "同等法律效力" not in text


def test_a_revoked_certificate_shows_its_state_before_its_download_and_says_what_that_is(
    browse: Browse, house
):
    licence = issue(house, "zhao", "sun", "residence-permit", permit_fields())
    path = f"/me/certificates/{licence.identifier}"
    before = browse("chen").get(path)
    assert "can be kept as a record" not in before.text
    sun = house.idp.people.find("sun").actor
    reason = REASONS[State.REVOKED][0].code
    house.certificates.change_state(sun, licence.identifier, State.REVOKED, reason, "")

    for surfer, where in ((browse("chen"), path), (browse("zhao"), f"/staff{path[3:]}")):
        page = surfer.get(where)
        offered = page.html.index("certificate.pdf")
        beside = page.html[page.html.rindex("<h2", 0, offered) : offered]
        assert "Revoked" in beside
        assert "whoever verifies it sees this state" in beside
        assert "act-first" not in page.html  # on a phone, too, the state comes first
