"""A holder shows a certificate: a code for one certificate, one look, one minute.

- 128 random bits; nothing in the code tells when or by whom it was made, unlike codes that begin
  with a time and can be guessed.
- The database keeps only its SHA-256, and lets exactly one of two simultaneous openings through.
- Too old or opened before: "ask the holder to show it again", and the holder sees the attempt.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from exchange.errors import ShowCodeExpired, ShowCodeUnknown
from exchange.models import ShowCode

GOOD_FOR = timedelta(seconds=60)
PREFIX = "show-"  # tells a show code from the permanent code printed on a certificate
_RANDOM_BYTES = 16


def new_show_code(identifier: str, now: datetime) -> ShowCode:
    """A fresh code; the caller stores its hash."""
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return ShowCode(token, identifier, now + GOOD_FOR)


def is_show_code(token: str) -> bool:
    return token.startswith(PREFIX)


def hash_of(token: str) -> bytes:
    """What the database knows a code by."""
    return sha256(token.encode()).digest()


def expired() -> ShowCodeExpired:
    return ShowCodeExpired(
        "the code was opened before, or its minute is over",
        next_step="ask the holder to show it again",
    )


def unknown() -> ShowCodeUnknown:
    return ShowCodeUnknown(
        "this is not a code of ours",
        next_step="ask the holder to show it again",
    )
