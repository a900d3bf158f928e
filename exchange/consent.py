"""A holder shows a certificate: a code for one certificate, one look, one minute.

- 128 random bits; nothing in the code tells when or by whom it was made, unlike codes that begin
  with a time and can be guessed.
- The database keeps only its SHA-256, and lets exactly one of two simultaneous openings through.
- Too old or opened before: "ask the holder to show it again", and the holder sees the attempt.
- The browser that opened it may look at the same answer again until the code's end; what it says to
  be known by is kept like the code, as a hash.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Row

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
    """Whether a token is a holder's show code and not the permanent one on a certificate."""
    return token.startswith(PREFIX)


def hash_of(token: str) -> bytes:
    """What the database knows a code, or the word of a browser, by."""
    return sha256(token.encode()).digest()


def was_seen_by(code: Row[Any], browser: str) -> bool:
    """Was it this browser that opened the code? Constant time."""
    return bool(browser) and hmac.compare_digest(hash_of(browser), bytes(code.seen_by or b""))


def may_look_again(code: Row[Any], browser: str, now: datetime) -> bool:
    """Whether the browser that opened the code may see the same answer once more, in its
    minute."""
    return was_seen_by(code, browser) and code.answer is not None and bool(code.expires_at > now)


def expired() -> ShowCodeExpired:
    """The error for a code that was opened before or is too old."""
    return ShowCodeExpired(
        "the code was opened before, or its minute is over",
        next_step="ask the holder to show it again",
    )


def unknown() -> ShowCodeUnknown:
    """The error for a code that was never given out."""
    return ShowCodeUnknown(
        "this is not a code of ours",
        next_step="ask the holder to show it again",
    )
