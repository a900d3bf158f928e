"""What the log says of a whole journey: every request by its id, and no value of anybody."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from foundation.actor import ROLES
from server.sandbox import seeds
from server.sandbox.demo import FOOD, Story
from server.sandbox.visitors import Browser
from server.settings import Settings
from tests.journeys.test_chicago import sample_rows, sheet, upload
from tests.simulators.office import Office, open_office

KEYS = {"event", "timestamp", "level", "request_id", "method", "route", "status", "seconds", "who"}
ROUTE = re.compile(r"none|/(?:[a-zA-Z0-9._-]+|\{[a-z_:]+\})?(?:/(?:[a-zA-Z0-9._-]+|\{[a-z_:]+\}))*")
# Values on the wire that are words of a protocol, not of anybody.
SECRET_PARAMETERS = (
    "access_token",
    "client_secret",
    "code",
    "code_challenge",
    "code_verifier",
    "content_digest",
    "form_token",
    "id_token",
    "nonce",
    "password",
    "receipt",
    "receipt_id",
    "refresh_token",
    "state",
    "username",
)


@dataclass
class Wire:
    """Everything that went over it: what each answer was called, and what nobody may log."""

    answers: dict[str, httpx.Response] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)

    def saw(self, request: httpx.Request, response: httpx.Response) -> None:
        self.answers[response.headers["x-request-id"]] = response
        self.values |= {each.value or "" for each in response.cookies.jar}
        self.values.add(request.headers.get("authorization", "").rpartition(" ")[2])
        self.values.add(request.headers.get("dpop", ""))
        form = request.headers.get("content-type", "") == "application/x-www-form-urlencoded"
        queries = [
            urlsplit(str(request.url)).query,
            urlsplit(response.headers.get("location", "")).query,
            request.content.decode() if form else "",
        ]
        for query in queries:
            self.values |= {value for name, value in parse_qsl(query) if name in SECRET_PARAMETERS}
        if response.headers.get("content-type") == "application/json":
            self._told(response.json())

    def _told(self, value: object) -> None:
        if isinstance(value, dict):
            self.values |= {str(value[name]) for name in SECRET_PARAMETERS if name in value}


@dataclass
class Walked:
    office: Office
    story: Story
    wire: Wire
    numbers: list[str]

    @property
    def text(self) -> str:
        logs = sorted(self.office.folder.glob("*.log"))
        return "\n".join(log.read_text() for log in logs)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """The mission, a table in bulk, and one refusal of every kind, with all that was sent."""
    wire, send = Wire(), httpx.Client.send

    def recorded(client: httpx.Client, request: httpx.Request, **options: object) -> httpx.Response:
        response = send(client, request, **options)
        if "x-request-id" in response.headers:
            wire.saw(request, response)
        return response

    with (
        pytest.MonkeyPatch.context() as patch,
        open_office(tmp_path_factory.mktemp("log")) as house,
    ):
        patch.setattr(httpx.Client, "send", recorded)
        story = Story(house.origin, house.new_secret, house.fsck)
        for _, step in story.steps():
            assert step()
        numbers = in_bulk(house)
        errors(house, story)
        story.close()
        house.stop()  # what waits in the queue is written at the end
        yield Walked(house, story, wire, numbers)


def in_bulk(house: Office) -> list[str]:
    adams, baker = Browser(house.origin), Browser(house.origin)
    adams.sign_in("adams", seeds.PASSWORD)
    baker.sign_in("baker", seeds.PASSWORD)
    rows = sample_rows()[:3]
    batch = upload(adams, sheet(rows))
    batch.send(f"{batch.path}/submit", {})
    baker.open(batch.path).send(f"{batch.path}/approve", {})
    baker.open(f"{batch.path}/progress")
    adams.close()
    baker.close()
    return [row["ID"] for row in rows]


def errors(house: Office, story: Story) -> None:
    stranger = Browser(house.origin)
    with pytest.raises(Exception, match="could not sign in"):
        stranger.sign_in("chen", "Wrong-Passw0rd-of-Chen")
    for path in (
        f"/v/{story.identifier}",
        f"/me/certificates/{story.identifier}",
        f"/nowhere/{seeds.CHEN.id_number}?name={seeds.CHEN.name}",
        f"/api/v1/nowhere/{seeds.CHEN.id_number}",
        f"/api/v1/receipts/{story.receipt_id}",
        f"/keys/{seeds.CHEN.id_number}",
        "/oauth/authorize?client_id=somebody-typed-this&login_hint=chen-typed-this",
    ):
        stranger.client.get(path)
    form = {"grant_type": "authorization_code", "client_id": "typed-client-of-nobody"}
    stranger.client.post("/oauth/token", data=form)
    stranger.client.post("/oauth/token", content=b"x" * 40_000)
    stranger.client.put("/verify")
    story.chen.post("/me/photo", {"form_token": "not-a-form-token"})
    stranger.close()


def test_every_answer_has_one_line_that_its_id_leads_to(walked: Walked) -> None:
    lines = [line for line in walked.lines() if line["event"] == "request"]
    by_id = {line["request_id"]: line for line in lines}

    assert len(by_id) == len(lines)
    assert walked.wire.answers.keys() <= by_id.keys()
    for request_id, answer in walked.wire.answers.items():
        line = by_id[request_id]
        assert (line["status"], line["method"]) == (answer.status_code, answer.request.method)
        if answer.headers.get("content-type") == "application/problem+json":
            assert answer.json()["instance"] == request_id
    assert len(walked.wire.answers) > 60


def test_a_line_holds_words_of_ours_and_numbers_only(walked: Walked) -> None:
    clients = {client.client_id for client in seeds.CLIENTS}
    offices = {"+".join(sorted(each.roles)) for each in seeds.OFFICERS}

    lines = [line for line in walked.lines() if line["event"] == "request"]

    assert {frozenset(line) for line in lines} == {frozenset(KEYS)}
    who = {line["who"] for line in lines}
    assert who <= clients | offices | {"", "citizen"}
    assert {"shili-bank", seeds.SERVICES.client_id, "citizen"} <= who
    assert any(set(each.split("+")) & set(ROLES) for each in who)
    for line in lines:
        assert ROUTE.fullmatch(line["route"]), line
    seen = {line["route"] for line in lines}
    assert {"/api/v1/verifications", "/oauth/token", "/signin/{interaction_id}", "none"} <= seen
    assert {line["level"] for line in lines} >= {"info", "warning"}


def test_no_seeded_or_sent_value_stands_in_any_log(walked: Walked) -> None:
    people = (*seeds.CITIZENS, *seeds.OFFICERS)
    values = {each.name for each in people} | {each.id_number for each in people}
    values |= {each.name for each in seeds.DEPARTMENTS} | {seeds.PASSWORD, *FOOD.values()}
    values |= {"Wrong-Passw0rd-of-Chen", "typed", walked.story.identifier, walked.story.draft}
    values |= {walked.story.receipt_id, *walked.numbers} | walked.wire.values
    names = {each.username for each in people}
    values = {each for each in values if len(each) > 3 or not each.isascii()} - names - {""}

    text = walked.text

    assert [each for each in sorted(values) if each in text] == []
    assert [each for each in sorted(names) if re.search(rf"\b{each}\b", text)] == []
    assert len(values) > 60


def test_a_level_leaves_lines_out_and_off_leaves_all_out(tmp_path: Path) -> None:
    for level, statuses in {"warning": {404}, "off": set()}.items():
        folder = tmp_path / level
        folder.mkdir()
        with open_office(folder, YINZHENG_LOG_LEVEL=level) as house:
            httpx.get(f"{house.origin}/verify")
            httpx.get(f"{house.origin}/nowhere")
        text = (folder / "serve.log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert {line["status"] for line in lines if line["event"] == "request"} == statuses
    assert Settings().log_level == "info"
