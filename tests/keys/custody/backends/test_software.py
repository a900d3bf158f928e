"""The encrypted envelope and the file that opens it."""

import secrets
import stat
import threading
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.custody.backends.software import SoftwareBackend, load_master_key
from keys.encoding.algorithms import ALGORITHMS, ES256, PS256, RS256
from keys.errors import KeyDamaged, UnsafeMasterKey
from keys.policy import KeyPolicy

POLICY = KeyPolicy("idp.tokens", 1)
END = datetime(2031, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_a_key_comes_back_out_of_its_envelope(backend: SoftwareBackend, row) -> None:
    new = backend.generate(row, POLICY)

    signature = backend.signer(row, new.kid, POLICY, new.handle)(b"message")

    assert row.verify(new.public_key, signature, b"message")


def test_an_envelope_moved_to_another_key_does_not_open(backend: SoftwareBackend) -> None:
    one, two = (backend.generate(ES256, POLICY) for _ in range(2))

    with pytest.raises(KeyDamaged):
        backend.signer(ES256, two.kid, POLICY, one.handle)


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "idp.tokens"},
        {"version": 2},
        {"not_after": None},
        {"not_after": END + timedelta(days=1)},
        {"per_minute": None},
        {"per_minute": 61},
    ],
    ids=str,
)
def test_a_key_does_not_open_under_another_policy_than_it_was_made_with(
    backend: SoftwareBackend, changed: dict[str, Any]
) -> None:
    strict = KeyPolicy("seal/4711", 1, END, 60)
    new = backend.generate(ES256, strict)

    assert backend.signer(ES256, new.kid, strict, new.handle)
    with pytest.raises(KeyDamaged):
        backend.signer(ES256, new.kid, replace(strict, **changed), new.handle)


def test_a_key_made_for_one_algorithm_does_not_open_for_another_of_its_kind(
    backend: SoftwareBackend,
) -> None:
    new = backend.generate(PS256, POLICY)

    with pytest.raises(KeyDamaged):
        backend.signer(RS256, new.kid, POLICY, new.handle)


def test_an_envelope_under_another_master_key_does_not_open(backend: SoftwareBackend) -> None:
    new = backend.generate(ES256, POLICY)

    with pytest.raises(KeyDamaged, match=new.kid):
        SoftwareBackend(secrets.token_bytes(32)).signer(ES256, new.kid, POLICY, new.handle)


def test_every_flipped_byte_of_an_envelope_is_noticed(backend: SoftwareBackend) -> None:
    new = backend.generate(ES256, POLICY)

    for place in range(len(new.handle)):
        damaged = bytearray(new.handle)
        damaged[place] ^= 1
        with pytest.raises(KeyDamaged):
            backend.signer(ES256, new.kid, POLICY, bytes(damaged))
    for length in (0, 1, 40, 80):
        with pytest.raises(KeyDamaged):
            backend.signer(ES256, new.kid, POLICY, new.handle[:length])


def test_a_key_is_not_opened_for_another_algorithm(backend: SoftwareBackend) -> None:
    new = backend.generate(ES256, POLICY)

    with pytest.raises(KeyDamaged):
        backend.signer(RS256, new.kid, POLICY, new.handle)


def test_nothing_private_is_in_a_repr_or_an_exception(backend: SoftwareBackend) -> None:
    new = backend.generate(ES256, POLICY)
    damaged = new.handle[:-1] + bytes((new.handle[-1] ^ 1,))

    with pytest.raises(KeyDamaged) as raised:
        backend.signer(ES256, new.kid, POLICY, damaged)

    told = f"{backend!r} {new!r} {raised.value!r}"
    assert repr(new.handle)[2:-1] not in told
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_master_key_is_made_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "master.key"

    with pytest.raises(UnsafeMasterKey):
        load_master_key(path)
    key = load_master_key(path, create=True)

    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_master_key(path, create=True) == load_master_key(path) == key
    assert [each.name for each in path.parent.iterdir()] == ["master.key"]


def test_processes_that_start_at_once_agree_on_the_master_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    seen: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: seen.append(load_master_key(path, create=True)))
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 8
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    ("mode", "accepted"),
    [
        (0o600, True),
        (0o400, True),
        (0o444, True),
        (0o440, True),
        (0o644, False),
        (0o640, False),
        (0o666, False),
        (0o604, False),
        (0o620, False),
    ],
)
def test_a_master_key_open_to_others_is_refused(tmp_path: Path, mode: int, accepted: bool) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b64encode(bytes(range(32))) + b"\n")
    path.chmod(mode)

    if accepted:
        assert load_master_key(path) == bytes(range(32))
    else:
        with pytest.raises(UnsafeMasterKey, match="open to others"):
            load_master_key(path)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_key_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "master.key"
    path.touch(mode=0o600)
    for content in (b64encode(bytes(length)), bytes(32), b"not base64"):
        path.write_bytes(content)

        with pytest.raises(UnsafeMasterKey, match="32 bytes"):
            load_master_key(path)
