"""A mapping that never holds more than so many entries: the oldest goes first.

Reading takes no lock. Writing does, because evicting while another thread writes would fail.
"""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """At most `capacity` entries, safe for threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # A plain dict walks over its deleted entries to find the oldest one.
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value under this key; None when it was never put or has been displaced."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep the value as the newest entry; when full, the oldest goes. Answers the value."""
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._capacity:
                self._entries.popitem(last=False)
            self._entries[key] = value
        return value

    def drop(self, key: K) -> None:
        """Forget this key, if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
