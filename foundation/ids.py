"""Names for rows that order themselves by time (UUIDv7, RFC 9562 §5.7).

What is written together lies together: rows under such names fill the right edge of an index, where
rows under random names would each touch a page of their own. A name tells when it was given, and
whoever knows one cannot guess another; what must stay secret is not named like this.
"""

import re
import secrets
from datetime import datetime
from typing import Final

from foundation.chance import Chance

UUID_LENGTH: Final = 36
_RANDOM_BYTES: Final = 10
_UUID = re.compile(rf"[0-9a-f-]{{{UUID_LENGTH}}}", re.ASCII)


def uuid7(at: datetime, chance: Chance = secrets.token_bytes) -> str:
    """A name given at `at`, with 74 random bits."""
    random = chance(_RANDOM_BYTES).hex()
    time = f"{int(at.timestamp() * 1000):012x}"
    variant = "89ab"[int(random[0], 16) & 3]  # two fixed bits, two random ones
    return f"{time[:8]}-{time[8:]}-7{random[1:4]}-{variant}{random[4:7]}-{random[7:19]}"


def leading_uuid(text: str) -> str:
    """The name that `text` begins with, "" when it begins with something else."""
    found = _UUID.match(text)
    return found[0] if found else ""
