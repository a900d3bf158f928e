"""Log lines as JSON on stderr: an event name, the time, and a few named facts.

No line ever holds a personal value or a secret: events are written with names and counts, and a
processor drops the keys that could carry one, whoever wrote them.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_NEVER = frozenset(
    {
        "assertion",
        "authorization",
        "body",
        "client_secret",
        "code",
        "cookie",
        "fields",
        "holder_code",
        "holder_name",
        "id_number",
        "master_key",
        "name",
        "params",
        "password",
        "query",
        "refresh_token",
        "token",
        "url",
        "username",
    }
)


def configure(level: int = logging.INFO) -> None:
    """Called once by the command line; importing a module never configures logging."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            drop_what_could_be_personal,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format='{"event":"%(name)s","level":"warning"}')


def drop_what_could_be_personal(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: values of keys that may carry a secret or personal data become "…"."""
    for key in _NEVER & event.keys():
        event[key] = "…"
    return event
