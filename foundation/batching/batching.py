"""`Loader`: every look-up that waits in one tick of the event loop becomes one query.

Nothing is cached, so an answer is never older than the request that asked for it.

Queries run on threads of their own (one hop a batch, not one a request), with the same synchronous
`Database` as everywhere else. While some are asked the next ones gather, so the batch size follows
the load by itself. Where reading never waits (`Database.reader`) a `Loader` reads on the loop
itself: microseconds of SQLite cost less than handing them to a thread.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from types import coroutine
from typing import Generic, TypeVar

from foundation.batching.threads import Threads
from foundation.database import Database, Reader, Tx
from foundation.errors import Unavailable

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R")


class _Gatherer(Generic[T, R]):
    """Collects items of one loop tick and hands them, as batches, to `work` on a thread.

    `work` answers with one outcome per item, in order; an outcome that is an exception is raised
    at the waiting caller. At most `in_flight` batches run at once, at most `capacity` items wait.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        in_flight: int,
        max_batch: int,
        capacity: int,
    ) -> None:
        self._work = work
        self._threads = Threads(name, in_flight)
        self._free = self._in_flight = in_flight
        self._max_batch = max_batch
        self._capacity = capacity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._scheduled = False

    def submit(self, item: T) -> "asyncio.Future[R]":
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop (tests): what an old one left behind is nobody's
            self._loop, self._waiting, self._scheduled = loop, [], False
            self._free = self._in_flight
        if len(self._waiting) >= self._capacity:
            raise Unavailable("too many requests are waiting for the database", retry_after=1)
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        self._schedule(loop)
        return future

    def close(self) -> None:
        self._threads.close()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._scheduled or not self._waiting or not self._free:
            return
        self._scheduled = True
        loop.call_soon(self._start_batch, loop)

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
        self._free -= 1
        self._threads.run(lambda: self._run(loop, batch))
        self._schedule(loop)

    def _run(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[tuple[T, "asyncio.Future[R]"]]
    ) -> None:
        """On a thread."""
        outcomes: Sequence[R | BaseException]
        try:
            outcomes = self._work([item for item, _ in batch])
        except Exception as failure:  # handed to everybody who waits for this batch
            outcomes = [failure] * len(batch)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._settle, loop, batch, outcomes)

    def _settle(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[tuple[T, "asyncio.Future[R]"]],
        outcomes: Sequence[R | BaseException],
    ) -> None:
        if loop is not self._loop:
            return
        self._free += 1
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():  # the caller went away
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._schedule(loop)


class Loader(Generic[K, V]):
    """`await loader.get(key)`: the row as it is now, or None.

    `fetch(tx, keys)` answers all distinct keys of one tick with one query. `before(keys)`, if it is
    there, does what needs no database, ahead of the transaction: the same computation done for all
    of a tick in one go finds its code and tables in the processor's caches.
    """

    def __init__(
        self,
        database: Database,
        fetch: Callable[[Tx, Sequence[K]], Mapping[K, V]],
        *,
        before: Callable[[Sequence[K]], None] | None = None,
        max_batch: int = 1000,
        capacity: int = 20_000,
    ) -> None:
        self._fetch = fetch
        self._before = before
        self._database = database
        reader = database.reader()
        self._shared: _Gatherer[K, V | None] | _Ticks[K, V]
        if reader is not None:
            self._shared = _Ticks(reader, self._found, max_batch)
        else:
            self._shared = _Gatherer(
                "loader", self._load, in_flight=2, max_batch=max_batch, capacity=capacity
            )

    async def get(self, key: K) -> V | None:
        """The value under this key, fetched together with whatever else waits; None when there is
        none."""
        return await self._shared.submit(key)

    def close(self) -> None:
        """Stop the thread or connection behind the loader; nothing may be asked afterwards."""
        self._shared.close()

    def _load(self, keys: Sequence[K]) -> Sequence[V | BaseException | None]:
        found = self._found(self._database, list(dict.fromkeys(keys)))
        return [found.get(key) for key in keys]

    def _found(self, reads: Database | Reader, keys: Sequence[K]) -> Mapping[K, V]:
        if self._before is not None:
            self._before(keys)
        with reads.read() as tx:
            return self._fetch(tx, keys)


@coroutine
def _next_tick() -> Generator[None, None, None]:
    """What `asyncio.sleep(0)` does, without its way there."""
    yield


class _Tick(Generic[K, V]):
    """The keys of one loop tick, and in the next one what was found."""

    __slots__ = ("found", "keys")

    def __init__(self) -> None:
        self.keys: dict[K, None] = {}
        self.found: Mapping[K, V] | Exception | None = None


class _Ticks(Generic[K, V]):
    """Reads on the loop: everybody waits for the next tick, and whoever has it first reads for all.

    That spares a future for each of them, and nobody depends on a neighbour who goes away.
    """

    def __init__(
        self,
        reader: Reader,
        find: Callable[[Reader, Sequence[K]], Mapping[K, V]],
        max_batch: int,
    ) -> None:
        self._reader = reader
        self._find = find
        self._max_batch = max_batch
        self._open: _Tick[K, V] | None = None  # which has not been read yet, so may be joined

    async def submit(self, key: K) -> V | None:
        tick = self._open
        if tick is None or len(tick.keys) >= self._max_batch:
            tick = self._open = _Tick()
        tick.keys[key] = None
        await _next_tick()
        if tick.found is None:
            tick.found = self._read(tick)
        if isinstance(tick.found, Exception):
            raise tick.found
        return tick.found.get(key)

    def close(self) -> None:
        self._reader.close()

    def _read(self, tick: _Tick[K, V]) -> Mapping[K, V] | Exception:
        if tick is self._open:
            self._open = None
        try:
            return self._find(self._reader, list(tick.keys))
        except Exception as failure:  # each caller's own to handle
            return failure
