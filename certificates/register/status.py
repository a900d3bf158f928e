"""Token Status List: two bits per certificate, public, signed, and never older than a moment.

* An index is drawn at random and never used twice (`UNIQUE(status_list, status_index)`), so a list
  says nothing about order or number of certificates (draft-ietf-oauth-status-list §13).
* 2^20 slots a list; when about half of a list is taken the next one is opened, so that a random
  draw keeps finding free slots.
* A change takes the list's next version under a lock on the list's row: whoever has read version n
  has read all before it. Each process keeps the bits in memory and reads only what is newer.
* The history of a list is kept, so "?time=" is answered with the list as it was then: signed, and
  valid from the change before that moment to the change after it (§8.4).
* Every request asks the database for the version (one coalesced query), so a revocation is public
  as soon as it is committed. Compressing and signing happen once a version.

Values: 0 valid, 1 invalid, 2 suspended. Bits are packed from the least significant end (§4.1).
"""

import asyncio
import re
import secrets
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from certificates.register import status_store
from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    Loader,
)
from foundation.bounded import Bounded
from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Malformed, NotFound
from keys import Keys

BITS = 2
SIZE = 1 << 20
PATH = "/status-lists"
TTL_SECONDS = 60  # how long a relying party may use its copy
LIFETIME = timedelta(days=1)
REFRESH = timedelta(hours=1)  # a list without changes is signed anew this often
USE = "certificates.status"
MEDIA_TYPE = "application/statuslist+jwt"

_CLOCK_SKEW = timedelta(seconds=5)
_PROBES = 32
_PAST_KEPT = 64  # signed lists of the past kept in memory
_YEAR_9999 = 253_370_764_800
_TIME = re.compile(r"[0-9]{1,11}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A place in a status list."""

    list_id: int
    index: int


@dataclass(frozen=True, slots=True)
class Published:
    """A signed status list token and what it is made from."""

    version: int
    signed_at: datetime
    token: str
    etag: str


@dataclass(frozen=True, slots=True)
class Past:
    """A list as it was from `begin` until before `end` (seconds since 1970)."""

    begin: int
    end: int
    token: str
    is_over: bool


@dataclass(slots=True)
class _Bits:
    """The packed values of one list, up to `version`."""

    version: int = 0
    packed: bytearray = field(default_factory=lambda: bytearray(SIZE * BITS // 8))


def put(packed: bytearray, index: int, value: int) -> None:
    """Write a two-bit value; slot 0 is the two lowest bits of byte 0."""
    shift = index % 4 * BITS
    byte = index // 4
    packed[byte] = packed[byte] & ~(0b11 << shift) & 0xFF | value << shift


def get(packed: bytes | bytearray, index: int) -> int:
    """Read a two-bit value."""
    return packed[index // 4] >> index % 4 * BITS & 0b11


def compress(packed: bytes | bytearray) -> str:
    """The `lst` member: zlib, base64url. Level 6 costs milliseconds, level 9 tens of them."""
    return b64url(zlib.compress(bytes(packed), 6))


def choose_slots(database: Database, count: int, now: datetime) -> list[Slot]:
    """`count` random slots that are free now; the unique constraint has the last word."""
    while True:
        with database.read() as tx:
            newest = status_store.newest_list(tx)
            chosen = _draw(tx, newest, count) if newest is not None else None
        if chosen is not None:
            return chosen
        with database.write() as tx:
            status_store.open_list(tx, database, (newest or 0) + 1, SIZE, now)


def record_change(tx: Tx, slot: Slot, value: int, at: datetime) -> int:
    """Append a change to a list's history; answers the list's new version."""
    return status_store.add_change(tx, slot.list_id, slot.index, value, at)


def read_bits(tx: Tx, list_id: int, version: int | None = None) -> bytearray:
    """The packed values of a list from its history: all of it, or up to a version."""
    bits = _Bits()
    _catch_up(tx, list_id, bits, version)
    return bits.packed


class StatusLists:
    """Publishes the lists; one per process, shared by all requests."""

    def __init__(self, database: Database, keys: Keys, clock: Clock, public_url: str) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._public_url = public_url
        self._bits: dict[int, _Bits] = {}
        self._published: dict[int, Published] = {}
        self._building = threading.Lock()
        self._past: Bounded[tuple[int, int], Past] = Bounded(_PAST_KEPT)
        self._versions: Loader[int, int] = Loader(database, status_store.versions)

    def uri(self, list_id: int) -> str:
        """The public address of a list, as certificates name it."""
        return f"{self._public_url}{PATH}/{list_id}"

    def uris(self) -> list[str]:
        """Every list there is (§9, aggregation)."""
        with self._database.read() as tx:
            ids = status_store.list_ids(tx)
        return [self.uri(list_id) for list_id in ids]

    def close(self) -> None:
        """Stop the loader of list versions; nothing may be asked afterwards."""
        self._versions.close()

    def publish(self, list_id: int) -> Published:
        """The list as it is now. Raises `NotFound`."""
        with self._database.read() as tx:
            version = status_store.versions(tx, [list_id]).get(list_id)
        if version is None:
            raise NotFound("there is no such status list")
        return self._current(list_id, version) or self._build(list_id, version)

    def past(self, list_id: int, at: int) -> Past:
        """The list as it was at `at`, whole seconds since 1970. Raises `NotFound` for a time before
        it was opened, or one that has not come yet.
        """
        now = self._clock()
        with self._database.read() as tx:
            version, begin, end = _interval(tx, list_id, at)
            if begin is None or not begin <= at <= int(now.timestamp()):
                raise NotFound("there is no such status list at that time")
            known = self._past.get((list_id, version))
            if known is not None and (known.end == end if end else known.end > now.timestamp()):
                return known
            packed = read_bits(tx, list_id, version)
        until = end or int(now.timestamp()) + TTL_SECONDS
        claims = self._claims(list_id, packed, begin, until)
        token = self._signed(claims)
        return self._past.put((list_id, version), Past(begin, until, token, end is not None))

    async def answer(self, request: HotRequest) -> HotAnswer:
        """GET /status-lists/{id}: the signed list, or 304 when the asker has it already; with
        "?time=" the list as it was."""
        text = request.path_params["id"]
        list_id = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if request.query and (asked := parse_qs(request.query, keep_blank_values=True).get("time")):
            return await self._answer_past(list_id, asked)
        version = await self._versions.get(list_id)
        if version is None:
            raise NotFound("there is no such status list")
        published = self._current(list_id, version)
        if published is None:
            published = await asyncio.to_thread(self._build, list_id, version)
        headers = (("etag", published.etag), ("cache-control", "no-cache"))
        known = request.headers.get("if-none-match", "")
        if published.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return HotAnswer(304, b"", MEDIA_TYPE, headers)
        return HotAnswer(200, published.token.encode(), MEDIA_TYPE, headers)

    def routes(self) -> Sequence[HotRoute]:
        """The public operation of the fast lane that answers a list."""
        return (
            HotRoute(
                "GET",
                "/status-lists/{id}",
                self.answer,
                "get_status_list",
                "A status list: two bits for each certificate, as a signed token",
                openapi=_OPENAPI,
                tags=("status",),
            ),
        )

    async def _answer_past(self, list_id: int, asked: Sequence[str]) -> HotAnswer:
        if len(asked) != 1 or not _TIME.fullmatch(asked[0]):
            raise Malformed("time is one number of whole seconds since 1970")
        past = await asyncio.to_thread(self.past, list_id, int(asked[0]))
        keep = "public, max-age=86400" if past.is_over else "no-cache"
        return HotAnswer(200, past.token.encode(), MEDIA_TYPE, (("cache-control", keep),))

    def _current(self, list_id: int, version: int) -> Published | None:
        published = self._published.get(list_id)
        if published is None or published.version < version:
            return None
        age = self._clock() - published.signed_at  # negative: signed by a clock that was ahead
        return published if -_CLOCK_SKEW <= age < REFRESH else None

    def _build(self, list_id: int, version: int) -> Published:
        with self._building:
            ready = self._current(list_id, version)  # another request may have been first
            if ready is not None:
                return ready
            bits = self._bits.setdefault(list_id, _Bits())
            with self._database.read() as tx:
                _catch_up(tx, list_id, bits)
            published = self._published[list_id] = self._sign(list_id, bits)
            return published

    def _sign(self, list_id: int, bits: _Bits) -> Published:
        now = self._clock()
        begin, end = int(now.timestamp()), int((now + LIFETIME).timestamp())
        token = self._signed(self._claims(list_id, bits.packed, begin, end) | {"ttl": TTL_SECONDS})
        return Published(bits.version, now, token, f'"{list_id}.{bits.version}.{begin}"')

    def _claims(self, list_id: int, packed: bytearray, begin: int, end: int) -> dict[str, Any]:
        aggregation = {"aggregation_uri": f"{self._public_url}{PATH}"}
        return {
            "sub": self.uri(list_id),
            "iss": self._public_url,
            "iat": begin,
            "exp": end,
            "status_list": {"bits": BITS, "lst": compress(packed)} | aggregation,
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        self._keys.ensure(USE)
        return self._keys.jws(USE, claims, typ="statuslist+jwt")


def _draw(tx: Tx, list_id: int, count: int) -> list[Slot] | None:
    """Random free slots of a list, None when about half of it is taken."""
    drawn = list(dict.fromkeys(secrets.randbelow(SIZE) for _ in range(2 * count + _PROBES)))
    taken = status_store.taken_slots(tx, list_id, drawn)
    free = [index for index in drawn if index not in taken]
    if len(taken) * 2 > len(drawn) or len(free) < count:
        return None
    return [Slot(list_id, index) for index in free[:count]]


def _catch_up(tx: Tx, list_id: int, bits: _Bits, last: int | None = None) -> None:
    for version, slot, value in status_store.changes(tx, list_id, bits.version, last):
        put(bits.packed, slot, value)
        bits.version = version


def _interval(tx: Tx, list_id: int, at: int) -> tuple[int, int | None, int | None]:
    """Version of a list at a second, since when it was so (None: never), and until when (None: it
    still is). What changed within a second counts from its beginning.
    """
    moment = (
        datetime.fromtimestamp(at + 1, UTC) if at < _YEAR_9999 else datetime.max.replace(tzinfo=UTC)
    )
    version, since = status_store.last_change_before(tx, list_id, moment)
    since = since or status_store.opened_at(tx, list_id)
    until = status_store.first_change_after(tx, list_id, version or 0)
    return version or 0, _second(since), _second(until)


def _second(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


_OPENAPI = {
    "parameters": [
        {
            "name": "time",
            "in": "query",
            "description": "seconds since 1970: the list as it was then",
            "schema": {"type": "integer"},
        }
    ],
    "responses": {
        "200": {
            "description": "The list as a JWT of type statuslist+jwt",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        "304": {"description": "The asker's copy is current"},
        "404": {"description": "There is no such list, or was none at that time"},
    },
}
