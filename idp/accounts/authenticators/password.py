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
from datetime import datetime
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from foundation.database import Tx
from idp.accounts.authenticators.interface import (
    Answer,
    Asked,
    EnrolledCredential,
    Flow,
    Proof,
    SignInAccount,
)
from idp.models import Person
from idp.store import people

SHORTEST: Final = 8
LONGEST: Final = 128
NOBODY: Final = (  # of 256 random bits that were thrown away; with the parameters of all others
    "$argon2id$v=19$m=19456,t=2,p=1$273FIzfG7cCgYJH4wq0nIA$"
    "Sb1fhVma75tV3Q4HMOsD+FJFFLAO4I+WC6TX+os9fRw"
)


class Passwords:
    """Hashes and verifies; safe to share between threads."""

    def __init__(self, *, at_once: int | None = None) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._at_once = threading.BoundedSemaphore(at_once or os.cpu_count() or 1)

    def hash(self, password: str) -> str:
        """The encoded argon2id hash, with its salt and parameters."""
        with self._at_once:
            return self._hasher.hash(_normal(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits. None (nobody, or no password) costs the same and is False."""
        with self._at_once:
            try:
                fits = self._hasher.verify(password_hash or NOBODY, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return fits and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password[: LONGEST * 4])


class PasswordAuthenticator:
    """The first row of the table: a user name and a password. One password a person."""

    name = "password"
    amr = ("pwd",)
    begins = True
    fields = ("username", "password")

    def __init__(self) -> None:
        self.passwords = Passwords()

    def challenge(self, person: Person | None, flow: Flow) -> Asked:
        """A form with two fields needs nothing."""
        return Asked()

    def verify(self, flow: Flow, answer: Answer, now: datetime) -> Proof:
        """Whether the password fits; about 20 ms of a core, whoever it is."""
        held = flow.credentials.get(self.name, ())
        password_hash = held[0].secret if held else None
        fits = self.passwords.verify(password_hash, answer.get("password", ""))
        return "done" if fits else "again"

    def accept(self, tx: Tx, flow: Flow, answer: Answer, now: datetime) -> bool:
        """A password may be used again."""
        return True

    def enrol(self, tx: Tx, person: Person, credential: EnrolledCredential, now: datetime) -> None:
        """`credential.secret` is the encoded hash (`Passwords.hash`); the one before is gone."""
        people.set_password(tx, person.id, credential.secret)

    def list(self, tx: Tx, account: SignInAccount) -> tuple[EnrolledCredential, ...]:
        """From the person's own row, so nothing is asked."""
        return (
            (EnrolledCredential("password", account.password_hash),)
            if account.password_hash
            else ()
        )

    def remove(self, tx: Tx, person: Person, credential_id: str) -> bool:
        """Who has no password cannot sign in by one."""
        return credential_id == "password" and people.set_password(tx, person.id, None)


PASSWORD: Final = PasswordAuthenticator()
