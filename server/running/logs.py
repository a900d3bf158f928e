"""Log lines as JSON on stderr: an event name, the time, and a few named facts.

No line ever holds a personal value or a secret: events are written with names and counts, and a
processor drops the keys that could carry one, whoever wrote them.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
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


_LEVELS: Final = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL,  # nobody writes any
}


def configure(level: str = "info") -> None:
    """Called by the command line, with the level of the settings as soon as they are read;
    importing a module never configures logging."""
    least = _LEVELS[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            drop_what_could_be_personal,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # the settings are read after the first lines
    )
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(_OfOthers())
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[others], force=True)


class _OfOthers(logging.Formatter):
    """What a library has to say: that it did, how bad it is and the kind of failure. Its words and
    its traceback's last line may quote a value."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "event": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "place": f"{record.filename}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[0]:
            told["failure"] = record.exc_info[0].__name__
        return orjson.dumps(told, option=orjson.OPT_UTC_Z).decode()


def drop_what_could_be_personal(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: values of keys that may carry a secret or personal data become "…"."""
    for key in _NEVER & event.keys():
        event[key] = "…"
    return event
