"""Keys by use, on both databases."""

import threading
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from foundation.database import Database, is_unique_violation
from keys import Keys, KeyState
from keys.custody.backends.software import SoftwareBackend
from keys.custody.rules import Act
from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.jose import verify_compact
from keys.errors import ActiveKeyExists, KeyDamaged, KeyMayNotSign, NoActiveKey, UnknownKey
from keys.models import keys as keys_table
from tests.simulators.clock import MovableClock

USE = "idp.tokens"
DAY = timedelta(days=1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_every_algorithm_verifies_with_pyjwt(keys: Keys, algorithm: str) -> None:
    key = keys.ensure(USE, algorithm)

    token = keys.jws(USE, {"sub": "citizen"}, typ="at+jwt")

    published = jwt.PyJWKSet.from_dict(keys.jwks(USE))[key.kid]
    assert jwt.decode(token, published, algorithms=[algorithm]) == {"sub": "citizen"}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}


def test_asking_twice_gives_the_same_key(keys: Keys) -> None:
    assert keys.ensure(USE) == keys.ensure(USE) == keys.active(USE)


def test_a_use_without_a_key_says_so(keys: Keys) -> None:
    with pytest.raises(NoActiveKey, match="seal/4711"):
        keys.sign("seal/4711", b"message")


def test_both_forms_of_a_signature_verify(keys: Keys) -> None:
    key = keys.ensure(USE)
    row = ALGORITHMS[key.algorithm]

    jose, native = keys.sign(USE, b"message"), keys.sign_der(USE, b"message")

    assert (jose.kid, jose.algorithm, len(jose.value)) == (key.kid, "ES256", 64)
    assert row.verify(key.public_key, row.from_jose(jose.value), b"message")
    assert row.verify(key.public_key, native, b"message")


def test_a_payload_of_bytes_is_signed_as_it_is(keys: Keys) -> None:
    keys.ensure(USE)

    token = keys.jws(USE, b'{"b":1, "a":2}', typ="x+jwt", header={"x5c": ["AA=="]})

    verified = verify_compact(token, typ="x+jwt", key_for=keys.trusted(USE))
    assert verified.payload == b'{"b":1, "a":2}'
    assert verified.header["x5c"] == ["AA=="]


def test_an_extra_header_cannot_replace_ours(keys: Keys) -> None:
    key = keys.ensure(USE)

    token = keys.jws(USE, {}, typ="at+jwt", header={"kid": "other", "alg": "none", "typ": "x"})

    header = jwt.get_unverified_header(token)
    assert header == {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}


def test_a_key_of_another_use_is_not_trusted(keys: Keys) -> None:
    keys.ensure(USE)
    keys.ensure("exchange.receipts")
    token = keys.jws("exchange.receipts", {}, typ="at+jwt")
    kid = jwt.get_unverified_header(token)["kid"]

    assert keys.trusted(USE)({"kid": kid}) is None
    assert keys.trusted(USE, "exchange.receipts")({"kid": kid}) is not None


def test_the_key_set_shows_nothing_private(keys: Keys) -> None:
    for algorithm in ALGORITHMS:
        keys.ensure(f"use.{algorithm}", algorithm)

    published = keys.jwks(*(f"use.{algorithm}" for algorithm in ALGORITHMS))["keys"]

    assert len(published) == 4
    for jwk in published:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & jwk.keys()
        assert jwk["use"] == "sig"


def test_a_key_made_in_a_transaction_that_failed_never_was(keys: Keys, database: Database) -> None:
    def make_a_seal_and_fail() -> None:
        with database.write() as tx:
            keys.create(tx, "seal/4711")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        make_a_seal_and_fail()
    with pytest.raises(NoActiveKey):
        keys.active("seal/4711")


def test_a_second_active_key_is_refused_and_the_transaction_lives_on(
    keys: Keys, database: Database
) -> None:
    with database.write() as tx:
        first = keys.create(tx, "seal/4711")
        with pytest.raises(ActiveKeyExists):
            keys.create(tx, "seal/4711")
        other = keys.create(tx, "seal/4712")

    assert keys.active("seal/4711") == first
    assert keys.active("seal/4712") == other


def test_the_database_itself_refuses_two_active_keys(keys: Keys, database: Database) -> None:
    keys.ensure(USE)
    with database.read() as tx:
        row = tx.execute(select(keys_table)).one()._asdict()

    with pytest.raises(IntegrityError) as raised, database.write() as tx:
        tx.execute(keys_table.insert().values({**row, "kid": "another", "version": 2}))

    assert is_unique_violation(raised.value)


def test_processes_that_ask_at_once_share_one_key(
    database: Database, backend: SoftwareBackend, clock: MovableClock
) -> None:
    houses = [Keys(database, backend, clock) for _ in range(6)]
    barrier, kids = threading.Barrier(6), []

    def ask(house: Keys) -> None:
        barrier.wait()
        kids.append(house.ensure(USE).kid)

    threads = [threading.Thread(target=ask, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kids) == 6
    assert len(set(kids)) == 1


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "' OR 1=1 --", "x" * 10_000, "é" * 43])
def test_an_id_that_is_no_thumbprint_is_unknown(keys: Keys, kid: str) -> None:
    with pytest.raises(UnknownKey) as raised:
        keys.find(kid)

    assert kid == "" or kid not in raised.value.detail


def test_rotation_publishes_before_it_signs(keys: Keys, clock: MovableClock) -> None:
    first = keys.ensure(USE)

    assert keys.rotate(USE).kid == first.kid
    published = [jwk["kid"] for jwk in keys.jwks(USE)["keys"]]
    assert keys.rotate(USE).kid == first.kid
    clock.advance(DAY)
    second = keys.rotate(USE)

    assert second.kid != first.kid
    assert published == [second.kid, first.kid]
    assert keys.find(first.kid).state == KeyState.RETIRING
    assert jwt.get_unverified_header(keys.jws(USE, {}, typ="x"))["kid"] == second.kid


def test_what_a_retiring_key_signed_still_verifies(keys: Keys, clock: MovableClock) -> None:
    keys.ensure(USE)
    token = keys.jws(USE, {"sub": "citizen"}, typ="at+jwt")

    keys.rotate(USE, at_once=True)

    verified = verify_compact(token, typ="at+jwt", key_for=keys.trusted(USE))
    assert verified.claims["sub"] == "citizen"


def test_the_nightly_job_walks_a_key_through_its_life(
    keys: Keys, clock: MovableClock, database: Database
) -> None:
    first = keys.ensure(USE)
    acts = []

    for _ in range(125):
        clock.advance(DAY)
        acts += [change.act for change in keys.rotate_due()]

    assert acts == [Act.STAGE, Act.ACTIVATE, Act.RETIRE]
    assert keys.find(first.kid).state == KeyState.RETIRED
    assert [jwk["kid"] for jwk in keys.jwks(USE)["keys"]] == [keys.active(USE).kid]
    with database.read() as tx:
        handle = tx.execute(
            select(keys_table.c.handle).where(keys_table.c.kid == first.kid)
        ).scalar_one()
    assert bytes(handle) == b"", "the private half is destroyed"


def test_a_retired_key_is_trusted_no_longer(keys: Keys, clock: MovableClock) -> None:
    first = keys.ensure(USE)
    keys.rotate(USE, at_once=True)
    clock.advance(31 * DAY)

    keys.rotate_due()

    assert keys.trusted(USE)({"kid": first.kid}) is None


def test_another_process_learns_of_a_rotation_within_seconds(
    keys: Keys,
    database: Database,
    backend: SoftwareBackend,
    clock: MovableClock,
    ticks: list[float],
) -> None:
    other = Keys(database, backend, clock, monotonic=lambda: ticks[0])
    old = other.ensure(USE)

    new = keys.rotate(USE, at_once=True)

    assert other.active(USE).kid == old.kid
    ticks[0] += 6
    assert other.active(USE).kid == new.kid


def test_a_compromised_key_leaves_at_once(keys: Keys) -> None:
    old = keys.ensure(USE)

    new = keys.compromised(USE)

    assert keys.active(USE).kid == new.kid != old.kid
    assert keys.find(old.kid).state == KeyState.RETIRED
    assert [jwk["kid"] for jwk in keys.jwks(USE)["keys"]] == [new.kid]


def test_a_key_of_another_backend_is_not_opened_here(keys: Keys, database: Database) -> None:
    keys.ensure(USE)
    with database.write() as tx:
        tx.execute(update(keys_table).values(backend="pkcs11"))

    with pytest.raises(KeyDamaged, match="pkcs11"):
        Keys(database, SoftwareBackend(bytes(32)), lambda: None).sign(USE, b"message")


def test_a_key_without_its_private_half_may_not_sign(keys: Keys, database: Database) -> None:
    keys.ensure(USE)
    with database.write() as tx:
        tx.execute(update(keys_table).values(handle=b""))

    with pytest.raises(KeyMayNotSign):
        Keys(database, SoftwareBackend(bytes(32)), lambda: None).sign(USE, b"message")


def test_a_key_shows_nothing_private_in_its_repr(keys: Keys, database: Database) -> None:
    key = keys.ensure(USE)
    with database.read() as tx:
        handle = tx.execute(select(keys_table.c.handle)).scalar_one()

    assert repr(bytes(handle))[2:20] not in repr(key)
