"""Private keys in the database, each in its own AES-256-GCM envelope under one master key.

- The master key (32 bytes) lives in a file that only its owner can read, or in a read-only secret
  mounted by the platform; it is never in the environment or the database.
- An envelope is a fresh data key wrapped under the key-encryption key, and the PKCS#8 key under
  that data key. Both bind the key's id and its policy (AAD): an envelope moved to another row, or
  given another use or a later end, does not open. Changing the master key re-wraps data keys only.
- What GCM has authenticated is not checked again: OpenSSL's RSA consistency check costs 109 ms.
"""

import os
import secrets
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.encryption import derive_key
from keys.custody.backends import NewKey, Signer
from keys.custody.backends.files import read_secret
from keys.encoding.algorithms import Algorithm
from keys.encoding.jose import jwk_of, thumbprint
from keys.errors import KeyDamaged, UnsafeMasterKey, UnsafeSecretFile
from keys.policy import KeyPolicy

MASTER_KEY_BYTES = 32
_MAX_FILE = 256
_FORMAT = b"\x01"
_NONCE = 12
_WRAPPED_DATA_KEY = _NONCE + 32 + 16


class SoftwareBackend:
    """Keys held by this process; `master_key` has 32 bytes."""

    scheme = "software"
    prompt = True

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise UnsafeMasterKey(f"the master key must have {MASTER_KEY_BYTES} bytes")
        self._wrapping = AESGCM(derive_key(master_key, "keys envelope"))

    def __repr__(self) -> str:
        return "SoftwareBackend(…)"

    def generate(self, algorithm: Algorithm, policy: KeyPolicy) -> NewKey:
        """Make a key pair; the handle is the private key (PKCS #8, DER), encrypted."""
        private_key = algorithm.generate()
        public_key = private_key.public_key()
        kid = thumbprint(jwk_of(public_key))
        plain = private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return NewKey(kid, public_key, self._seal(plain, policy.binding(kid, algorithm.name)))

    def signer(self, algorithm: Algorithm, kid: str, policy: KeyPolicy, handle: bytes) -> Signer:
        """A signer with the decrypted private key. Raises `KeyDamaged` when the handle is not of
        this kid, algorithm and policy."""
        plain = self._open(handle, kid, policy.binding(kid, algorithm.name))
        private_key = serialization.load_der_private_key(
            plain, password=None, unsafe_skip_rsa_key_validation=True
        )
        if not algorithm.accepts(private_key.public_key()):
            raise KeyDamaged(f"the stored key {kid} is not an {algorithm.name} key")
        return partial(algorithm.sign, private_key)

    def destroy(self, kid: str, handle: bytes) -> None:
        """Nothing to do: the envelope is the only copy, and the caller erases it."""

    def _seal(self, plain: bytes, bound: bytes) -> bytes:
        data_key = AESGCM.generate_key(256)
        outer, inner = secrets.token_bytes(_NONCE), secrets.token_bytes(_NONCE)
        wrapped = outer + self._wrapping.encrypt(outer, data_key, bound)
        return _FORMAT + wrapped + inner + AESGCM(data_key).encrypt(inner, plain, bound)

    def _open(self, envelope: bytes, kid: str, bound: bytes) -> bytes:
        wrapped, sealed = envelope[1 : 1 + _WRAPPED_DATA_KEY], envelope[1 + _WRAPPED_DATA_KEY :]
        try:
            if envelope[:1] != _FORMAT:
                raise InvalidTag
            data_key = self._wrapping.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound)
            return AESGCM(data_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except (InvalidTag, ValueError):
            raise KeyDamaged(
                f"the stored private key {kid} does not open",
                next_step="start with the master key this database was made with",
            ) from None


def load_master_key(path: Path, *, create: bool = False) -> bytes:
    """The 32 bytes in the master-key file, which holds them as base64. Raises `UnsafeMasterKey`.

    The rules of `read_secret` apply. The file is made only when `create` says so, with mode 0600,
    and never overwritten.
    """
    if create and not path.exists():
        _create(path)
    try:
        text = read_secret(path, _MAX_FILE)
    except UnsafeSecretFile as problem:
        raise UnsafeMasterKey(problem.detail, next_step=problem.next_step) from None
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise UnsafeMasterKey(
            f"{path} does not hold exactly {MASTER_KEY_BYTES} bytes in base64",
            next_step="openssl rand -base64 32",
        )
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The key appears under its name complete or not at all, even when two processes start at once.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b64encode(secrets.token_bytes(MASTER_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
