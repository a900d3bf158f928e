"""Keyset pages: "the rows after this one", never "rows 10,000 to 10,050".

A cursor is the sort key of the last row seen, opaque to whoever carries it. It grants nothing: the
query that uses it applies the same permissions again, so it needs no signature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from foundation.canonical import b64url, b64url_decode
from foundation.errors import Malformed

T = TypeVar("T")
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items in order, and the cursor that continues after the last (None at the end)."""

    items: tuple[T, ...]
    next: str | None = None


def encode_cursor(*key: str | int) -> str:
    """The sort key of the last row seen, as opaque URL-safe text."""
    return b64url(orjson.dumps(key))


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The key inside `cursor`, checked against `kinds`. Raises `Malformed`."""
    try:
        key = orjson.loads(b64url_decode(cursor))
    except (orjson.JSONDecodeError, Malformed):
        raise Malformed("the page cursor is not one of ours", next_step="start at page 1") from None
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise Malformed("the page cursor belongs to another list", next_step="start at page 1")
    return tuple(key)


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], tuple[str | int, ...]]) -> Page[T]:
    """A page from `limit + 1` fetched rows: the extra row only proves that there is more."""
    shown = tuple(rows[:limit])
    more = len(rows) > limit
    return Page(shown, encode_cursor(*key(shown[-1])) if more else None)
