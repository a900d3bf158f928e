"""Names for rows that order themselves by time (UUIDv7, RFC 9562 §5.7).

What is written together lies together: rows under such names fill the right edge of an index, where
rows under random names would each touch a page of their own. A name tells when it was given, and
whoever knows one cannot guess another; what must stay secret is not named like this.
"""

import re
import secrets
from datetime import datetime
from typing import Final

UUID_LENGTH: Final = 36
UUID_RANDOM_BYTES: Final = 10
_UUID = re.compile(rf"[0-9a-f-]{{{UUID_LENGTH}}}", re.ASCII)


def uuid7(at: datetime, randomness: bytes = b"") -> str:
    """A name given at `at`; `randomness` are ten bytes, fresh ones when left out."""
    chance = (randomness or secrets.token_bytes(UUID_RANDOM_BYTES)).hex()
    time = f"{int(at.timestamp() * 1000):012x}"
    variant = "89ab"[int(chance[0], 16) & 3]
    return f"{time[:8]}-{time[8:]}-7{chance[1:4]}-{variant}{chance[4:7]}-{chance[7:19]}"


def leading_uuid(text: str) -> str:
    """The name that `text` begins with, "" when it begins with something else."""
    found = _UUID.match(text)
    return found[0] if found else ""
