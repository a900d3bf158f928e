"""Random bytes for many values at once.

Each draw from the operating system lets go of the interpreter. A thread that draws for every row of
a batch stands in line for it behind the event loop every time, which costs far more than the draw.
"""

import secrets
from collections.abc import Callable

Chance = Callable[[int], bytes]  # a number of random bytes that nobody else gets


def random_pool(size: int) -> Chance:
    """Hands out the pieces of one draw of `size` bytes; what goes beyond is drawn when asked for.

    For one thread, and for no longer than a batch: nobody keeps random bytes in store.
    """
    stock, at = secrets.token_bytes(size), 0

    def take(count: int) -> bytes:
        nonlocal at
        piece = stock[at : at + count]
        at += count
        return piece if len(piece) == count else secrets.token_bytes(count)

    return take
