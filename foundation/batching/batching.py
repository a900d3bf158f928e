"""The fast lane's two tools. Both turn many waiting requests into one trip to the database.

- `Loader`: every look-up that waits at one turn of the event loop becomes one query. Nothing is
  cached, so an answer is never older than the request that asked for it.
- `GroupWriter`: every write that waits becomes one durable transaction. A `submit` returns only
  after COMMIT, so "answered" still implies "stored". When a batch fails it is halved until the
  guilty item stands alone: one bad row never fails its neighbours.

Work runs on threads of its own (one hop a batch, not one a request), with the same synchronous
`Database` as everywhere else. While one batch commits the next one gathers, so the batch size
follows the load by itself. Where reading never waits (`Database.reader`) a `Loader` reads on the
loop itself: microseconds of SQLite cost less than handing them to a thread.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import coroutine
from typing import Final, Generic, TypeVar

from foundation.database import Database, Reader, Tx
from foundation.errors import Unavailable

# Commits of one writer are at least this far apart, in seconds: each costs an fsync and two thread
# switches, whatever it carries. Twice as far costs a busy answer two milliseconds more and spares
# eight per cent of its processor time (client_credentials, 64 connections).
COMMIT_PAUSE: Final = 0.004

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R")


class _Gatherer(Generic[T, R]):
    """Collects items of one loop turn and hands them, as batches, to `work` on a thread.

    `work` answers with one outcome per item, in order; an outcome that is an exception is raised
    at the waiting caller. At most `in_flight` batches run at once, at most `capacity` items wait.
    Batches start at least `pause` seconds apart, so that under load they grow instead of following
    one another in ones and twos; whoever comes alone never waits for it.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        in_flight: int,
        max_batch: int,
        capacity: int,
        pause: float = 0.0,
    ) -> None:
        self._work = work
        self._threads = _Threads(name, in_flight)
        self._free = self._in_flight = in_flight
        self._max_batch = max_batch
        self._capacity = capacity
        self._pause = pause
        self._started = 0.0  # when the last batch was, in the loop's time
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._scheduled = False

    def submit(self, item: T) -> "asyncio.Future[R]":
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop (tests): what an old one left behind is nobody's
            self._loop, self._waiting, self._scheduled = loop, [], False
            self._free, self._started = self._in_flight, 0.0
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
        wait = self._started + self._pause - loop.time() if self._pause else 0.0
        if wait > 0:
            loop.call_later(wait, self._start_batch, loop)
        else:
            loop.call_soon(self._start_batch, loop)

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
        self._free -= 1
        self._started = loop.time()
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


class _Threads:
    """A few threads that do what they are given, in turn; cheaper than an executor's futures."""

    def __init__(self, name: str, count: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._name = name
        self._count = count
        self._started: list[threading.Thread] = []

    def run(self, task: Callable[[], None]) -> None:
        if len(self._started) < self._count:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._started.append(thread)
            thread.start()
        self._tasks.put(task)

    def close(self) -> None:
        """Finish what was given, then end."""
        for _ in self._started:
            self._tasks.put(None)
        for thread in self._started:
            thread.join()
        self._started = []

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


class Loader(Generic[K, V]):
    """`await loader.get(key)`: the row as it is now, or None.

    `fetch(tx, keys)` answers all distinct keys of one turn with one query. `before(keys)`, if it is
    there, does what needs no database, ahead of the transaction: the same computation done for all
    of a turn in one go finds its code and tables in the processor's caches.
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
        self._lane: _Gatherer[K, V | None] | _Turns[K, V]
        if reader is not None:
            self._lane = _Turns(reader, self._found, max_batch)
        else:
            self._lane = _Gatherer(
                "loader", self._load, in_flight=2, max_batch=max_batch, capacity=capacity
            )

    async def get(self, key: K) -> V | None:
        return await self._lane.submit(key)

    def close(self) -> None:
        self._lane.close()

    def _load(self, keys: Sequence[K]) -> Sequence[V | BaseException | None]:
        found = self._found(self._database, list(dict.fromkeys(keys)))
        return [found.get(key) for key in keys]

    def _found(self, reads: Database | Reader, keys: Sequence[K]) -> Mapping[K, V]:
        if self._before is not None:
            self._before(keys)
        with reads.read() as tx:
            return self._fetch(tx, keys)


@coroutine
def _next_turn() -> Generator[None, None, None]:
    """What `asyncio.sleep(0)` does, without its way there."""
    yield


class _Tick(Generic[K, V]):
    """The keys of one loop turn, and in the next one what was found."""

    __slots__ = ("found", "keys")

    def __init__(self) -> None:
        self.keys: dict[K, None] = {}
        self.found: Mapping[K, V] | Exception | None = None


class _Turns(Generic[K, V]):
    """Reads on the loop: everybody waits for the next turn, and whoever has it first reads for all.

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
        turn = self._open
        if turn is None or len(turn.keys) >= self._max_batch:
            turn = self._open = _Tick()
        turn.keys[key] = None
        await _next_turn()
        if turn.found is None:
            turn.found = self._read(turn)
        if isinstance(turn.found, Exception):
            raise turn.found
        return turn.found.get(key)

    def close(self) -> None:
        self._reader.close()

    def _read(self, turn: _Tick[K, V]) -> Mapping[K, V] | Exception:
        if turn is self._open:
            self._open = None
        try:
            return self._find(self._reader, list(turn.keys))
        except Exception as failure:  # each caller's own to handle
            return failure


class GroupWriter(Generic[T, R]):
    """`await writer.submit(item)`: the item's result, after the COMMIT that made it durable.

    `apply(tx, items)` writes all items in the one transaction and answers one result per item. A
    result that is an exception is raised at whoever submitted the item: it wrote nothing for it.
    """

    def __init__(
        self,
        database: Database,
        apply: Callable[[Tx, Sequence[T]], Sequence[R | Exception]],
        *,
        max_batch: int = 1000,
        capacity: int = 20_000,
    ) -> None:
        self._database = database
        self._apply = apply
        self._gatherer: _Gatherer[T, R] = _Gatherer(
            "writer",
            self._commit,
            in_flight=1,
            max_batch=max_batch,
            capacity=capacity,
            pause=COMMIT_PAUSE,
        )

    async def submit(self, item: T) -> R:
        return await self._gatherer.submit(item)

    def close(self) -> None:
        self._gatherer.close()

    def _commit(self, items: Sequence[T]) -> Sequence[R | BaseException]:
        try:
            with self._database.write() as tx:
                return list(self._apply(tx, items))
        except Exception as failure:  # handed to the caller whose item it was
            if len(items) == 1:
                return [failure]
            middle = len(items) // 2
            return [*self._commit(items[:middle]), *self._commit(items[middle:])]
