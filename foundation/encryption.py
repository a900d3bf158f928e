"""Personal values at rest: AES-256-GCM per value, and blind indexes to find them again.

The key is derived from the master key by whoever assembles the installation; this module never sees
the master key. A blind index is an HMAC: equal values give equal indexes, nothing else can be
learned without the key. `context` binds a value to its place ("people.id_number"), so that an
encrypted value copied to another column does not open there.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.chance import Chance
from foundation.errors import YinzhengError

_NONCE_BYTES = 12


class Undecryptable(YinzhengError):
    """The stored value was not made with this key for this place, or was altered."""

    code = "undecryptable"


def derive_key(master_key: bytes, label: str) -> bytes:
    """A 32-byte key for one purpose (HKDF-SHA-256, RFC 5869)."""
    return HKDF(SHA256(), length=32, salt=None, info=label.encode()).derive(master_key)


class FieldCipher:
    """Encrypts single values and makes blind indexes; 32-byte `key`."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(derive_key(key, "field encryption"))
        # Keyed once and copied for each value: half the cost of starting from the key.
        self._index = HMAC(derive_key(key, "blind index"), SHA256())

    def __repr__(self) -> str:
        return "FieldCipher(…)"

    def encrypt(
        self, plaintext: bytes, context: str, chance: Chance = secrets.token_bytes
    ) -> bytes:
        """nonce (12 bytes) + ciphertext + tag (16 bytes)."""
        nonce = chance(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, context.encode())

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """The plaintext of what `encrypt` made for this context. Raises `Undecryptable`."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._aead.decrypt(nonce, ciphertext, context.encode())
        except (InvalidTag, ValueError):
            raise Undecryptable(f"a stored value of {context} does not open") from None

    def blind_index(self, value: str, context: str) -> str:
        """64 hexadecimal characters, equal for equal (value, context)."""
        index = self._index.copy()
        index.update(f"{context}\x00{value}".encode())
        return index.finalize().hex()


def subject_of(cipher: FieldCipher, holder_kind: str, holder_code: str) -> str:
    """The pseudonymous id of a holder, the same wherever the holder appears.

    `holder_kind` is "person" (GB 11643 number), "organisation" (GB 32100 code) or "register"
    (an account number in a foreign register).
    """
    return cipher.blind_index(f"{holder_kind}:{holder_code}", "subject")
