"""When something existed: RFC 3161 time-stamp tokens.

timestamps      our own authority
external_time   one run by others, whose tokens are checked before they are believed
"""

from keys.timestamping.external_time import (
    ExternalTimestamps,
    TimeSource,
)

__all__ = [
    "ExternalTimestamps",
    "TimeSource",
]
