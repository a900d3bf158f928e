"""Passwords: argon2id (RFC 9106) with OWASP's parameters, never more at once than there are cores.

- An unknown user name costs the same hash as a known one, so neither time nor text tells which
  names exist (OWASP ASVS 6.3.8).
- Each hash takes 19 MiB and about 20 ms of a core on purpose; the semaphore keeps a rush of
  sign-ins from starving everything else.
- The form is NFKC, so that full-width digits of a Chinese input method are the same password
  (NIST SP 800-63B-4 §3.1.1.2).
"""

import os
import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AMR: Final = ("pwd",)
SHORTEST: Final = 8
LONGEST: Final = 128


class Passwords:
    """Hashes and verifies; safe to share between threads."""

    def __init__(self, *, at_once: int | None = None) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._room = threading.BoundedSemaphore(at_once or os.cpu_count() or 1)
        self._nobody = self.hash("nobody has this password")

    def hash(self, password: str) -> str:
        """The encoded argon2id hash, with its salt and parameters."""
        with self._room:
            return self._hasher.hash(_normal(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits. None (nobody, or no password) costs the same and is False."""
        with self._room:
            try:
                fits = self._hasher.verify(password_hash or self._nobody, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return fits and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password[: LONGEST * 4])
