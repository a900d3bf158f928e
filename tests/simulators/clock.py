"""A clock that tests move by hand."""

from datetime import UTC, datetime, timedelta


class MovableClock:
    """Stands still until told otherwise; calling it answers the time."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        self.now += by
        return self.now
