"""Attack 38: notices of a changed status, forged, replayed, signed by an old key, written anew.

A real house tells a department that follows a licence. Somebody holds the wire between them: every
notice is caught on its way and never arrives by itself. The department runs the program of
docs/api.md.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import cycle
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

from keys.encoding.http_signatures import Expected, Message, content_digest, verify
from keys.encoding.jose import verification_key
from keys.errors import MessageSignatureRefused
from server.sandbox import seeds
from server.sandbox.visitors import Browser
from tests.attacks.test_messages import ASKED, register
from tests.simulators.department import Department
from tests.simulators.office import Office, open_office
from tests.simulators.officers import sealed
from tests.simulators.receiver import Posted, Receiver, Wire

PATH = "/api/v1/subscriptions"
USE = "exchange.notices"
EXPECTED = Expected(
    tag="yinzheng-notice", components=("@method", "@target-uri", "content-type", "content-digest")
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("notices")) as office:
        yield office


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.shutdown()
    wire.server_close()


@pytest.fixture
def receiver(office: Office, wire: Wire) -> Iterator[Receiver]:
    receiver = Receiver(office.origin, wire.origin)
    yield receiver
    receiver.close()


class Story:
    """A licence that a department follows, and an officer who suspends and restores it."""

    def __init__(self, office: Office, wire: Wire) -> None:
        self.office, self.wire = office, wire
        drafter, self.officer = Browser(office.origin), Browser(office.origin)
        for browser, name in ((drafter, "wang"), (self.officer, "li")):
            who = {"username": name, "password": seeds.PASSWORD}
            browser.open("/signin").send("/signin", who)
        self.identifier = sealed(drafter, self.officer)
        drafter.close()
        self.department = Department(office.origin, "shili-follower")
        register(office, self.department)
        self.acts = cycle([("suspend", "under_investigation"), ("restore", "suspension_lifted")])

    def follow(self) -> dict[str, Any]:
        asked = {**ASKED, "number": self.identifier, "url": self.wire.origin + "/notices"}
        request = self.department.http.build_request("POST", PATH, json=asked)
        answer = self.department.send(self.department.signed(request))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def notice(self) -> Posted:
        """The status changes; what was caught on the wire, fresh and delivered to nobody."""
        act, reason = next(self.acts)
        path = f"/staff/certificates/{self.identifier}/{act}"
        self.officer.open(path).send(path, {"reason_code": reason})
        return self.wire.caught.get(timeout=60)


@pytest.fixture(scope="module")
def story(office: Office, wire: Wire) -> Iterator[Story]:
    story = Story(office, wire)
    assert story.follow()["verdict"]["verdict"] == "valid"
    yield story
    story.officer.close()
    story.department.close()


def believed_by_us(office: Office, wire: Wire, posted: Posted) -> bool:
    """Our own check over the same request, with the public key set."""
    jwks = httpx.get(f"{office.origin}/keys/jwks.json").json()["keys"]
    ours = [jwk for jwk in jwks if jwk["alg"] == "ES256"]  # notices are signed by no other kind
    keys = {jwk["kid"]: verification_key(jwk, ("ES256",)) for jwk in ours}
    message = Message(
        method="POST", target_uri=wire.origin + posted.path, headers=posted.headers,
        content_sha256=sha256(posted.content).digest(),
    )  # fmt: skip
    try:
        verify(message, EXPECTED, keys.get, datetime.now(UTC))
    except MessageSignatureRefused:
        return False
    return True


def changed(posted: Posted, **headers: str) -> Posted:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(posted, headers={**posted.headers, **named})


def test_38_a_notice_as_it_was_sent_is_believed_so_that_the_refusals_mean_something(
    office: Office, wire: Wire, story: Story, receiver: Receiver
) -> None:
    notice = story.notice()

    assert believed_by_us(office, wire, notice)
    assert receiver.give(notice) == 204
    assert receiver.believed(1) == [json.loads(notice.content)["id"]]


FORGERIES: dict[str, Callable[[Posted], Posted]] = {
    "unsigned": lambda n: replace(
        n, headers={k: v for k, v in n.headers.items() if not k.startswith("signature")}
    ),
    "by another key under the house's name": lambda n: by_somebody_else(n, kid_of(n)),
    "by another key under its own name": lambda n: by_somebody_else(n, "mine"),
    "made for another purpose": lambda n: changed(
        n, signature_input=n.headers["signature-input"].replace("yinzheng-notice", "x")
    ),
    "moved to another address": lambda n: replace(n, path="/notices/other"),
    "with another type": lambda n: changed(n, content_type="text/plain"),
    "with a newer date": lambda n: changed(
        n, signature_input=n.headers["signature-input"].replace("created=1", "created=2")
    ),
}


def kid_of(posted: Posted) -> str:
    return posted.headers["signature-input"].partition('keyid="')[2].partition('"')[0]


def by_somebody_else(posted: Posted, keyid: str) -> Posted:
    """Everything right but the key."""
    headers = {"content-type": posted.headers["content-type"]}
    request = httpx.Request("POST", f"http://127.0.0.1{posted.path}", headers=headers)
    request.url = httpx.URL(posted.headers["forged-for"] + posted.path)
    keys = MappingKeyResolver(
        public_keys={}, private_keys={keyid: ec.generate_private_key(ec.SECP256R1())}
    )
    HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=keys).sign(
        request, key_id=keyid, created=datetime.now(UTC), nonce="forged", tag="yinzheng-notice",
        include_alg=False, covered_component_ids=EXPECTED.components[:3], body=posted.content,
    )  # fmt: skip
    return replace(posted, headers=dict(request.headers))


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_38_a_forged_notice_is_refused(
    office: Office,
    wire: Wire,
    story: Story,
    receiver: Receiver,
    forge: Callable[[Posted], Posted],
) -> None:
    notice = story.notice()
    forged = forge(changed(notice, forged_for=wire.origin))

    assert receiver.give(forged) == 401
    assert receiver.accepted == []
    assert not believed_by_us(office, wire, forged)
    assert receiver.give(notice) == 204  # the genuine one is not used up by the attempt


def test_38_a_replayed_notice_is_refused(story: Story, receiver: Receiver) -> None:
    notice = story.notice()

    assert receiver.give(notice) == 204
    assert receiver.give(notice) == 401
    assert len(receiver.believed(1)) == 1


REWRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "with spaces": lambda content: json.dumps(json.loads(content), indent=1).encode(),
    "members in another order": lambda content: json.dumps(
        dict(reversed(json.loads(content).items())), separators=(",", ":")
    ).encode(),
    "in another encoding": lambda content: content.decode().encode("utf-16"),
    "with a line end": lambda content: content + b"\n",
    "another subscription": lambda content: content.replace(b'tion":"', b'tion":"x'),
    "empty": lambda _content: b"",
}


@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN.keys())
def test_38_content_that_was_written_anew_is_refused(
    office: Office,
    wire: Wire,
    story: Story,
    receiver: Receiver,
    rewrite: Callable[[bytes], bytes],
) -> None:
    notice = story.notice()
    anew = replace(notice, content=rewrite(notice.content))
    with_its_digest = changed(anew, content_digest=content_digest(sha256(anew.content).digest()))

    for forged in (anew, with_its_digest):
        assert receiver.give(forged) == 401
        assert not believed_by_us(office, wire, forged)
    assert receiver.accepted == []


def test_38_after_a_rotation_the_old_key_is_refused_and_the_new_one_believed(
    office: Office, wire: Wire, story: Story, receiver: Receiver
) -> None:
    assert receiver.give(story.notice()) == 204  # it knows the old key
    by_old = story.notice()
    assert believed_by_us(office, wire, by_old)

    office.cli("keys", "compromised", USE)
    assert _within_seconds(lambda: not believed_by_us(office, wire, by_old))

    assert receiver.give(by_old) == 401
    by_new = story.notice()
    while kid_of(by_new) == kid_of(by_old):  # a process knows its key for some seconds
        by_new = story.notice()
    assert receiver.give(by_new) == 204
    assert receiver.believed(2)[1:] == [json.loads(by_new.content)["id"]]


def _within_seconds(happened: Callable[[], bool]) -> bool:
    for _ in range(100):
        if happened():
            return True
        time.sleep(0.2)
    return False


def test_38_every_notice_and_what_came_of_it_is_listed(story: Story) -> None:
    listed = story.department.send(
        story.department.signed(story.department.http.build_request("GET", PATH))
    ).json()["items"]
    path = f"{PATH}/{listed[0]['id']}"

    one = story.department.send(
        story.department.signed(story.department.http.build_request("GET", path))
    ).json()
    assert {each["state"] for each in one["notices"]} == {"delivered"}
    assert "2026" in one["case_ref"]

    gone = story.department.send(
        story.department.signed(story.department.http.build_request("DELETE", path))
    )
    again = story.department.send(
        story.department.signed(story.department.http.build_request("GET", path))
    )
    assert (gone.status_code, again.status_code) == (204, 404)
