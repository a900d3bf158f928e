"""Following a certificate: who may, what is told, and what becomes of it when nobody listens."""

import ipaddress
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver, algorithms
from jwt import PyJWK
from sqlalchemy import delete, update

from certificates.models import certificates
from certificates.rules import State
from exchange import PUBLIC_CHECK, Purpose, PurposeApplications, Subscriptions
from exchange.errors import (
    IncompleteVerification,
    NothingToFollow,
    NoticeNotConfirmed,
    OnlyPrograms,
    StatusChanging,
    SubscriptionNotFound,
    UnusableAddress,
)
from exchange.models import ChangeNotice, Subscription, purposes
from exchange.subscriptions.service import LIFETIME, TRIED_FOR, USE
from foundation.actor import SYSTEM, Actor, ActorKind
from foundation.outbound.client import Outbound
from idp import Client, Idp
from server.services import assemble
from tests.exchange.conftest import (
    BANKER,
    FOOD_BASIS,
    FOOD_BUREAU,
    FOOD_INSPECTION,
    INSPECTOR,
    PUBLIC_URL,
    House,
    asking,
)

TEXTS = {"zh-Hans": "检查系统", "zh-Hant": "檢查系統", "en": "Inspections"}


class Inbox(ThreadingHTTPServer):
    """A department's server: it keeps what it was sent and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = 204
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/notices?for=inspection"

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(content) for _, content in self.got]


class _Handler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((headers, content))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.shutdown()
    inbox.server_close()


@pytest.fixture
def idp(house: House) -> Iterator[Idp]:
    """The register of clients, with the two departments' programs in it."""
    idp = assemble(
        database=house.database, keys=house.keys, clock=house.clock, issuer=PUBLIC_URL,
        ledger=house.ledger,
    ).idp  # fmt: skip
    for actor in (INSPECTOR, BANKER):
        client = Client(
            client_id=actor.id, name=TEXTS, purpose=TEXTS, organisation=actor.organisation,
            organisation_name=actor.organisation_name, profile="standard",
            token_endpoint_auth_method="client_secret_basic",
            grant_types=("client_credentials",), scopes=("certificates.verify",),
        )  # fmt: skip
        idp.clients.add(client, by=SYSTEM)
    yield idp
    idp.close()


@pytest.fixture
def following(house: House, idp: Idp) -> Subscriptions:
    return subscriptions(house, idp, Outbound([ipaddress.ip_network("127.0.0.0/8")]))


def subscriptions(house: House, idp: Idp, outbound: Outbound) -> Subscriptions:
    return assemble(
        database=house.database, keys=house.keys, clock=house.clock, issuer=PUBLIC_URL,
        ledger=house.ledger, jobs=house.certificates.jobs, outbound=outbound, idp=idp,
        certificates=house.certificates, verifications=house.verifications,
    ).subscriptions  # fmt: skip


def suspend(house: House, licence: Any) -> None:
    house.clock.advance(timedelta(seconds=1))
    house.change(licence, State.SUSPENDED, "under_investigation")


def kinds(house: House, licence: Any) -> list[str]:
    """What the holder reads about those who ask."""
    seen = house.ledger.about([licence.subject]).items
    return sorted(each.kind for each in seen if each.kind.startswith("exchange."))


def log(following: Subscriptions, followed: Subscription) -> list[ChangeNotice]:
    return following.notices(INSPECTOR, followed.id)[1]


def test_who_follows_is_told_that_something_changed_and_asks_again(
    house, licence, following, inbox
):
    followed, verdict = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    assert verdict.verdict == "valid"

    suspend(house, licence)
    house.certificates.jobs.run_pending()

    [told] = inbox.told
    assert told["type"] == "certificate.status_changed"
    assert told["subscription"] == followed.id
    assert told.keys() == {"id", "type", "occurred_at", "subscription"}
    assert house.ask(asking(licence.number)).verdict == "suspended"
    [notice] = log(following, followed)
    assert (notice.id, notice.attempts, notice.problem) == (told["id"], 1, "")
    assert notice.delivered_at is not None


def test_nothing_personal_and_no_number_is_sent(house, licence, following, inbox):
    following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    house.certificates.jobs.run_pending()

    [(headers, content)] = inbox.got
    sent = content.decode() + json.dumps(headers)
    for secret in (licence.number, licence.identifier, licence.subject, "张建国", "2026-检-0417"):
        assert secret not in sent


def test_a_notice_is_signed_as_a_whole_by_a_published_key(house, licence, following, inbox):
    """Checked with somebody else's library and the public key set."""
    following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    house.certificates.jobs.run_pending()

    [(headers, content)] = inbox.got
    [jwk] = house.keys.jwks(USE)["keys"]
    keys = MappingKeyResolver(public_keys={jwk["kid"]: PyJWK(jwk).key}, private_keys={})
    reader = HTTPMessageVerifier(
        signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=keys
    )
    reader.max_clock_skew = timedelta(days=10_000)  # the test's clock is not the machine's

    class Arrived:
        method, url = "POST", inbox.url
        headers: Any

    Arrived.headers = headers
    [read] = reader.verify(Arrived, max_age=None, expect_tag="yinzheng-notice", body=content)
    assert set(read.covered_components) >= {
        '"@method"', '"@target-uri"', '"content-type"', '"content-digest"',
    }  # fmt: skip


def test_the_holder_reads_who_follows_and_who_was_told(house, licence, following, inbox):
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    house.certificates.jobs.run_pending()
    following.unsubscribe(INSPECTOR, followed.id)

    assert kinds(house, licence) == [
        "exchange.status_told",
        "exchange.subscribed",
        "exchange.unsubscribed",
        "exchange.verified",
    ]
    [told] = [
        each
        for each in house.ledger.about([licence.subject]).items
        if each.kind == "exchange.status_told"
    ]
    assert (told.organisation, told.purpose) == (FOOD_BUREAU, "food-inspection")
    assert told.case_ref == "2026-检-0417"


def test_what_may_not_be_asked_may_not_be_followed_and_looks_like_what_is_not_there(
    house, licence, following, inbox
):
    """Both are looks, recorded as such; neither tells the other apart."""
    refused = []
    for number, actor in ((licence.number, BANKER), ("JY-none", INSPECTOR)):
        with pytest.raises(NothingToFollow) as told:
            following.subscribe(actor, asking(number), inbox.url)
        refused.append(told.value.detail)

    assert refused[0] == refused[1]
    assert kinds(house, licence) == ["exchange.verified"]
    assert following.of(BANKER) == following.of(INSPECTOR) == []


def test_what_everybody_may_ask_once_nobody_follows(licence, following, inbox):
    open_to_all = asking(licence.number, purpose=PUBLIC_CHECK)

    with pytest.raises(NothingToFollow):
        following.subscribe(INSPECTOR, open_to_all, inbox.url)


def test_a_person_follows_nothing(licence, following, inbox):
    person = replace(INSPECTOR, kind=ActorKind.PERSON)

    with pytest.raises(OnlyPrograms):
        following.subscribe(person, asking(licence.number), inbox.url)


def test_a_reason_is_needed(licence, following, inbox):
    with pytest.raises(IncompleteVerification):
        following.subscribe(INSPECTOR, asking(licence.number, case_ref=""), inbox.url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://department.example/",
        "http://department.example/",
        "https://user@department.example/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
    ],
)
def test_29_an_address_inside_is_no_place_to_tell(house, idp, licence, url):
    careful = subscriptions(house, idp, Outbound())

    with pytest.raises(UnusableAddress) as refused:
        careful.subscribe(INSPECTOR, asking(licence.number), url)

    assert refused.value.errors[0].pointer == "/url"
    assert kinds(house, licence) == []


def test_following_again_replaces_what_was_said(house, licence, following, inbox):
    first, _ = following.subscribe(INSPECTOR, asking(licence.number), "http://127.0.0.1:1/old")
    again, _ = following.subscribe(
        INSPECTOR, asking(licence.number, case_ref="2026-检-0500"), inbox.url
    )

    assert again.id == first.id
    assert [(each.url, each.case_ref) for each in following.of(INSPECTOR)] == [
        (inbox.url, "2026-检-0500")
    ]


def test_another_program_finds_and_ends_nothing(licence, following, inbox):
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)

    with pytest.raises(SubscriptionNotFound):
        following.notices(BANKER, followed.id)
    with pytest.raises(SubscriptionNotFound):
        following.unsubscribe(BANKER, followed.id)
    assert len(following.of(INSPECTOR)) == 1


def test_nothing_is_told_about_others_or_before(house, licence, following, inbox):
    suspend(house, licence)
    other = house.issue()
    following.subscribe(INSPECTOR, asking(other.number), inbox.url)
    house.change(licence, State.ACTIVE, "suspension_lifted")

    house.certificates.jobs.run_pending()

    assert inbox.got == []


def deliver(following: Subscriptions, notice: ChangeNotice) -> None:
    """What the job engine does, without its waiting."""
    with suppress(NoticeNotConfirmed):
        following.deliver({"notice": notice.id})


def test_a_receiver_that_is_down_is_told_again_with_a_new_signature_and_the_same_id(
    house, licence, following, inbox
):
    inbox.answer = 503
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    deliver(following, log(following, followed)[0])
    [waiting] = log(following, followed)
    assert (waiting.attempts, waiting.problem) == (1, "the receiver answered 503")

    inbox.answer = 200
    deliver(following, waiting)
    deliver(following, waiting)  # the job ran twice

    (first, one), (second, two) = inbox.got
    assert one == two
    assert first["signature-input"] != second["signature-input"]
    assert log(following, followed)[0].delivered_at is not None


def test_after_a_day_it_is_given_up_and_the_list_says_so(house, licence, following, inbox):
    inbox.answer = 404
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    house.clock.advance(TRIED_FOR)

    for _ in range(2):
        deliver(following, log(following, followed)[0])

    [notice] = log(following, followed)
    assert notice.given_up_at is not None
    assert notice.problem == "the receiver answered 404"
    assert len(inbox.got) == 1
    assert "exchange.status_told" not in kinds(house, licence)


def test_who_lost_the_purpose_is_told_nothing_more(house, licence, following, inbox):
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    with house.database.write() as tx:
        tx.execute(delete(purposes).where(purposes.c.organisation == FOOD_BUREAU))

    house.certificates.jobs.run_pending()

    assert inbox.got == []
    assert log(following, followed)[0].problem == "the program may not be told any more"


def test_whose_purpose_was_ended_is_told_nothing_more_and_follows_nothing(
    house, licence, following, inbox
):
    desk = PurposeApplications(house.purposes, house.ledger)
    one, two = (
        Actor(ActorKind.PERSON, name, roles=frozenset({"operator"})) for name in ("one", "two")
    )
    form = house.purposes.form_of(FOOD_BUREAU, licence.type, FOOD_INSPECTION)
    with house.database.write() as tx:
        applied = desk.apply(tx, form, by=one, now=house.clock())
        desk.approve(tx, applied, by=two, now=house.clock())
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)

    with house.database.write() as tx:
        desk.end(tx, applied, "over", by=one, now=house.clock())
    house.certificates.jobs.run_pending()

    assert inbox.got == []
    assert log(following, followed)[0].problem == "the program may not be told any more"
    with pytest.raises(NothingToFollow):
        following.subscribe(INSPECTOR, asking(licence.number), inbox.url)


def follow_and_regrant(house: House, following: Subscriptions, url: str, licence: Any, **changed):
    """Somebody follows; then what their department was granted changes, and so does the status."""
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), url)
    known = house.catalogue[licence.type].purposes[FOOD_INSPECTION]
    granted = Purpose(
        FOOD_BUREAU, licence.type, FOOD_INSPECTION, known.names, (known.legal_basis,), ()
    )
    with house.database.write() as tx:
        tx.execute(delete(purposes).where(purposes.c.organisation == FOOD_BUREAU))
        house.purposes.register(tx, replace(granted, **changed))
    suspend(house, licence)
    house.certificates.jobs.run_pending()
    return followed


def test_who_keeps_the_purpose_on_another_basis_is_told_nothing_more(
    house, licence, following, inbox
):
    """The law they followed under was taken from the purpose: the reason is gone."""
    followed = follow_and_regrant(house, following, inbox.url, licence, legal_bases=("a new law",))

    assert inbox.got == []
    assert log(following, followed)[0].problem == "the program may not be told any more"
    assert log(following, followed)[0].given_up_at is not None
    assert "exchange.status_told" not in kinds(house, licence)


def test_who_keeps_the_purpose_for_another_type_is_told_nothing_more(
    house, licence, following, inbox
):
    other = {"type": "chicago-business-licence", "legal_bases": (FOOD_BASIS,)}
    followed = follow_and_regrant(house, following, inbox.url, licence, **other)

    assert inbox.got == []
    assert log(following, followed)[0].problem == "the program may not be told any more"


def test_a_basis_among_others_is_still_one(house, licence, following, inbox):
    bases = ("a new law", FOOD_BASIS)
    followed = follow_and_regrant(house, following, inbox.url, licence, legal_bases=bases)

    assert [told["subscription"] for told in inbox.told] == [followed.id]


@pytest.mark.parametrize("status", [199, 300, 302])
def test_only_a_success_confirms(house, licence, following, inbox, status):
    inbox.answer = status
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)

    with pytest.raises(NoticeNotConfirmed):
        following.deliver({"notice": log(following, followed)[0].id})

    assert log(following, followed)[0].delivered_at is None


@pytest.mark.parametrize("status", [200, 299])
def test_every_success_confirms(house, licence, following, inbox, status):
    inbox.answer = status
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)

    following.deliver({"notice": log(following, followed)[0].id})

    assert log(following, followed)[0].delivered_at is not None


def test_what_could_not_be_decided_is_not_followed(house, licence, following, inbox):
    with house.database.write() as tx:
        tx.execute(update(certificates).values(state="revoked"))  # not by an act of ours

    with pytest.raises(NothingToFollow):
        following.subscribe(INSPECTOR, asking(licence.number), inbox.url)

    assert following.of(INSPECTOR) == []


def test_a_disabled_program_is_told_nothing_more(house, idp, licence, following, inbox):
    following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    idp.clients.disable(INSPECTOR.id, by=SYSTEM)
    suspend(house, licence)

    house.certificates.jobs.run_pending()

    assert inbox.got == []


def test_what_was_waiting_when_somebody_unsubscribed_is_not_sent(house, licence, following, inbox):
    followed, _ = following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    suspend(house, licence)
    following.unsubscribe(INSPECTOR, followed.id)

    house.certificates.jobs.run_pending()

    assert inbox.got == []


def test_a_subscription_ends_by_itself_and_is_forgotten(house, licence, following, inbox):
    following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    house.clock.advance(LIFETIME)
    assert following.of(INSPECTOR) == []
    suspend(house, licence)

    house.certificates.jobs.run_pending()

    assert inbox.got == []
    assert following.forget_ended() == 1


def test_a_change_that_is_rolled_back_tells_nobody(house, licence, following, inbox):
    """The notice is in the transaction of the change: no change, no notice."""
    following.subscribe(INSPECTOR, asking(licence.number), inbox.url)
    house.certificates.followers.append(_fails)
    with pytest.raises(RuntimeError):
        suspend(house, licence)
    house.certificates.followers.remove(_fails)

    house.certificates.jobs.run_pending()

    assert inbox.got == []
    assert house.ask(asking(licence.number)).verdict == "valid"


def _fails(*_: object) -> None:
    raise RuntimeError("the disk is full")


def test_50_a_change_at_the_same_moment_is_in_the_verdict_or_announced(
    house, licence, following, inbox
):
    """Whoever reads the answer and then waits for notices misses nothing."""

    def follow() -> tuple[Subscription, str]:
        while True:
            with suppress(StatusChanging):
                followed, verdict = following.subscribe(
                    INSPECTOR, asking(licence.number), inbox.url
                )
                return followed, verdict.verdict

    acts = [(State.SUSPENDED, "under_investigation"), (State.ACTIVE, "suspension_lifted")] * 4
    for state, reason in acts:
        house.clock.advance(timedelta(seconds=1))
        with ThreadPoolExecutor(2) as threads:
            asked = threads.submit(follow)
            threads.submit(house.change, licence, state, reason).result()
        followed, verdict = asked.result()

        now = house.ask(asking(licence.number)).verdict
        assert verdict == now or log(following, followed)
        following.unsubscribe(INSPECTOR, followed.id)
