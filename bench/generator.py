"""The load generator: keep-alive connections over raw sockets, in a process of its own.

`python -m bench.generator` reads one pickled `Job` from stdin and prints one pickled `Load`. It is
a closed loop: every connection sends its next request when the answer to the last one is complete,
and a request that was sent is always answered before the process ends, so the counts are exact.

Cheap on purpose (no HTTP library, no event-loop library): a generator that is dearer than the
server measures itself.
"""

import pickle
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Follow:
    """A dialogue: the answer's value of `name` is put into the next request's body.

    The body is `before` + value + `after`; `head` has one `%d` for its length.
    """

    head: bytes
    before: bytes
    after: bytes
    name: bytes

    def request(self, value: bytes) -> bytes:
        body = self.before + value + self.after
        return self.head % len(body) + body

    def value(self, answer: bytes) -> bytes:
        start = answer.index(b'"%b":"' % self.name) + len(self.name) + 4
        return answer[start : answer.index(b'"', start)]


@dataclass(frozen=True, slots=True)
class Job:
    """What to send. `requests` are whole HTTP requests, used in turn from number `first` on; with
    `follow` they are the first value of each connection instead. It ends after `seconds`, or after
    `limit` requests (0: no limit)."""

    port: int
    connections: int
    seconds: float
    requests: list[bytes]
    first: int = 0
    limit: int = 0
    follow: Follow | None = None
    sample_every: int = 1000


@dataclass(slots=True)
class Load:
    """What came back. `values` are the last ones of each connection of a `follow` job."""

    answers: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    samples: list[bytes] = field(default_factory=list)
    first_bad: bytes = b""
    next_request: int = 0
    values: list[bytes] = field(default_factory=list)


class _Connection:
    """One socket and the part of an answer that has arrived."""

    __slots__ = ("buffer", "need", "socket", "value")

    def __init__(self, port: int, value: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.need = 0
        self.value = value

    def receive(self) -> bytes | None:
        """The whole answer once it is there."""
        piece = self.socket.recv(65_536)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self.buffer = self.buffer + piece if self.buffer else piece
        if not self.need:
            end = self.buffer.find(_HEAD_END)
            if end < 0:
                return None
            self.need = end + 4 + _length(self.buffer[:end])
        if len(self.buffer) < self.need:
            return None
        answer, self.buffer, self.need = self.buffer, b"", 0
        return answer


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(_LENGTH)
    if at < 0:
        raise ConnectionError("an answer without Content-Length")
    length = int(lower[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
    if length > _LONGEST:
        raise ConnectionError("an answer larger than a mebibyte")
    return length


class _Run:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._next = job.first
        self._last = job.first + job.limit if job.limit else sys.maxsize
        self._load = Load()
        starts = job.requests if job.follow else [b""] * job.connections
        self._connections = {
            each.socket.fileno(): each
            for each in (_Connection(job.port, value) for value in starts[: job.connections])
        }
        self._poll = select.epoll()
        for number in self._connections:
            self._poll.register(number, select.EPOLLIN)

    def run(self) -> Load:
        began = time.perf_counter()
        deadline = began + self._job.seconds
        # A slow server still ends the round: thirty seconds without one answer is a failure.
        in_flight = sum(self._send(each) for each in self._connections.values())
        while in_flight:
            events = self._poll.poll(30)
            if not events:
                raise ConnectionError("no answer for thirty seconds")
            over = time.perf_counter() >= deadline
            for number, _ in events:
                connection = self._connections[number]
                answer = connection.receive()
                if answer is None:
                    continue
                self._count(connection, answer)
                if over or not self._send(connection):
                    in_flight -= 1
        self._load.seconds = time.perf_counter() - began
        self._load.next_request = self._next
        self._load.values = [each.value for each in self._connections.values()]
        for each in self._connections.values():
            each.socket.close()
        return self._load

    def _send(self, connection: _Connection) -> bool:
        job = self._job
        if self._next >= self._last:
            return False
        if job.follow is not None:
            if not connection.value:
                return False
            self._next += 1
            connection.socket.sendall(job.follow.request(connection.value))
            return True
        connection.socket.sendall(job.requests[self._next % len(job.requests)])
        self._next += 1
        return True

    def _count(self, connection: _Connection, answer: bytes) -> None:
        load = self._load
        status = int(answer[9:12])
        load.statuses[status] += 1
        if not 200 <= status < 300:
            load.first_bad = load.first_bad or answer[:2000]
            connection.value = b""
        elif self._job.follow is not None:
            connection.value = self._job.follow.value(answer)
        if load.answers % self._job.sample_every == 0:
            load.samples.append(answer.partition(_HEAD_END)[2])
        load.answers += 1


def main() -> None:
    """Run the job on stdin."""
    job: Job = pickle.load(sys.stdin.buffer)
    pickle.dump(_Run(job).run(), sys.stdout.buffer)


if __name__ == "__main__":
    from bench import generator  # pickled classes have their module's own name

    generator.main()
