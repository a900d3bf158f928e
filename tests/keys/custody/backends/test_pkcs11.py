"""Keys in a PKCS#11 module: the same house, the same answers, and no private key outside."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundation.database import Database
from keys import Keys
from keys.custody.backends import Backend
from keys.custody.backends.pkcs11 import Pkcs11Backend
from keys.custody.backends.selection import open_backend
from keys.custody.backends.software import SoftwareBackend
from keys.custody.store import key_by_kid
from keys.encoding.algorithms import ALGORITHMS, ES256, PS256, RS256
from keys.encoding.jose import verify_compact
from keys.errors import KeyDamaged, KeyStoreUnavailable, UnsafeSecretFile, UnusableBackend
from keys.models import Key
from keys.policy import KeyPolicy
from tests.keys.remote_module import RemoteModule, the_remote_module
from tests.keys.softhsm import Token, the_token
from tests.simulators.clock import MovableClock

USE = "certificates.qr"
POLICY = KeyPolicy(USE, 1)
in_softhsm = pytest.mark.softhsm
behind_a_wire = pytest.mark.p11kit


@pytest.fixture(scope="session")
def token() -> Token:
    return the_token()


@pytest.fixture(scope="session")
def hsm(token: Token) -> Backend:
    return open_backend(token.uri(), bytes(32))


@pytest.fixture
def keys(sqlite_database: Database, hsm: Backend, clock: MovableClock) -> Keys:
    return Keys(sqlite_database, hsm, clock)


@in_softhsm
@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_every_row_of_the_table_signs_inside_the_module(hsm: Backend, row) -> None:
    new = hsm.generate(row, POLICY)

    signature = hsm.signer(row, new.kid, POLICY, new.handle)(b"a licence")

    assert row.accepts(new.public_key)
    assert row.verify(new.public_key, signature, b"a licence")
    assert not row.verify(new.public_key, signature, b"another")


@in_softhsm
def test_a_house_over_a_module_gives_tokens_chains_and_time_stamps(
    keys: Keys, sqlite_database: Database, clock: MovableClock
) -> None:
    keys.establish()
    with sqlite_database.write() as tx:
        keys.create(tx, USE)
        keys.authority.certificate_for(tx, USE, "seal", {"common_name": "某局"})

    token = keys.jws(USE, {"sub": "citizen"}, typ="x+jwt")

    verified = verify_compact(token, typ="x+jwt", key_for=keys.trusted(USE))
    assert verified.claims["sub"] == "citizen"
    assert len(keys.chain(USE)) == 3
    assert len(keys.timestamps.stamp(bytes(32), clock())) > 1_000


@in_softhsm
def test_the_private_key_cannot_be_taken_out(hsm: Backend, token: Token) -> None:
    import pkcs11

    closed = KeyPolicy("seal/closed", 1)
    hsm.generate(ES256, closed)
    module = pkcs11.lib(token.module)
    with module.get_token(token_label=token.label).open() as session:
        template = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
            pkcs11.Attribute.LABEL: f"{closed.mark('ES256')} seal/closed 1",
        }
        (private_key,) = session.get_objects(template)

        assert private_key[pkcs11.Attribute.EXTRACTABLE] is False
        assert private_key[pkcs11.Attribute.SENSITIVE] is True
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            private_key[pkcs11.Attribute.VALUE]


@in_softhsm
def test_a_key_in_the_module_opens_only_under_its_own_policy(hsm: Backend) -> None:
    new = hsm.generate(ES256, KeyPolicy("seal/4711", 1, per_minute=60))

    new_rsa = hsm.generate(PS256, POLICY)
    with pytest.raises(KeyDamaged, match="policy"):
        hsm.signer(RS256, new_rsa.kid, POLICY, new_rsa.handle)
    for other in (KeyPolicy("idp.tokens", 1, per_minute=60), KeyPolicy("seal/4711", 1)):
        with pytest.raises(KeyDamaged, match="policy"):
            hsm.signer(ES256, new.kid, other, new.handle)


@in_softhsm
def test_threads_sign_side_by_side(keys: Keys) -> None:
    key = keys.ensure(USE)
    good: list[bool] = []

    def sign() -> None:
        for number in range(25):
            message = f"licence {number}".encode()
            good.append(ES256.verify(key.public_key, keys.sign_der(USE, message), message))

    threads = [threading.Thread(target=sign) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert good == [True] * 150


@in_softhsm
def test_a_module_that_forgot_its_sessions_is_asked_again(keys: Keys, token: Token) -> None:
    import pkcs11

    key = keys.ensure(USE)
    keys.sign_der(USE, b"before")

    pkcs11.lib(token.module).reinitialize()

    assert ES256.verify(key.public_key, keys.sign_der(USE, b"after"), b"after")


WAITED = 2.0


@pytest.fixture
def far_away(sqlite_database: Database, clock: MovableClock) -> tuple[Keys, RemoteModule]:
    """Keys in a module behind a wire; who asks waits for two seconds."""
    module = the_remote_module()
    backend = Pkcs11Backend(module.token.uri(), answer_within=WAITED)
    return Keys(sqlite_database, backend, clock), module


@in_softhsm
@behind_a_wire
def test_a_module_that_does_not_answer_is_waited_for_so_long_and_no_longer(
    far_away: tuple[Keys, RemoteModule],
) -> None:
    keys, module = far_away
    key = keys.ensure(USE)
    keys.sign_der(USE, b"before")

    module.stop_answering()
    try:
        took = [refused_after(keys) for _ in range(3)]
        with ThreadPoolExecutor(4) as others:
            took += others.map(refused_after, [keys] * 4)
    finally:
        module.answer_again()

    assert took[0] > WAITED / 2
    assert max(took[2:]) < WAITED  # the silence is known: nobody else waits
    assert verified_soon(keys, key)


@in_softhsm
@behind_a_wire
def test_a_module_that_was_lost_and_is_back_is_found_again(
    far_away: tuple[Keys, RemoteModule],
) -> None:
    keys, module = far_away
    key = keys.ensure(USE)
    keys.sign_der(USE, b"before")

    module.kill()
    try:
        with pytest.raises(KeyStoreUnavailable, match="answered"):
            keys.sign_der(USE, b"meanwhile")
    finally:
        module.start()

    assert verified_soon(keys, key)


def refused_after(keys: Keys) -> float:
    """How long somebody waits to hear that the module does not answer."""
    began = time.monotonic()
    with pytest.raises(KeyStoreUnavailable, match="does not answer"):
        keys.sign_der(USE, b"meanwhile")
    return time.monotonic() - began


def verified_soon(keys: Keys, key: Key) -> bool:
    deadline = time.monotonic() + 20
    while True:
        try:
            return ES256.verify(key.public_key, keys.sign_der(USE, b"after"), b"after")
        except KeyStoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@in_softhsm
def test_a_retired_key_is_destroyed_inside_the_module(
    keys: Keys, hsm: Backend, sqlite_database: Database
) -> None:
    old = keys.ensure("idp.tokens")
    with sqlite_database.read() as tx:
        handle = key_by_kid(tx, old.kid).handle

    keys.compromised("idp.tokens")

    with pytest.raises(KeyDamaged, match="0 keys"):
        hsm.signer(ES256, old.kid, old.policy, handle)


@in_softhsm
def test_a_house_moves_into_a_module_key_by_key(
    sqlite_database: Database, hsm: Backend, backend: SoftwareBackend, clock: MovableClock
) -> None:
    before = Keys(sqlite_database, backend, clock)
    old = before.ensure("idp.tokens")

    after = Keys(sqlite_database, hsm, clock, older_backends=[backend])
    with_old = after.sign("idp.tokens", b"message")
    new = after.rotate("idp.tokens", at_once=True)

    assert with_old.kid == old.kid
    assert after.sign("idp.tokens", b"message").kid == new.kid
    with pytest.raises(KeyDamaged, match="pkcs11"):
        Keys(sqlite_database, backend, clock).sign("idp.tokens", b"message")


@in_softhsm
@pytest.mark.parametrize("handle", [b"", b"pkcs11:id=%00;type=private", b"pkcs11:object=x"])
def test_an_address_that_is_not_ours_is_refused(hsm: Backend, handle: bytes) -> None:
    with pytest.raises(KeyDamaged):
        hsm.signer(ES256, "kid", POLICY, handle)


@in_softhsm
def test_a_token_that_is_not_there_is_unavailable_for_now(token: Token) -> None:
    absent = open_backend(token.uri().replace(token.label, "absent"), bytes(32))

    with pytest.raises(KeyStoreUnavailable) as raised:
        absent.generate(ES256, POLICY)

    assert raised.value.retry_after == 5


@in_softhsm
def test_a_wrong_pin_is_refused_and_not_shown(token: Token, tmp_path: Path) -> None:
    """In a process of its own: a module keeps one login for a whole process."""
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text("00000-wrong")
    uri = token.uri(**{"pin-source": f"file:{pin}"})
    program = (
        "from keys.encoding.algorithms import ES256\n"
        "from keys.custody.backends.selection import open_backend\n"
        "from keys.policy import KeyPolicy\n"
        f"open_backend({uri!r}, bytes(32)).generate(ES256, KeyPolicy('x', 1))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "PinIncorrect" in ended.stderr
    assert "00000" not in ended.stderr


@in_softhsm
def test_a_pin_file_open_to_others_is_refused(token: Token, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text("86420")
    pin.chmod(0o644)
    backend = open_backend(token.uri(**{"pin-source": f"file:{pin}"}), bytes(32))

    with pytest.raises(UnsafeSecretFile, match="open to others"):
        backend.generate(ES256, POLICY)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("pkcs11:token=x?module-path=/a.so&pin-source=file:/p&pin-value=1", "PIN"),
        ("pkcs11:token=x?module-path=/a.so", "pin-source"),
        ("pkcs11:token=x?pin-source=file:/p", "module-path"),
        ("pkcs11:?module-path=/a.so&pin-source=file:/p", "token"),
        ("pkcs11:tokn=x;token=y?module-path=/a.so&pin-source=file:/p", "tokn"),
        ("vault:transit", "vault"),
        ("", "called ''"),
        ("software:/tmp/keys", "no address"),
    ],
)
def test_an_address_of_no_key_store_is_refused(uri: str, why: str) -> None:
    pytest.importorskip("pkcs11")

    with pytest.raises(UnusableBackend, match=why) as raised:
        open_backend(uri, bytes(32))

    assert raised.value.next_step


def test_the_software_store_is_chosen_by_its_scheme() -> None:
    assert open_backend("software:", bytes(32)).scheme == "software"


@in_softhsm
def test_keys_for_rs256_turn_over_in_the_module_and_keep_their_size(keys: Keys) -> None:
    use = "idp.tokens.rs256"
    first = keys.ensure(use, "RS256")
    before = keys.jws(use, {"sub": "citizen"}, typ="JWT")
    second = keys.rotate(use, at_once=True)

    after = keys.jws(use, {"sub": "citizen"}, typ="JWT")

    for token in (before, after):
        assert verify_compact(token, typ="JWT", key_for=keys.trusted(use)).claims
    assert first.kid != second.kid
    assert {key["alg"] for key in keys.jwks(use)["keys"]} == {"RS256"}
    assert {key.public_key.key_size for key in (first, second)} == {2048}
