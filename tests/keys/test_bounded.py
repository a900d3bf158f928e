"""The bounded mapping under threads."""

import threading

from foundation.bounded import Bounded


def test_the_oldest_entry_goes_first() -> None:
    kept: Bounded[int, str] = Bounded(2)

    for number in (1, 2, 1, 3):
        kept.put(number, str(number))

    assert [kept.get(number) for number in (1, 2, 3)] == ["1", None, "3"]


def test_threads_that_write_at_once_never_exceed_the_capacity_or_fail() -> None:
    kept: Bounded[int, int] = Bounded(8)
    failures: list[BaseException] = []

    def write(start: int) -> None:
        try:
            for number in range(start, start + 3_000):
                kept.put(number, number)
                kept.get(number - 1)
                kept.drop(number - 5)
        except RuntimeError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 4_000, 1_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(kept) <= 8
