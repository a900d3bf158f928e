"""The key service as a process of its own, spoken to as web processes speak to it."""

import contextlib
import os
import signal
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from foundation.clock import system_clock
from foundation.database import Database
from keys import Keys
from keys.custody import wire
from keys.custody.backends.remote import RemoteBackend
from keys.custody.backends.software import SoftwareBackend
from keys.custody.socket_service import KeyService, SocketServer
from keys.custody.store import active_key
from keys.encoding.algorithms import ALGORITHMS, ES256
from keys.encoding.jose import verify_compact
from keys.errors import (
    KeyDamaged,
    KeyMayNotSign,
    KeyStoreUnavailable,
    OrderRefused,
    OrderUntimely,
    SigningRateExceeded,
    UnusableBackend,
)
from keys.policy import KeyPolicy, SigningRequest
from tests.keys.key_process import SEAL, Process
from tests.keys.orders import order


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all tests here; who kills it starts it again."""
    process = Process(tmp_path_factory.mktemp("key-service"))
    process.start()
    yield process
    process.end(signal.SIGTERM)


@pytest.fixture
def remote(service: Process) -> RemoteBackend:
    return RemoteBackend(f"unix:{service.path}")


@pytest.fixture
def web(sqlite_database: Database, remote: RemoteBackend, master_key: bytes) -> Keys:
    """A web process: its own database and master key, and no private key."""
    own = SoftwareBackend(master_key)
    return Keys(sqlite_database, remote, system_clock, older_backends=[own])


def now():
    return system_clock()


def test_a_house_without_private_keys_issues_tokens_chains_and_time_stamps(web: Keys) -> None:
    web.establish()
    web.ensure("idp.tokens")

    signature = web.sign("idp.tokens", b"message")
    stamp = web.timestamps.stamp(bytes(32), now())

    key = web.active("idp.tokens")
    assert ES256.verify(key.public_key, ES256.from_jose(signature.value), b"message")
    assert len(web.chain("tsa")) == 3
    assert len(stamp) > 1_000


def test_what_the_web_stores_opens_nothing_there(
    web: Keys, sqlite_database: Database, master_key: bytes
) -> None:
    key = web.ensure(SEAL)
    with sqlite_database.read() as tx:
        stored = active_key(tx, SEAL)

    assert stored.backend == "unix"
    inner = stored.handle.partition(b"\0")[2]
    with pytest.raises(KeyDamaged):
        SoftwareBackend(master_key).signer(ES256, key.kid, key.policy, inner)


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_every_row_of_the_table_signs_over_the_socket(remote: RemoteBackend, row) -> None:
    policy = KeyPolicy("idp.tokens", 1)
    new = remote.generate(row, policy)

    signature = remote.signer(row, new.kid, policy, new.handle)(b"a licence")

    assert row.verify(new.public_key, signature, b"a licence")


def test_a_seal_signs_by_order_and_the_service_keeps_the_record(
    web: Keys, service: Process
) -> None:
    web.ensure(SEAL)

    signature = web.sign(SEAL, b"a licence", order=order(now()))

    der = ES256.from_jose(signature.value)
    assert ES256.verify(web.active(SEAL).public_key, der, b"a licence")
    assert service.recorded(signature.kid) == 1
    assert web.uses_of(SEAL) == [], "the service has a database of its own here"


def test_a_batch_is_signed_in_order_and_recorded_whole(web: Keys, service: Process) -> None:
    web.ensure(SEAL)
    requests = [SigningRequest(f"{n}".encode(), order(now())) for n in range(wire.MAX_BATCH + 20)]

    signatures = web.sign_many(SEAL, requests)

    key = web.active(SEAL).public_key
    for request, signature in zip(requests, signatures, strict=True):
        assert ES256.verify(key, ES256.from_jose(signature.value), request.message)
    assert service.recorded(signatures[0].kid) == len(requests)


def test_a_web_process_cannot_talk_the_service_out_of_its_rules(
    web: Keys, remote: RemoteBackend, sqlite_database: Database, service: Process
) -> None:
    with sqlite_database.write() as tx:
        web.create(tx, SEAL, per_minute=2)
    with sqlite_database.read() as tx:
        stored = active_key(tx, SEAL)
    key, good = stored.key, order(now())

    def sign(policy: KeyPolicy, *requests: SigningRequest) -> None:
        remote.sign_many(ES256, key.kid, policy, stored.handle, requests)

    for refused in (
        SigningRequest(b"x"),
        SigningRequest(b"x", order(now(), approver="wang")),
        SigningRequest(b"x", order(now() - timedelta(days=1))),
    ):
        with pytest.raises(OrderRefused) as answered:
            sign(key.policy, refused)
        late = refused.order is not None and refused.order.approver != "wang"
        assert isinstance(answered.value, OrderUntimely) is late, "clocks that disagree may pass"
    for other in (KeyPolicy("idp.tokens", 1), KeyPolicy(SEAL, 1, per_minute=1_000_000)):
        with pytest.raises(KeyDamaged):
            sign(other, SigningRequest(b"x", good))
    with pytest.raises(SigningRateExceeded):
        sign(key.policy, *[SigningRequest(b"x", good)] * 3)
    assert service.recorded(key.kid) == 0


def test_killed_and_started_again_it_is_found_without_restarting_the_web(
    web: Keys, service: Process
) -> None:
    web.ensure(SEAL)
    web.sign(SEAL, b"before", order=order(now()))

    service.end(signal.SIGKILL)
    with pytest.raises(KeyStoreUnavailable) as refused:
        web.sign(SEAL, b"meanwhile", order=order(now()))
    service.start()
    after = web.sign(SEAL, b"after", order=order(now()))

    assert (refused.value.status, refused.value.retry_after) == (503, 2)
    key = web.active(SEAL).public_key
    assert ES256.verify(key, ES256.from_jose(after.value), b"after")
    assert service.recorded(after.kid) == 2


def test_killed_under_load_every_signature_that_got_out_is_on_record(
    web: Keys, service: Process
) -> None:
    web.ensure(SEAL)
    signed: list[bytes] = []
    refused: list[Exception] = []

    def seal(name: int) -> None:
        for number in range(400):
            try:
                message = f"{name}/{number}".encode()
                signed.append(web.sign(SEAL, message, order=order(now())).value)
            except KeyStoreUnavailable as problem:
                refused.append(problem)
                return

    threads = [threading.Thread(target=seal, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while len(signed) < 20:
        time.sleep(0.01)
    service.end(signal.SIGKILL)
    for thread in threads:
        thread.join()
    service.start()

    assert len(refused) == 4, "no other error, and nobody waits for ever"
    assert 20 <= len(set(signed)) <= service.recorded(web.active(SEAL).kid)


def test_a_service_that_stopped_thinking_is_unavailable_in_time(
    web: Keys, service: Process, sqlite_database: Database
) -> None:
    ticks = [0.0]
    backend = RemoteBackend(f"unix:{service.path}", answer_within=2.0, monotonic=lambda: ticks[0])
    impatient = Keys(sqlite_database, backend, system_clock)
    impatient.ensure("idp.tokens")
    service.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(KeyStoreUnavailable):
            impatient.sign("idp.tokens", b"message")
        began = time.monotonic()
        with pytest.raises(KeyStoreUnavailable):
            impatient.sign("idp.tokens", b"message")
        assert time.monotonic() - began < 2.0, "the next one is told at once"
    finally:
        service.process.send_signal(signal.SIGCONT)
    ticks[0] += 3

    assert impatient.sign("idp.tokens", b"message").value


def test_stopped_politely_it_leaves_no_socket_behind(service: Process) -> None:
    assert service.end(signal.SIGTERM) == 0
    assert not service.path.exists()
    service.start()


def test_the_socket_is_its_owners_alone(service: Process) -> None:
    mode = service.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_two_services_do_not_share_a_socket(service: Process, tmp_path: Path) -> None:
    with pytest.raises(UnusableBackend, match="already answers"):
        SocketServer(None, service.path)


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("letters")

    with pytest.raises(UnusableBackend):
        SocketServer(None, precious)

    assert precious.read_text() == "letters"


@contextlib.contextmanager
def listening(
    database: Database, path: Path, uid: int | None = None
) -> Iterator[Callable[[], socket.socket]]:
    """A server in a thread of this process, and a way to call it."""
    service = KeyService(database, [SoftwareBackend(bytes(32))], system_clock)
    server = SocketServer(service, path, uid=uid)
    thread = threading.Thread(target=server.serve)
    thread.start()

    def call() -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(5)
        line.connect(str(path))
        return line

    try:
        yield call
    finally:
        server.stop()
        thread.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a socket to another user")
def test_another_user_is_hung_up_on(sqlite_database: Database, tmp_path: Path) -> None:
    with listening(sqlite_database, tmp_path / "s", uid=65_534) as call, call() as line:
        with contextlib.suppress(OSError):
            wire.send(line, wire.Generate("ES256", KeyPolicy("x", 1)))
        with pytest.raises((wire.Closed, ConnectionResetError)):
            wire.read_reply(line)


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">I", wire.MAX_FRAME + 1),
        struct.pack(">I", 0),
        struct.pack(">I", 4) + b"junk",
        struct.pack(">I", 1) + b"\xc0",
    ],
    ids=["too long", "empty", "junk", "nil"],
)
def test_who_talks_nonsense_is_hung_up_on_and_others_are_not(
    sqlite_database: Database, tmp_path: Path, frame: bytes
) -> None:
    with listening(sqlite_database, tmp_path / "s") as call, call() as good, call() as bad:
        bad.sendall(frame)
        assert bad.recv(1) == b""
        wire.send(good, wire.Generate("ES256", KeyPolicy("x", 1)))
        assert isinstance(wire.read_reply(good), wire.KeyMade)


def test_a_batch_beyond_the_limit_and_an_unknown_algorithm_are_refused(
    sqlite_database: Database, tmp_path: Path
) -> None:
    policy = KeyPolicy("x", 1)
    with listening(sqlite_database, tmp_path / "s") as call:
        with call() as line:
            requests = [SigningRequest(b"")] * (wire.MAX_BATCH + 1)
            wire.send(line, wire.Sign("ES256", "kid", policy, b"", requests))
            with pytest.raises(wire.Closed):
                wire.read_reply(line)
        with call() as line:
            wire.send(line, wire.Generate("HS256", policy))
            reply = wire.read_reply(line)
            assert isinstance(reply, wire.Failed)
            assert reply.code == "key_damaged"


def test_a_retired_key_is_destroyed_over_there(web: Keys) -> None:
    old = web.ensure("idp.tokens")
    new = web.compromised("idp.tokens")

    assert new.kid != old.kid
    assert web.sign("idp.tokens", b"message").kid == new.kid


def test_what_was_destroyed_opens_no_more_although_a_backup_has_its_handle(
    remote: RemoteBackend, service: Process
) -> None:
    policy = KeyPolicy("idp.tokens", 1)
    new = remote.generate(ES256, policy)
    sign = remote.signer(ES256, new.kid, policy, new.handle)
    assert sign(b"before")

    remote.destroy(new.kid, new.handle)
    with pytest.raises(KeyMayNotSign, match="destroyed"):
        sign(b"after")
    service.end(signal.SIGKILL)
    service.start()
    with pytest.raises(KeyMayNotSign, match="destroyed"):
        sign(b"after a restart")


def test_a_key_service_has_an_absolute_address() -> None:
    with pytest.raises(UnusableBackend):
        RemoteBackend("unix:keys.sock")
    with pytest.raises(KeyStoreUnavailable, match="nobody"):
        RemoteBackend("unix:/nobody/here").generate(ES256, KeyPolicy("x", 1))


def test_a_key_past_its_day_is_refused_by_the_service(web: Keys, sqlite_database: Database) -> None:
    with sqlite_database.write() as tx:
        web.create(tx, "certificates.qr", not_after=now() - timedelta(seconds=1))

    with pytest.raises(KeyMayNotSign):
        web.sign("certificates.qr", b"message")


def test_keys_for_rs256_turn_over_in_the_service_and_keep_their_size(web: Keys) -> None:
    use = "idp.tokens.rs256"
    keys = [web.ensure(use, "RS256"), web.rotate(use, at_once=True)]

    token = web.jws(use, {"sub": "citizen"}, typ="JWT")

    assert verify_compact(token, typ="JWT", key_for=web.trusted(use)).claims
    assert {key.algorithm for key in keys} == {"RS256"}
    assert {key.public_key.key_size for key in keys} == {2048}
