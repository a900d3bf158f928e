"""A few threads that do what they are given, in turn; cheaper than an executor's futures."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """At most `count` threads, each started when it is first needed (so a fork copies none)."""

    def __init__(self, name: str, count: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._name = name
        self._count = count
        self._starting = threading.Lock()
        self._started: list[threading.Thread] = []

    def run(self, task: Callable[[], None]) -> None:
        """Give one task to whichever thread is free next; threads start with the first tasks."""
        if len(self._started) < self._count:
            self._start()
        self._tasks.put(task)

    def finish(self) -> None:
        """Return when what was given so far is done; for a single thread."""
        if self._started:
            done = threading.Event()
            self._tasks.put(done.set)
            done.wait()

    def close(self) -> None:
        """Finish what was given, then end."""
        for _ in self._started:
            self._tasks.put(None)
        for thread in self._started:
            thread.join()
        self._started = []

    def _start(self) -> None:
        with self._starting:  # several event loops may come at once
            if len(self._started) < self._count:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._started.append(thread)
                thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
