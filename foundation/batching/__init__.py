"""The fast lane's tools: requests that wait at the same moment share a read and a commit.

    routes      a request and its answer on the fast lane, and their twins on the ordinary one
    batching    `Loader` joins look-ups to one query
    committing  `GroupWriter` joins writes to one commit, all those of one database
    prepared    statements compiled once for a batch of any size

Nothing here keeps an answer: what is read is read now, and a write is answered after its COMMIT.
"""

from foundation.batching.batching import Loader
from foundation.batching.committing import Condition, GroupWriter
from foundation.batching.prepared import (
    KEYS,
    Prepared,
    Rows,
)
from foundation.batching.routes import (
    ASKER,
    HotAnswer,
    HotHandler,
    HotRequest,
    HotRoute,
    Require,
    json_answer,
    mount,
    outage,
    parse_form,
    parse_pairs,
    read_body,
)

__all__ = [
    "ASKER",
    "KEYS",
    "Condition",
    "GroupWriter",
    "HotAnswer",
    "HotHandler",
    "HotRequest",
    "HotRoute",
    "Loader",
    "Prepared",
    "Require",
    "Rows",
    "json_answer",
    "mount",
    "outage",
    "parse_form",
    "parse_pairs",
    "read_body",
]
