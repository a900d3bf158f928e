"""Pages for everybody: issuers and their seals, status, statements, and the developers' start."""

import json

import httpx
import msgspec
import pytest

from foundation.actor import SYSTEM
from idp import Client
from portal.public import developers
from server.sandbox import seeds
from tests.portal.conftest import ORIGIN, Browse


def test_the_start_page_leads_to_signing_in_and_to_verifying(browse: Browse):
    page = browse().get("/")
    assert {"/signin", "/verify"} <= set(page.links)


def test_every_seal_is_shown_with_its_picture_and_its_fingerprint(house, browse: Browse):
    surfer = browse()
    page = surfer.get("/issuers")
    for seal in house.seals.all():
        assert seal.certificate_digest in page.text
        picture = surfer.get(f"/issuers/{seal.id}.svg").answer
        assert picture.headers["content-type"] == "image/svg+xml"
        assert picture.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_status_page_asks_each_part_now(house, browse: Browse, monkeypatch):
    surfer = browse()
    well = surfer.get("/status").text
    monkeypatch.setattr(type(house.seals), "all", lambda _: 1 / 0)
    ill = surfer.get("/status")
    assert ill.status == 200
    assert ill.text != well


def test_the_sandbox_says_on_every_page_that_it_is_one(browse: Browse):
    for path in ("/", "/verify", "/developers"):
        assert "Sandbox" in browse().get(path).text


# --- the developers' ten minutes ----------------------------------------------------------------


def test_the_examples_carry_this_houses_address(browse: Browse):
    page = browse().get("/developers")
    assert page.text.count(ORIGIN) >= 8
    assert "/api/openapi.json" in page.links


def test_the_page_lists_every_operation_of_the_description(house, browse: Browse):
    description = house.api().openapi()
    groups = developers.operations(description)
    listed = {(each.method, each.path) for _, lines in groups for each in lines}
    assert ("POST", "/api/v1/verifications") in listed
    text = browse().get("/developers").text
    assert all(path in text for _, path in listed)


def test_the_sandbox_people_are_listed_with_the_password_they_have(browse: Browse):
    page = browse().get("/developers")
    assert developers.SANDBOX_PASSWORD == seeds.PASSWORD
    assert developers.SANDBOX_CLIENT in {each.client_id for each in seeds.CLIENTS}
    for person in (*seeds.CITIZENS, *seeds.OFFICERS):
        assert person.username in page.text
    assert "people" in page.ids
    assert "/developers#people" in browse().get("/signin").links


def test_the_client_file_can_be_registered_as_it_is(house, browse: Browse):
    client = msgspec.json.decode(
        browse().get("/developers/client.json").answer.content, type=Client
    )
    made = house.idp.clients.add(client, by=SYSTEM)
    assert made.client_secret


class _House(httpx.BaseTransport):
    """The example program's way to this house: its own httpx, our ASGI application."""

    def __init__(self, surfer) -> None:
        self._surfer = surfer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._surfer.get if request.method == "GET" else self._surfer.post
        headers = {k: v for k, v in request.headers.items() if k != "host"}
        options = {"content": request.read()} if request.method == "POST" else {}
        page = answer(str(request.url), headers=headers, **options)
        return httpx.Response(page.status, content=page.answer.content, request=request)


def test_the_example_program_runs_as_it_is_and_keeps_a_receipt(
    house, browse: Browse, tmp_path, monkeypatch, capsys
):
    secret = house.idp.clients.replace_secret(developers.SANDBOX_CLIENT, by=SYSTEM)
    surfer = browse()
    program = surfer.get("/developers/verify.py").answer.text
    plain = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **o: plain(transport=_House(surfer), **o))
    monkeypatch.setenv("CLIENT_ID", developers.SANDBOX_CLIENT)
    monkeypatch.setenv("CLIENT_SECRET", secret)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "verify.py", "exec"), {})
    assert capsys.readouterr().out.startswith("not_found")
    kept = json.loads((tmp_path / "receipt.json").read_bytes())
    assert kept["receipt"]


@pytest.mark.parametrize("path", ["/help", "/accessibility", "/privacy"])
def test_statements_are_there_with_all_their_parts(browse: Browse, path):
    page = browse().get(path)
    assert page.html.count("<h2") >= 4
