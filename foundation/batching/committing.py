"""Writes of the fast lane: whatever waits in one tick of the loop is one transaction.

- `GroupWriter.submit` returns only after COMMIT, so "answered" still implies "stored".
- A database has one `Committer` in a process. The shares of all its writers go into the same
  transaction, in the order in which the writers were made; within a writer, items keep theirs.
- A share that fails does not fail the others: then each is committed alone, and halved until the
  guilty item stands alone. One bad row never fails its neighbours.
- A share that waits for somebody else's lock does not hold up the others for longer than
  `PATIENCE`: then, too, each is committed alone, on its writer's own thread. A writer whose share
  is out gets the next one after it.
- A write may depend on another one, of another writer: `submit(item, given=condition)` commits
  both together.

While one transaction runs the next shares gather, so their size follows the load by itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from foundation.batching.threads import Threads
from foundation.database import Database, Tx, gave_up_waiting
from foundation.errors import Unavailable

# Commits are at least this far apart, in seconds: each costs an fsync and two thread switches,
# whatever it carries. Twice as far costs a busy answer two milliseconds more and spares eight per
# cent of its processor time (client_credentials, 64 connections). Whoever comes alone never waits.
COMMIT_PAUSE: Final = 0.004
# So long the writers of one transaction wait for a lock of another process, in seconds.
PATIENCE: Final = 0.2

T = TypeVar("T")
R = TypeVar("R")


class Condition(Generic[T, R]):
    """A write that another one depends on; `refusal` says of its result why the other may not be.

    For one submission: `taken` tells that it went along with one.
    """

    __slots__ = ("item", "refusal", "taken", "writer")

    def __init__(
        self,
        writer: "GroupWriter[T, R]",
        item: T,
        refusal: Callable[[R], Exception | None],
    ) -> None:
        self.writer = writer
        self.item = item
        self.refusal = refusal
        self.taken = False


class _Waiting(NamedTuple):
    """One item and whoever waits for it."""

    item: Any
    given: Condition[Any, Any] | None
    future: "asyncio.Future[Any]"


class _Share(NamedTuple):
    """What one writer brings to a transaction."""

    writer: "GroupWriter[Any, Any]"
    waiting: Sequence[_Waiting]


_Outcomes = Sequence[Any]  # one per item; an exception is raised at whoever submitted it
_Refused = dict[Condition[Any, Any], Exception]


class _Ticks:
    """The ticks of one event loop: which writers wait, and whether a transaction of theirs runs."""

    def __init__(self) -> None:
        self.waiting: dict[GroupWriter[Any, Any], None] = {}
        self.scheduled = self.running = False
        self.started = 0.0  # when the last transaction was, in the loop's time


class Committer:
    """Commits for all writers of one database, on one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = Threads("committer", 1)
        self._ticks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ticks] = WeakKeyDictionary()
        self._lock = Lock()
        self._entered = self._open = 0

    def enter(self) -> int:
        """One writer more; answers its place in the order of writing."""
        with self._lock:
            self._entered += 1
            self._open += 1
            return self._entered

    def leave(self) -> None:
        """One writer less: finish what was given; with the last one the thread ends."""
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._thread.close()
        else:
            self._thread.finish()

    def ticks(self, loop: asyncio.AbstractEventLoop) -> _Ticks:
        """What waits for a commit in this event loop; made at the loop's first write."""
        with self._lock:
            return self._ticks.setdefault(loop, _Ticks())

    def schedule(self, loop: asyncio.AbstractEventLoop, ticks: _Ticks) -> None:
        """Commit what waits, at the next tick or when the pause is over."""
        if ticks.scheduled or ticks.running or not ticks.waiting:
            return
        ticks.scheduled = True
        wait = ticks.started + COMMIT_PAUSE - loop.time()
        if wait > 0:
            loop.call_later(wait, self._start, loop, ticks)
        else:
            loop.call_soon(self._start, loop, ticks)

    def _start(self, loop: asyncio.AbstractEventLoop, ticks: _Ticks) -> None:
        ticks.scheduled = False
        writers = sorted(ticks.waiting, key=lambda writer: writer.place)
        shares = [_Share(writer, writer.take()) for writer in writers]
        ticks.waiting = {writer: None for writer in writers if writer.has_more}
        ticks.running = True
        ticks.started = loop.time()
        self._thread.run(lambda: self._run(loop, ticks, shares))

    def _run(
        self, loop: asyncio.AbstractEventLoop, ticks: _Ticks, shares: Sequence[_Share]
    ) -> None:
        """On the committer's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            try:
                outcomes = _commit(self._database, shares, patience=PATIENCE)
            except Exception as failure:  # each share is tried alone
                loop.call_soon_threadsafe(self._part, loop, ticks, shares, failure)
            else:
                loop.call_soon_threadsafe(self._settle, loop, ticks, shares, outcomes)

    def _settle(
        self,
        loop: asyncio.AbstractEventLoop,
        ticks: _Ticks,
        shares: Sequence[_Share],
        outcomes: Sequence[_Outcomes],
    ) -> None:
        ticks.running = False
        for share, each in zip(shares, outcomes, strict=True):
            _settle(share, each)
        self.schedule(loop, ticks)

    def _part(
        self,
        loop: asyncio.AbstractEventLoop,
        ticks: _Ticks,
        shares: Sequence[_Share],
        failure: Exception,
    ) -> None:
        """A transaction failed: each writer goes on alone, and comes back when its share is done.

        The failure of a writer that was alone already is its own, unless it only had to wait.
        """
        ticks.running = False
        own = failure if len(shares) == 1 and not gave_up_waiting(failure) else None
        for share in shares:
            ticks.waiting.pop(share.writer, None)
            share.writer.part(loop, ticks, share, own)
        self.schedule(loop, ticks)


class GroupWriter(Generic[T, R]):
    """`await writer.submit(item)`: the item's result, after the COMMIT that made it durable.

    `apply(tx, items)` writes all items in the one transaction and answers one result per item. A
    result that is an exception is raised at whoever submitted the item: it wrote nothing for it.
    At most `max_batch` items go into one transaction, at most `capacity` wait.
    """

    def __init__(
        self,
        database: Database,
        apply: Callable[[Tx, Sequence[T]], Sequence[R | Exception]],
        *,
        max_batch: int = 1000,
        capacity: int = 20_000,
    ) -> None:
        self.apply = apply
        self._database = database
        self._max_batch = max_batch
        self._capacity = capacity
        self._committer = database.only(Committer)
        self.place = self._committer.enter()
        self._alone = Threads("writer", 1)
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticks = _Ticks()
        self._waiting: list[_Waiting] = []
        self._parted = False

    async def submit(self, item: T, given: Condition[Any, Any] | None = None) -> R:
        """`given`: what must be written in the same transaction, and before; its refusal is raised
        here, and then nothing is written for `item`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop (tests): what an old one left behind is nobody's
            self._loop, self._ticks = loop, self._committer.ticks(loop)
            self._waiting, self._parted = [], False
        if len(self._waiting) >= self._capacity:
            raise Unavailable("too many requests are waiting for the database", retry_after=1)
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append(_Waiting(item, given, future))
        if given is not None:
            given.taken = True
        if not self._parted:
            self._ticks.waiting[self] = None
            self._committer.schedule(loop, self._ticks)
        return await future

    def condition(self, item: T, refusal: Callable[[R], Exception | None]) -> Condition[T, R]:
        """A write of this one that goes along with another's: see `submit`."""
        return Condition(self, item, refusal)

    def close(self) -> None:
        """Finish what was given."""
        if not self._closed:
            self._closed = True
            self._committer.leave()
            self._alone.close()

    # ── for the committer ────────────────────────────────────────────────────────────────────

    @property
    def has_more(self) -> bool:
        """Whether something waits that no share has taken yet."""
        return bool(self._waiting)

    def take(self) -> Sequence[_Waiting]:
        """The next share."""
        share, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
        return share

    def part(
        self,
        loop: asyncio.AbstractEventLoop,
        ticks: _Ticks,
        share: _Share,
        failure: Exception | None,
    ) -> None:
        """Commit a share alone; `failure` is what it failed with when it was alone before."""
        if ticks is self._ticks:
            self._parted = True

        def work() -> None:
            outcomes = _halved(self._database, share, failure)
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._rejoin, loop, ticks, share, outcomes)

        self._alone.run(work)

    def _rejoin(
        self,
        loop: asyncio.AbstractEventLoop,
        ticks: _Ticks,
        share: _Share,
        outcomes: _Outcomes,
    ) -> None:
        _settle(share, outcomes)
        if ticks is self._ticks:
            self._parted = False
            if self._waiting:
                ticks.waiting[self] = None
                self._committer.schedule(loop, ticks)


def _commit(
    database: Database, shares: Sequence[_Share], *, patience: float | None = None
) -> Sequence[_Outcomes]:
    """All shares in one transaction; the outcomes of each, once it is durable."""
    with database.write(patience=patience) as tx:
        refused = _refused(tx, shares)
        return [_applied(tx, share, refused) for share in shares]


def _halved(database: Database, share: _Share, failure: Exception | None) -> _Outcomes:
    """A share in as few transactions as it can be; an item that fails alone gets its failure."""
    writer, waiting = share
    if failure is None:
        try:
            return _commit(database, [share])[0]
        except Exception as problem:  # handed to the caller whose item it was
            failure = problem
    if len(waiting) == 1:
        return [failure]
    middle = len(waiting) // 2
    return [
        *_halved(database, _Share(writer, waiting[:middle]), None),
        *_halved(database, _Share(writer, waiting[middle:]), None),
    ]


def _refused(tx: Tx, shares: Sequence[_Share]) -> _Refused:
    """Write what items were given; why some of these items may not be written."""
    given: dict[GroupWriter[Any, Any], list[Condition[Any, Any]]] = {}
    for share in shares:
        for each in share.waiting:
            if each.given is not None:
                given.setdefault(each.given.writer, []).append(each.given)
    refused = {}
    for writer in sorted(given, key=lambda writer: writer.place):
        conditions = given[writer]
        results = writer.apply(tx, [condition.item for condition in conditions])
        for condition, result in zip(conditions, results, strict=True):
            wrong = result if isinstance(result, Exception) else condition.refusal(result)
            if wrong is not None:
                refused[condition] = wrong
    return refused


def _applied(tx: Tx, share: _Share, refused: _Refused) -> _Outcomes:
    writer, waiting = share
    if not refused:
        results = writer.apply(tx, [each.item for each in waiting])
        if len(results) != len(waiting):
            raise ValueError("a writer answers one result per item")
        return results
    outcomes: list[Any] = [refused.get(each.given) if each.given else None for each in waiting]
    kept = [index for index, refusal in enumerate(outcomes) if refusal is None]
    if kept:
        results = writer.apply(tx, [waiting[index].item for index in kept])
        for index, result in zip(kept, results, strict=True):
            outcomes[index] = result
    return outcomes


def _settle(share: _Share, outcomes: _Outcomes) -> None:
    for (_, _, future), outcome in zip(share.waiting, outcomes, strict=True):
        if future.done():  # the caller went away
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
