"""Signing in under attack, in an outage and under a wrong clock."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from idp import Authenticated, Denied
from idp.accounts.authenticators import password as by_password
from idp.models import sign_in_attempts
from idp.store.attempts import FREE_FAILURES, LONGEST_WAIT
from tests.idp.fixtures import app, http, idp, runner, world  # noqa: F401
from tests.idp.world import PASSWORD, World

THREADS = 40  # as many as the server has for its ordinary lane


def failures(world: World) -> int:
    with world.database.read() as tx:
        return tx.execute(select(func.sum(sign_in_attempts.c.failures))).scalar() or 0


def statement(world: World, words: str) -> None:
    with world.database.write() as tx:
        tx.exec_driver_sql(words)


def test_61_right_passwords_during_an_outage_are_never_counted(world: World):
    """Everything can be read and no session can be written."""
    statement(world, "ALTER TABLE idp_sessions RENAME TO away")
    for _ in range(FREE_FAILURES + 2):
        with pytest.raises(DBAPIError):
            world.idp.sign_in("chen", PASSWORD)
    statement(world, "ALTER TABLE away RENAME TO idp_sessions")

    assert failures(world) == 0
    assert isinstance(world.idp.sign_in("chen", PASSWORD), Authenticated)


def test_61_an_outage_gives_no_wrong_password_away_and_no_guess_for_nothing(world: World):
    """While nothing can be counted nothing is judged: right and wrong end alike."""
    statement(world, "ALTER TABLE sign_in_attempts RENAME TO away")
    outcomes = []
    for password in (PASSWORD, "wrong"):
        with pytest.raises(DBAPIError) as failure:
            world.idp.sign_in("chen", password)
        outcomes.append(type(failure.value))
    statement(world, "ALTER TABLE away RENAME TO sign_in_attempts")

    assert outcomes[0] is outcomes[1]


def test_61_a_thousand_guesses_in_parallel_are_five(world: World):
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(lambda n: world.idp.sign_in("chen", f"guess-{n}"), range(1000)))

    kinds = Counter(each.reason for each in results if isinstance(each, Denied))
    assert kinds == {"wrong_credentials": FREE_FAILURES, "too_many_attempts": 1000 - FREE_FAILURES}
    assert failures(world) == FREE_FAILURES


def test_61_a_right_password_forgets_only_the_failures_that_it_has_seen(world: World, monkeypatch):
    """Others guess while its hash is made, and do not have to wait yet."""
    verify = PasswordHasher.verify
    world.idp.sign_in("chen", "guess")

    def slowly(self: PasswordHasher, password_hash: str, password: str) -> bool:
        monkeypatch.setattr(PasswordHasher, "verify", verify)
        world.idp.sign_in("chen", "guess meanwhile")
        return verify(self, password_hash, password)

    monkeypatch.setattr(by_password.PASSWORD.passwords, "_at_once", threading.BoundedSemaphore(2))
    monkeypatch.setattr(PasswordHasher, "verify", slowly)

    assert isinstance(world.idp.sign_in("chen", PASSWORD), Authenticated)
    assert failures(world) == 0  # under the lock, all of them


def test_61_an_answer_that_counted_before_forgets_no_failure(world: World, monkeypatch):
    """It holds, so the counter is locked to be forgotten; then it turns out to be used."""
    for _ in range(FREE_FAILURES - 1):
        world.idp.sign_in("chen", "wrong")
    monkeypatch.setattr(by_password.PasswordAuthenticator, "accept", lambda *_: False)

    assert world.idp.sign_in("chen", PASSWORD) == Denied("wrong_credentials")
    assert failures(world) == FREE_FAILURES
    assert world.idp.sign_in("chen", PASSWORD) == Denied("too_many_attempts", 2)


def test_61_whoever_guessed_right_too_late_is_not_told(world: World, monkeypatch):
    """Its hash was begun while nobody had to wait, and it is judged when everybody must."""
    verify = PasswordHasher.verify

    def slowly(self: PasswordHasher, password_hash: str, password: str) -> bool:
        monkeypatch.setattr(PasswordHasher, "verify", verify)
        for at in range(FREE_FAILURES):  # meanwhile
            world.idp.sign_in("chen", f"guess-{at}")
        return verify(self, password_hash, password)

    monkeypatch.setattr(by_password.PASSWORD.passwords, "_at_once", threading.BoundedSemaphore(2))
    monkeypatch.setattr(PasswordHasher, "verify", slowly)

    assert world.idp.sign_in("chen", PASSWORD) == Denied("too_many_attempts", 2)
    assert world.idp.sessions.of(world.chen) == []


def test_61_everybody_who_signs_in_rightly_at_the_same_moment_succeeds(world: World):
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(lambda _: world.idp.sign_in("chen", PASSWORD), range(60)))

    assert all(isinstance(each, Authenticated) for each in results)
    assert len(world.idp.sessions.of(world.chen)) == 60
    assert failures(world) == 0


@pytest.mark.parametrize("wrong", [1, FREE_FAILURES, FREE_FAILURES + 3])
@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(days=400), -timedelta(hours=1)])
def test_61_a_wrong_clock_locks_nobody_for_longer_than_their_wait(world: World, clock, off, wrong):
    clock.advance(off)
    for at in range(wrong):
        clock.advance(timedelta(seconds=0 if at < FREE_FAILURES else 2 ** (at - FREE_FAILURES + 1)))
        assert world.idp.sign_in("chen", "wrong") == Denied("wrong_credentials")
    clock.advance(-off)

    first = world.idp.sign_in("chen", PASSWORD)
    if isinstance(first, Denied):
        assert wrong >= FREE_FAILURES
        assert first.retry_after <= LONGEST_WAIT.total_seconds()
        clock.advance(timedelta(seconds=first.retry_after))
        first = world.idp.sign_in("chen", PASSWORD)

    assert isinstance(first, Authenticated)


def test_61_a_wrong_clock_gives_no_guesses_for_nothing(world: World, clock):
    """A clock that goes back and forth neither forgets failures nor lets more of them pass."""
    for _ in range(FREE_FAILURES):
        world.idp.sign_in("chen", "wrong")
    judged = 0
    for _ in range(10):
        for off in (timedelta(hours=-1), timedelta(hours=1)):
            clock.advance(off)
            for _ in range(3):
                refused = world.idp.sign_in("chen", "wrong")
                assert isinstance(refused, Denied)
                judged += refused.reason == "wrong_credentials"

    assert judged <= 10  # one for each hour that the clock says went by


def test_61_a_session_that_cannot_be_recorded_is_none(world: World):
    """Counter, session and entry are one commit."""
    statement(world, "ALTER TABLE ledger_outbox RENAME TO away")
    with suppress(DBAPIError):
        world.idp.sign_in("chen", PASSWORD)
    statement(world, "ALTER TABLE away RENAME TO ledger_outbox")

    assert world.idp.sessions.of(world.chen) == []


def test_61_an_attempt_that_was_held_up_takes_nothing_off_the_wait(world: World, clock):
    """Two attempts overtake each other: the earlier one must not date the failures back."""
    for _ in range(FREE_FAILURES + 1):
        world.idp.sign_in("chen", "wrong")
        clock.advance(timedelta(seconds=2))
    early = clock()
    clock.advance(timedelta(seconds=10))
    late = clock()

    def guess(arrived):
        answer = {"username": "chen", "password": "wrong"}
        return world.idp.authenticate(None, answer, now=arrived)

    assert guess(late) == Denied("wrong_credentials")
    guess(early)  # it waited for a free thread, say
    assert guess(late + timedelta(seconds=3)).reason == "too_many_attempts"
