"""One line a request, as JSON on stderr: what was asked by its template, never by its address.

    {"event":"request","timestamp":…,"level":"info","request_id":"9f2c…","method":"GET",
     "route":"/v/{token}","status":200,"seconds":0.0042,"who":"citizen"}

- Every value comes from a closed set (routes, methods, statuses, roles, registered programs) or is
  a number or a random id. What somebody typed is in none of them.
- `request_id` is what the answer said in `X-Request-Id`, a problem document in `instance` and a
  page about a fault in words.
- Who answers only adds to a queue. A thread writes, whole lines at a time, so that a slow reader of
  stderr holds up nobody; what does not fit into the queue is counted, and the count is a line.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

PAUSE: Final = 0.2  # seconds between two looks at the queue
MOST_WAITING: Final = 50_000  # lines; some 10 MB
_AT_ONCE: Final = 12  # lines in one write, which a pipe takes whole (PIPE_BUF, 4096 bytes)

# The first status that is written at each level of the setting.
_LEAST: Final = {"info": 0, "warning": 400, "error": 500, "off": 1_000}
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_Line = tuple[float, str, str, str, int, float, str]
Write = Callable[[str], object]


def write_to_stderr(text: str) -> None:
    """Whole lines, at once."""
    sys.stderr.write(text)
    sys.stderr.flush()


class RequestLog:
    """The lines of one process. `level` is that of the settings."""

    def __init__(self, level: str, write: Write = write_to_stderr) -> None:
        self._least = _LEAST[level]
        self._write = write
        self._lines: deque[_Line] = deque()
        self._lost = 0
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._run, name="request-log", daemon=True)

    def __enter__(self) -> "RequestLog":
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._writer.join(timeout=10)

    def note(
        self, request_id: str, method: str, route: str, status: int, seconds: float, who: str
    ) -> None:
        """Let one answer be written; a `server.web.middleware.Noted`."""
        if status < self._least:
            return
        if len(self._lines) >= MOST_WAITING:
            self._lost += 1
            return
        self._lines.append((time.time(), request_id, method, route, status, seconds, who))

    def flush(self) -> None:
        """Write what waits; by one thread at a time."""
        while self._lines:
            count = min(len(self._lines), _AT_ONCE)
            self._write(_text([_told(self._lines.popleft()) for _ in range(count)]))
        if self._lost:
            lost, self._lost = self._lost, 0
            self._write(_text([{"event": "request_lines_lost", "level": "error", "count": lost}]))

    def _run(self) -> None:
        while not self._ending.wait(PAUSE):
            self._survive()
        self._survive()

    def _survive(self) -> None:
        try:
            self.flush()
        except (OSError, ValueError):  # nobody reads stderr any more; answers go on
            self._lines.clear()


def _told(line: _Line) -> dict[str, object]:
    at, request_id, method, route, status, seconds, who = line
    return {
        "event": "request",
        "timestamp": datetime.fromtimestamp(at, UTC),
        "level": "error" if status >= 500 else "warning" if status >= 400 else "info",
        "request_id": request_id,
        "method": method if method in _METHODS else "other",
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
        "who": who,
    }


def _text(lines: Sequence[dict[str, object]]) -> str:
    return "".join(orjson.dumps(each, option=orjson.OPT_UTC_Z).decode() + "\n" for each in lines)
