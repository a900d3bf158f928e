"""What time it is. A clock is an argument, so a test can move it and a rule never reads it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's time, always aware and always UTC."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """A moment as interfaces write it: 2026-11-24T08:00:00.000Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
