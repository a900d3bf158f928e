"""Following a certificate: a program is told that its status changed, and nothing else.

    subscribe ─▶ a verification like any other, and one row in the same transaction
    the status changes ─▶ one notice a subscription, in its transaction ─▶ job ─▶ POST ─▶ 2xx

- Following needs what asking needs (purpose, legal basis, case), is as visible to the holder, and
  ends after a year, with the purpose, or with the program's registration.
- A notice holds no number, name or status: whoever receives it asks again, under its purpose.
- It goes to the named address only, by `foundation.outbound.client` (attack 29).
- It is signed as a whole (RFC 9421) by the key "exchange.notices" of the key set: a receiver holds
  no secret that could leak or forge, and a key that is withdrawn is refused everywhere at once.
  Each attempt is signed anew; the id in the content stays, so that a receiver can tell a repetition
  that it has seen from news (attack 38).
- What is not confirmed is sent again, ever later, for a day; then it is given up and says so.
- One receiver is told one thing after another, so a slow one holds up itself alone (attack 52).
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from certificates import Certificates
from certificates.register import lock
from exchange.errors import (
    NothingToFollow,
    NoticeNotConfirmed,
    OnlyPrograms,
    StatusChanging,
    SubscriptionNotFound,
    UnusableAddress,
)
from exchange.models import (
    OPEN_PURPOSES,
    ChangeNotice,
    Subscription,
    Verdict,
    VerificationRequest,
)
from exchange.rules import SILENT
from exchange.subscriptions import store
from exchange.verification.decisions import Decision
from exchange.verification.service import Verifications
from foundation.actor import Actor, ActorKind
from foundation.clock import Clock, rfc3339
from foundation.database import Database, Tx
from foundation.errors import FieldError
from foundation.jobs import OUTBOUND, Jobs
from foundation.outbound import (
    Outbound,
    OutboundError,
    place_of,
)
from idp import Clients
from keys import Keys
from keys.encoding.http_signatures import DIGEST, Message, content_digest, sign
from ledger import Entry, Ledger

TASK: Final = "exchange.status_notice"
USE: Final = "exchange.notices"
TAG: Final = "yinzheng-notice"
EVENT: Final = "certificate.status_changed"
COVERED: Final = ("@method", "@target-uri", "content-type", DIGEST)
LIFETIME: Final = timedelta(days=365)
TRIED_FOR: Final = timedelta(days=1)
NOTICES_KEPT: Final = timedelta(days=30)
LONGEST_LIST: Final = 100


class Subscriptions:
    """Who follows what, and what they were told."""

    def __init__(
        self,
        database: Database,
        verifications: Verifications,
        certificates: Certificates,
        clients: Clients,
        ledger: Ledger,
        keys: Keys,
        jobs: Jobs,
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        self._database = database
        self._verifications = verifications
        self._certificates = certificates
        self._clients = clients
        self._ledger = ledger
        self._keys = keys
        self._jobs = jobs
        self._outbound = outbound
        self._clock = clock
        keys.ensure(USE)
        certificates.followers.append(self.announce)
        jobs.register(TASK, self.deliver, lane=OUTBOUND)

    # ── following ────────────────────────────────────────────────────────────────────────────

    def subscribe(
        self, actor: Actor, request: VerificationRequest, url: str
    ) -> tuple[Subscription, Verdict]:
        """Follow the certificate with this number; the verdict is its status at that moment.

        1. A program, for a purpose of its department: what everybody may ask once, nobody follows.
        2. The address is one that may be talked to.
        3. It is verified, and the look recorded, whatever the outcome.
        4. What was verified is followed, again if it was: one subscription a certificate.
        Raises `OnlyPrograms`, `UnusableAddress`, `NothingToFollow`, `StatusChanging`, and what a
        verification raises.
        """
        # 1.
        if actor.kind is not ActorKind.CLIENT:
            raise OnlyPrograms("only a program with a token of its own follows certificates")
        # 2.
        address = self._usable(url)
        # 3., 4.
        kept: list[Subscription] = []

        def follow(tx: Tx, decision: Decision) -> None:
            if _may_follow(request, decision):
                kept.append(self._follow(tx, actor, request, decision, address))

        verdict = self._verifications.verify_now(actor, request, then=follow)
        if not kept:
            raise NothingToFollow(
                "there is no certificate with this number that you may follow for this purpose",
                next_step="GET /api/v1/purposes lists what your department may ask",
            )
        return kept[0], verdict

    def unsubscribe(self, actor: Actor, subscription_id: str) -> None:
        """Follow no longer. Raises `SubscriptionNotFound`."""
        with self._database.write() as tx:
            ending = self._own(tx, actor, subscription_id)
            store.remove(tx, [ending.id])
            self._append(tx, "exchange.unsubscribed", actor, ending, self._clock())

    def of(self, actor: Actor) -> list[Subscription]:
        """What a program follows, newest first."""
        with self._database.read() as tx:
            return store.of_client(tx, actor.id, self._clock(), LONGEST_LIST)

    def notices(
        self, actor: Actor, subscription_id: str
    ) -> tuple[Subscription, list[ChangeNotice]]:
        """What was told and what came of it, newest first. Raises `SubscriptionNotFound`."""
        with self._database.read() as tx:
            own = self._own(tx, actor, subscription_id)
            return own, store.notices_of(tx, own.id, LONGEST_LIST)

    def forget_ended(self) -> int:
        """Forget subscriptions whose year is over and notices of a month ago. A duty."""
        now = self._clock()
        with self._database.write() as tx:
            ended = store.ended(tx, now, 1_000)
            store.remove(tx, ended)
            return len(ended) + store.remove_notices_before(tx, now - NOTICES_KEPT)

    # ── telling ──────────────────────────────────────────────────────────────────────────────

    def announce(self, tx: Tx, identifier: str, now: datetime) -> None:
        """The status of a certificate changes in this transaction: tell who follows it."""
        for subscription_id, url in store.following(tx, identifier, now):
            notice_id = secrets.token_urlsafe(32)
            store.add_notice(tx, notice_id, subscription_id, now)
            self._jobs.enqueue(tx, TASK, {"notice": notice_id}, lock=place_of(url))

    def deliver(self, payload: Mapping[str, Any]) -> None:
        """Send one notice; a job. Raises `NoticeNotConfirmed`, so that the engine tries again.

        1. What was delivered, given up or unsubscribed is not sent.
        2. Who lost the purpose or the registration is told nothing more.
        3. The receiver answers 2xx: delivered, and the holder can read that they were told.
        4. Anything else is tried again for a day; then it is given up.
        """
        # 1.
        with self._database.read() as tx:
            notice = store.waiting(tx, str(payload["notice"]))
            subscription = store.find(tx, notice.subscription) if notice else None
            client = self._clients.find(tx, subscription.client) if subscription else None
            allowed = subscription is not None and self._still_allowed(tx, subscription)
        if notice is None or subscription is None:
            return
        # 2.
        now = self._clock()
        if client is None or not allowed:
            problem, over = "the program may not be told any more", True
        # 3.
        else:
            problem = self._send(subscription, notice, now)
            over = bool(problem) and now - notice.occurred_at >= TRIED_FOR
        with self._database.write() as tx:
            store.attempted(tx, notice.id, self._clock(), problem, given_up=over)
            if not problem and client is not None:
                self._append(tx, "exchange.status_told", client.actor, subscription, now)
        # 4.
        if problem and not over:
            raise NoticeNotConfirmed(problem, retry_after=60)

    def _send(self, subscription: Subscription, notice: ChangeNotice, now: datetime) -> str:
        """What went wrong, in words without personal data; "" when it was confirmed."""
        content = content_of(notice)
        try:
            headers = self._signed(subscription.url, content, now)
            answer = self._outbound.post_content(subscription.url, content, headers)
        except OutboundError as problem:
            return problem.detail
        return "" if 200 <= answer.status < 300 else f"the receiver answered {answer.status}"

    def _signed(self, url: str, content: bytes, now: datetime) -> dict[str, str]:
        """The headers of a signed notice. A key that is replaced meanwhile spoils one attempt."""
        digest = hashlib.sha256(content).digest()
        headers = {"content-type": "application/json", DIGEST: content_digest(digest)}
        message = Message(method="POST", target_uri=url, headers=headers, content_sha256=digest)
        signature = sign(
            message,
            COVERED,
            tag=TAG,
            keyid=self._keys.active(USE).kid,
            nonce=secrets.token_urlsafe(16),
            now=now,
            signer=lambda base: self._keys.sign(USE, base).value,
        )
        return {**headers, **signature}

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _usable(self, url: str) -> str:
        try:
            return self._outbound.destination(url).public_url
        except OutboundError as problem:
            raise UnusableAddress(
                f"nothing can be sent to this address: {problem.detail}",
                errors=[FieldError("/url", "address", problem.detail)],
                next_step="name an https address on the public internet",
            ) from None

    def _follow(
        self,
        tx: Tx,
        actor: Actor,
        request: VerificationRequest,
        decision: Decision,
        url: str,
    ) -> Subscription:
        """One row. Whoever changes the status holds the certificate's row, so that a change is
        either in the verdict or announced.
        """
        record, now = decision.record, self._clock()
        if record is None:
            raise NothingToFollow("nothing was found")
        held = lock(tx, record.identifier)
        if held is None or held.state != record.state:
            raise StatusChanging("the status changes at this moment", next_step="ask again")
        wanted = Subscription(
            id=secrets.token_urlsafe(32),
            client=actor.id,
            organisation=actor.organisation,
            certificate=record.identifier,
            type=record.type,
            purpose=request.purpose,
            legal_basis=decision.legal_basis,
            case_ref=request.case_ref,
            url=url,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        followed = store.put(tx, self._database, wanted)
        self._append(tx, "exchange.subscribed", actor, followed, now)
        return followed

    def _own(self, tx: Tx, actor: Actor, subscription_id: str) -> Subscription:
        found = store.find(tx, subscription_id)
        if found is None or found.client != actor.id:
            raise SubscriptionNotFound("there is no such subscription of this program")
        return found

    def _still_allowed(self, tx: Tx, subscription: Subscription) -> bool:
        key = (subscription.organisation, subscription.purpose)
        purpose = self._verifications.purposes.load(tx, [key])[key].get(subscription.type)
        return purpose is not None and subscription.legal_basis in purpose.legal_bases

    def _append(
        self, tx: Tx, kind: str, actor: Actor, subscription: Subscription, now: datetime
    ) -> None:
        known = self._certificates.load_many(tx, [subscription.certificate])
        record = known.get(subscription.certificate)
        entry = Entry(
            kind=kind,
            actor=actor,
            at=now,
            subject=record.subject if record else "",
            certificate=subscription.certificate,
            purpose=subscription.purpose,
            legal_basis=subscription.legal_basis,
            case_ref=subscription.case_ref,
        )
        self._ledger.append(tx, entry)


def content_of(notice: ChangeNotice) -> bytes:
    """The content of a notice, the same at every attempt."""
    said = {"id": notice.id, "type": EVENT, "occurred_at": rfc3339(notice.occurred_at)}
    return orjson.dumps({**said, "subscription": notice.subscription})


def _may_follow(request: VerificationRequest, decision: Decision) -> bool:
    silent = decision.assessment.outcome in SILENT
    return not silent and request.purpose not in OPEN_PURPOSES
