"""Policy and record in front of a real key, over both databases."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from foundation.canonical import b64url
from foundation.database import Database
from keys import Keys, PendingUses
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import ES256
from keys.encoding.jose import verify_compact
from keys.errors import KeyDamaged, KeyMayNotSign, OrderRefused, SigningRateExceeded
from keys.models import key_uses
from keys.models import keys as stored_keys
from keys.policy import SigningRequest
from tests.keys.orders import order
from tests.simulators.clock import MovableClock

SEAL = "seal/4711"


@pytest.fixture(autouse=True)
def seal_key(keys: Keys) -> None:
    keys.ensure(SEAL)


def recorded(database: Database) -> int:
    with database.read() as tx:
        return len(tx.execute(select(key_uses)).all())


def test_a_use_is_on_record_with_the_digest_of_what_was_signed(
    keys: Keys, clock: MovableClock
) -> None:
    signature = keys.sign(SEAL, b"a licence", order=order(clock()))

    ((_, use),) = keys.uses_of(SEAL)
    key = keys.active(SEAL)
    assert ES256.verify(key.public_key, ES256.from_jose(signature.value), b"a licence")
    assert use.digest == b64url(hashlib.sha256(b"a licence").digest())
    assert (use.kid, use.at) == (key.kid, clock())
    assert (use.document, use.approval) == ("Zm9vZCBsaWNlbmNl", "draft-1")
    assert (use.drafter, use.approver, use.actor) == ("wang", "li", "li")


def test_a_use_is_on_record_before_the_signature_exists(
    database: Database, clock: MovableClock, master_key: bytes
) -> None:
    class Watching(SoftwareBackend):
        """The software store, looking at the record whenever it signs."""

        seen: list[int] = []  # noqa: RUF012 — one list for one test

        def signer(self, *arguments):
            sign = super().signer(*arguments)

            def watched(message: bytes) -> bytes:
                self.seen.append(recorded(database))
                return sign(message)

            return watched

    keys = Keys(database, Watching(master_key), clock)
    keys.sign(SEAL, b"one", order=order(clock()))
    keys.sign_many(
        SEAL, [SigningRequest(b"two", order(clock())), SigningRequest(b"three", order(clock()))]
    )

    assert Watching.seen == [1, 3, 3]


def test_without_an_order_nothing_is_signed_by_any_door(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    with pytest.raises(OrderRefused):
        keys.sign(SEAL, b"message")
    with pytest.raises(OrderRefused):
        keys.sign_der(SEAL, b"message")
    with pytest.raises(OrderRefused):
        keys.jws(SEAL, {"sub": "me"}, typ="at+jwt")
    with pytest.raises(OrderRefused):
        keys.sign_many(SEAL, [SigningRequest(b"1", order(clock())), SigningRequest(b"2")])

    assert recorded(database) == 0


def test_a_record_that_cannot_be_written_means_no_signature(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    with database.write() as tx:
        tx.execute(text("ALTER TABLE key_uses RENAME TO key_uses_away"))
    try:
        with pytest.raises(Exception, match="key_uses"):
            keys.sign(SEAL, b"message", order=order(clock()))
    finally:
        with database.write() as tx:
            tx.execute(text("ALTER TABLE key_uses_away RENAME TO key_uses"))


def test_the_database_itself_refuses_one_person_twice(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    keys.sign(SEAL, b"message", order=order(clock()))
    with database.write() as tx:
        row = dict(tx.execute(select(key_uses)).mappings().one())

    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(key_uses.insert().values({**row, "id": 2, "approver": row["drafter"]}))


def test_a_credential_by_order_is_a_jws_like_any_other(keys: Keys, clock: MovableClock) -> None:
    token = keys.jws(SEAL, {"sub": "x"}, typ="dc+sd-jwt", order=order(clock()))

    verified = verify_compact(token, typ="dc+sd-jwt", key_for=keys.trusted(SEAL))
    assert verified.claims["sub"] == "x"
    assert len(keys.uses_of(SEAL)) == 1


def test_a_trail_is_recorded_with_what_was_sealed_or_not_at_all(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    kept, lost = PendingUses(), PendingUses()
    keys.sign(SEAL, b"kept", order=order(clock()), pending_uses=kept)
    keys.jws(SEAL, {"x": 1}, typ="x", order=order(clock(), document="other"), pending_uses=lost)
    assert recorded(database) == 0

    with database.write() as tx:
        keys.keep(tx, [kept])
    with pytest.raises(RuntimeError), database.write() as tx:  # noqa: PT012
        keys.keep(tx, [lost])
        raise RuntimeError

    assert [use.document for _, use in keys.uses_of(SEAL)] == ["Zm9vZCBsaWNlbmNl"]
    assert keys.uses_for("other") == []


def test_what_was_signed_before_its_key_was_stopped_is_not_kept_after(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    pending_uses = PendingUses()
    keys.sign(SEAL, b"x", order=order(clock()), pending_uses=pending_uses)
    with database.write() as tx:
        keys.stop(tx, SEAL, clock())

    with pytest.raises(KeyMayNotSign), database.write() as tx:
        keys.keep(tx, [pending_uses])

    assert recorded(database) == 0


def test_a_batch_is_one_record_per_signature_in_one_transaction(
    keys: Keys, clock: MovableClock
) -> None:
    requests = [
        SigningRequest(f"{n}".encode(), order(clock(), document=f"document-{n}"))
        for n in range(100)
    ]

    signatures = keys.sign_many(SEAL, requests)

    key = keys.active(SEAL)
    for request, signature in zip(requests, signatures, strict=True):
        der = ES256.from_jose(signature.value)
        assert ES256.verify(key.public_key, der, request.message)
    newest = keys.uses_of(SEAL, limit=60)
    oldest = keys.uses_of(SEAL, before=newest[-1][0], limit=60)
    assert [use.document for _, use in newest + oldest] == [
        f"document-{n}" for n in reversed(range(100))
    ]


def test_a_key_signs_no_more_a_minute_than_its_policy_says(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    with database.write() as tx:
        keys.create(tx, "certificates.qr", per_minute=3)
    clock.now = clock.now.replace(second=40, microsecond=0)
    for _ in range(3):
        keys.sign("certificates.qr", b"message")

    with pytest.raises(SigningRateExceeded) as refused:
        keys.sign("certificates.qr", b"message")
    clock.advance(timedelta(seconds=20))
    keys.sign("certificates.qr", b"message")

    assert refused.value.retry_after == 20
    with pytest.raises(SigningRateExceeded):
        keys.sign_many("certificates.qr", [SigningRequest(b"x")] * 3)


def test_a_key_with_a_last_day_stops_by_itself(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    with database.write() as tx:
        keys.create(tx, "certificates.qr", not_after=clock() + timedelta(days=30))
    keys.sign("certificates.qr", b"message")

    clock.advance(timedelta(days=31))

    with pytest.raises(KeyMayNotSign):
        keys.sign("certificates.qr", b"message")


def test_a_successor_keeps_the_rate_of_the_key_before(keys: Keys, database: Database) -> None:
    with database.write() as tx:
        keys.create(tx, "certificates.qr", per_minute=3)

    assert keys.rotate("certificates.qr", at_once=True).per_minute == 3


def test_a_seal_key_that_another_process_retired_signs_no_more(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    keys.sign(SEAL, b"opened and remembered here", order=order(clock()))
    with database.write() as tx:
        changed = stored_keys.update().where(stored_keys.c.use == SEAL)
        tx.execute(changed.values(state="retiring"))

    with pytest.raises(KeyMayNotSign, match="retiring"):
        keys.sign(SEAL, b"message", order=order(clock()))
    assert recorded(database) == 1


def test_loosening_a_policy_in_the_database_makes_a_key_useless(
    keys: Keys, database: Database, clock: MovableClock, backend: SoftwareBackend
) -> None:
    with database.write() as tx:
        keys.create(tx, "certificates.qr", per_minute=3)
        tx.execute(
            stored_keys.update()
            .where(stored_keys.c.use == "certificates.qr")
            .values(per_minute=None)
        )

    with pytest.raises(KeyDamaged):
        Keys(database, backend, clock).sign("certificates.qr", b"message")
