"""Attacks on keys (17, 47, a thief of the database): nothing opens, nothing is told."""

import json
import logging

import pytest
import structlog
from sqlalchemy import select, update

from foundation.database import Database
from foundation.errors import YinzhengError
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.errors import KeyDamaged, KeyMayNotSign, UnknownKey
from keys.http import PUBLISHED_USES
from keys.models import keys as stored_keys
from tests.keys.orders import order
from tests.simulators.clock import MovableClock

SEAL = "seal/4711"


def rows(database: Database) -> dict[str, dict]:
    with database.read() as tx:
        return {row["use"]: dict(row) for row in tx.execute(select(stored_keys)).mappings()}


def test_a_stolen_database_without_its_master_key_signs_nothing(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    keys.establish()
    keys.ensure("idp.tokens")
    thief = Keys(database, SoftwareBackend(bytes(range(32))), clock)

    for use in ("ca.root", "ca.issuing", "tsa", "idp.tokens"):
        with pytest.raises(KeyDamaged):
            thief.sign(use, b"message")


def test_private_halves_exchanged_between_rows_do_not_open(
    keys: Keys, database: Database, clock: MovableClock, master_key: bytes
) -> None:
    """Whoever can write the database puts the seal's key where a token key was."""
    keys.ensure(SEAL)
    keys.ensure("idp.tokens")
    seal = rows(database)[SEAL]
    for stolen in ({"handle": seal["handle"]}, {k: seal[k] for k in ("handle", "public_jwk")}):
        with database.write() as tx:
            tx.execute(
                update(stored_keys).where(stored_keys.c.use == "idp.tokens").values(**stolen)
            )
        with pytest.raises(KeyDamaged):
            Keys(database, SoftwareBackend(master_key), clock).sign("idp.tokens", b"message")


def test_a_retired_key_made_active_again_in_the_database_stays_dead(
    keys: Keys, database: Database, clock: MovableClock, master_key: bytes
) -> None:
    keys.ensure("idp.tokens")
    with database.write() as tx:
        keys.destroy(tx, "idp.tokens", clock())
        tx.execute(update(stored_keys).values(state="active"))

    with pytest.raises(KeyMayNotSign):
        Keys(database, SoftwareBackend(master_key), clock).sign("idp.tokens", b"message")


@pytest.mark.parametrize(
    "kid",
    [
        "../../etc/passwd",
        "' OR 1=1 --",
        "https://attacker.example/jwks.json",
        "x" * 100_000,
        "\n2026-11-25 [info] rotated",
        "\0" * 43,
        "",
    ],
)
def test_17_an_id_that_is_an_attack_is_an_unknown_key(keys: Keys, kid: str) -> None:
    with pytest.raises(UnknownKey) as refused:
        keys.find(kid)

    assert kid == "" or kid not in str(refused.value)


@pytest.mark.parametrize(
    "typed", ["line\nbreak", "\x1b[31mred", "\u202eesrever", "'; DROP TABLE key_uses; --"]
)
def test_47_what_somebody_typed_into_an_order_forges_no_line_of_a_log(
    keys: Keys, clock: MovableClock, typed: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys.ensure(SEAL)
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        keys.sign(SEAL, b"x", order=order(clock(), purpose=typed, actor=typed))

    ((_, use),) = keys.uses_of(SEAL)
    assert (use.purpose, use.actor) == (typed, typed), "kept as data, exactly"
    assert logged == []
    assert typed not in caplog.text


def test_47_the_record_of_uses_goes_on_where_it_was(keys: Keys, clock: MovableClock) -> None:
    """Numbers only grow: a use that is taken out of the middle leaves a gap that a reader sees."""
    keys.ensure(SEAL)
    for number in range(5):
        keys.sign(SEAL, b"x", order=order(clock(), document=f"document-{number}"))

    numbers = [number for number, _ in keys.uses_of(SEAL)]

    assert numbers == list(range(numbers[0], numbers[0] - 5, -1))


def test_no_error_of_this_room_shows_key_material(
    keys: Keys, database: Database, clock: MovableClock
) -> None:
    keys.ensure("idp.tokens")
    handle = rows(database)["idp.tokens"]["handle"]
    thief = Keys(database, SoftwareBackend(bytes(range(32))), clock)

    with pytest.raises(YinzhengError) as refused:
        thief.sign("idp.tokens", b"message")

    told = repr(refused.value) + str(refused.value) + repr(refused.value.__dict__)
    assert handle.hex() not in told
    assert repr(bytes(handle))[2:20] not in told


def test_the_published_key_set_holds_no_seal_no_authority_and_nothing_private(keys: Keys) -> None:
    keys.establish()
    keys.ensure(SEAL)
    for use in PUBLISHED_USES:
        keys.ensure(use)

    published = json.dumps(keys.jwks(*PUBLISHED_USES))

    assert len(json.loads(published)["keys"]) == len(PUBLISHED_USES)
    for private in ('"d"', '"p"', '"q"', '"k"'):
        assert private not in published
    for use in (SEAL, "ca.root", "ca.issuing", "tsa"):
        assert keys.active(use).kid not in published
