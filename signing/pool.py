"""Sealing in several processes: for runs of thousands, where one core is the limit.

    with SealingPool(open_signing, processes=4) as pool:
        for answer in pool.seal_all(orders): …            # in the order of the orders
    with database.write() as tx:
        keys.keep(tx, [answer.trail])                      # and store answer.document with it

- `open_signing` is called once in each process and must be picklable: a function of a module that
  opens database and keys. A process holds keys only as every process of the house does.
- The use of the key is recorded by the caller, in the transaction that keeps what was sealed.
- An order that is refused answers with its error; the others are sealed all the same.
- A process that dies breaks the pool: every order without an answer may be given again, because an
  order that was not answered was not delivered to anybody.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from foundation.errors import YinzhengError
from keys import Trail
from signing.formats.pdf_layout import Box
from signing.models import Approval, Level, Seal, SealedDocument
from signing.service import Signing

_CHUNK = 16  # orders that travel together: a page is some 50 kB, a message costs 0.1 ms


@dataclass(frozen=True, slots=True)
class Order:
    """The arguments of `Signing.seal_pdf` for one page."""

    seal: Seal
    pdf: bytes
    approval: Approval
    content_digest: str
    now: datetime
    box: Box
    page: int = 0
    reason: str = ""
    level: Level = "B-LT"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed page, and the use of the key that is to be recorded with it (`Keys.keep`)."""

    document: SealedDocument
    trail: Trail


@dataclass(frozen=True, slots=True)
class NotSealed:
    """Why an order was refused: the same stable code as everywhere."""

    code: str
    detail: str


class SealingPool:
    """Seals with `processes` processes; a context manager that ends them."""

    def __init__(self, open_signing: Callable[[], Signing], processes: int) -> None:
        # Spawned, not forked: a fork would share open database connections.
        self._executor = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(open_signing,),
        )

    def seal_all(self, orders: Iterable[Order]) -> Iterator[Sealed | NotSealed]:
        """Answers in the order of the orders. Raises `BrokenProcessPool` when a process died."""
        return self._executor.map(_seal, orders, chunksize=_CHUNK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._executor.shutdown(cancel_futures=True)


# The signing room of this process, opened by `_open` when the pool starts it.
_rooms: list[Signing] = []


def _open(open_signing: Callable[[], Signing]) -> None:
    _rooms.append(open_signing())


def _seal(order: Order) -> Sealed | NotSealed:
    trail = Trail()
    try:
        document = _rooms[0].seal_pdf(
            order.seal,
            order.pdf,
            order.approval,
            content_digest=order.content_digest,
            now=order.now,
            box=order.box,
            page=order.page,
            reason=order.reason,
            level=order.level,
            trail=trail,
        )
        return Sealed(document, trail)
    except YinzhengError as refused:
        return NotSealed(refused.code, refused.detail)
