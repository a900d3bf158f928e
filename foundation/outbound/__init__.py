"""Requests to addresses that somebody else told us.

client     `Outbound`: the networks that may be talked to, and the requests
deadline   one HTTP exchange that is over by one moment, whatever the other side does
coding     content codings, undone within a limit
"""

from foundation.outbound.client import (
    Outbound,
    OutboundError,
    OutboundRefused,
    parse_url,
    place_of,
)
from foundation.outbound.deadline import (
    Deadline,
    Exchanges,
    Lookups,
    NoAnswer,
    Received,
    Resolve,
    system_resolver,
)

__all__ = [
    "Deadline",
    "Exchanges",
    "Lookups",
    "NoAnswer",
    "Outbound",
    "OutboundError",
    "OutboundRefused",
    "Received",
    "Resolve",
    "parse_url",
    "place_of",
    "system_resolver",
]
