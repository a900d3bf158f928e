"""Background work: jobs, the ledger's integrator, and what is due now and then.

A few threads, each a loop that survives its own failures; each lane of jobs has one, so that what
waits for somebody else's server stops no sealing. The embedded default runs them inside the
web process; an office or a country runs `python -m server worker` beside its web processes. Any
number of workers may run: the job engine, the integrator's lock and the key states see to it that
nothing is done twice.
"""

import threading
from collections.abc import Callable

import structlog

from foundation.jobs import LANES, Jobs
from keys import Keys
from ledger import Ledger

INTEGRATE_SECONDS = 0.1
DUTIES_SECONDS = 600.0

log = structlog.get_logger("worker")


class Worker:
    """Starts and stops the loops of one process."""

    def __init__(
        self, jobs: Jobs, ledger: Ledger, keys: Keys, *duties: Callable[[], object]
    ) -> None:
        self._stop = threading.Event()
        self._threads = [
            *(self._lane(jobs, lane) for lane in LANES),
            self._loop("integrator", ledger.integrate_all, INTEGRATE_SECONDS),
            self._loop("duties", keys.rotate_due, DUTIES_SECONDS),
            *(self._loop(duty.__name__, duty, DUTIES_SECONDS) for duty in duties),
        ]

    def start(self) -> None:
        """Start the threads; once for each worker."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let what is under way finish, then end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    @property
    def stopping(self) -> threading.Event:
        """Set as soon as the loops are to end; they look at it between two pieces of work."""
        return self._stop

    def _loop(self, name: str, step: Callable[[], object], seconds: float) -> threading.Thread:
        def run() -> None:
            while True:
                self._survive(name, step)
                if self._stop.wait(seconds):
                    return

        return threading.Thread(target=run, name=name, daemon=True)

    def _lane(self, jobs: Jobs, lane: str) -> threading.Thread:
        def run() -> None:
            while not self._stop.is_set():
                self._survive(f"jobs-{lane}", lambda: jobs.run_forever(self._stop, lane))
                self._stop.wait(1.0)

        return threading.Thread(target=run, name=f"jobs-{lane}", daemon=True)

    def _survive(self, name: str, step: Callable[[], object]) -> None:
        """A database that restarts or a disk that fills must not end the loop."""
        try:
            step()
        except Exception as failure:
            log.warning("step_failed", loop=name, failure=type(failure).__name__)
