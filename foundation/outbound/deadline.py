"""One HTTP exchange that is over by one moment, whatever the other side does (attack 52).

A time-out of a socket begins anew with every byte: whoever sends one byte every two seconds is
waited for as long as they like. Here looking the name up, connecting, TLS, sending, headers and
body share one deadline.

- A name is looked up on a thread of its own, because the system's resolver cannot be interrupted;
  a name service that hangs holds `LOOKUPS` of them and no more.
- The answer is read up to a limit, as it was sent: content codings are for the caller to undo.
- Redirects are not followed, and nothing of the environment is used.

    with Exchanges(trust) as exchanges:
        got = exchanges.send(httpx.Request("GET", url), Deadline(5.0), longest=65_536)
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpcore
import httpx

Resolve = Callable[[str, int], Sequence[str]]

LOOKUPS: Final = 32
_ADDRESSES: Final = 4  # of one name that are tried, each for its share of the time
_PIECE: Final = 4_096  # bytes sent before the deadline is looked at again
_SHOWN: Final = 60


class NoAnswer(Exception):
    """Nothing usable came back in time. The reason holds no value of ours."""


class Deadline:
    """A moment, so many seconds from now, by which everything is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then. Raises `NoAnswer` when it is past."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> NoAnswer:
        """The error for an exchange that was not complete in time."""
        return NoAnswer(f"no complete answer within {self._seconds:g} seconds")


@dataclass(frozen=True, slots=True)
class Received:
    """What came back. Header names are lower case; the body is as it was sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """Status, content type and coding in one line, fit for a log and a stranger's eyes."""
        kind = _shown(self.headers.get("content-type", "")) or "no content type"
        coding = _shown(self.headers.get("content-encoding", "")) or "not encoded"
        return f"status {self.status}, {kind}, {coding}"


def system_resolver(host: str, port: int) -> list[str]:
    """Every address of a name, in the system's order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Lookups:
    """Asks `resolve`, which may hang, and waits no longer than a deadline."""

    def __init__(self, resolve: Resolve = system_resolver) -> None:
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(LOOKUPS)

    def addresses(self, host: str, port: int, deadline: Deadline) -> Sequence[str]:
        """Raises `NoAnswer` when it takes too long, and what `resolve` raises."""
        if not self._free.acquire(timeout=deadline.left()):
            raise deadline.passed()
        found: Future[Sequence[str]] = Future()
        threading.Thread(target=self._look, args=(host, port, found), daemon=True).start()
        try:
            return found.result(deadline.left())
        except TimeoutError:
            raise NoAnswer("the name service does not answer") from None

    def _look(self, host: str, port: int, found: "Future[Sequence[str]]") -> None:
        try:
            found.set_result(self._resolve(host, port))
        except BaseException as problem:  # it belongs to whoever asked
            found.set_exception(problem)
        finally:
            self._free.release()


class Exchanges:
    """HTTP exchanges, each over by its deadline. `kept` connections stay open between them."""

    def __init__(
        self,
        trust: ssl.SSLContext,
        *,
        lookups: Lookups | None = None,
        proxy: httpcore.Proxy | None = None,
        kept: int = 0,
    ) -> None:
        self._lines = _Lines(lookups or Lookups())
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            proxy=proxy,
            max_keepalive_connections=kept,
            network_backend=self._lines,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.close()

    def send(self, request: httpx.Request, deadline: Deadline, *, longest: int) -> Received:
        """The answer, whose body has at most `longest` bytes. Raises `NoAnswer`.

        An extension `sni_hostname` of the request is the name that the certificate must bear.
        """
        self._lines.deadline = deadline
        try:
            response = self._pool.handle_request(_asked(request, deadline))
            try:
                return _read(response, longest, deadline)
            finally:
                response.close()
        except httpcore.TimeoutException:
            raise deadline.passed() from None
        except _FAILURES as problem:
            raise NoAnswer(f"no answer: {_why(problem)}") from None


class _Lines(httpcore.NetworkBackend):
    """Connections whose every act ends with the exchange that its thread is in."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._plain = httpcore.SyncBackend()
        self._here = threading.local()

    @property
    def deadline(self) -> Deadline:
        present: Deadline = self._here.deadline
        return present

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._here.deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = self._lookups.addresses(host, port, self.deadline)[:_ADDRESSES]
        except (OSError, UnicodeError):
            raise NoAnswer("the host name does not resolve") from None
        for left, address in zip(range(len(found), 0, -1), found, strict=True):
            share = self.deadline.left() / left
            try:
                line = self._plain.connect_tcp(address, port, share, local_address, socket_options)
                return _Line(line, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
        raise NoAnswer("the host name does not resolve")


class _Line(httpcore.NetworkStream):
    """One connection. The time-outs that httpcore asks for begin anew each time: not used."""

    def __init__(self, inner: httpcore.NetworkStream, lines: _Lines) -> None:
        self._inner = inner
        self._lines = lines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._lines.deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[at : at + _PIECE], self._lines.deadline.left())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._lines.deadline.left()
        return _Line(self._inner.start_tls(ssl_context, server_hostname, left), self._lines)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


def _asked(request: httpx.Request, deadline: Deadline) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.read(),
        extensions={**request.extensions, "timeout": {"pool": deadline.left()}},
    )


def _read(response: httpcore.Response, longest: int, deadline: Deadline) -> Received:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    body = bytearray()
    try:
        for part in response.iter_stream():
            body += part
            if len(body) > longest:
                raise NoAnswer(f"the answer is longer than {longest} bytes")
    except (NoAnswer, httpcore.TimeoutException, *_FAILURES) as problem:
        late = isinstance(problem, httpcore.TimeoutException)
        why = deadline.passed() if late else problem if isinstance(problem, NoAnswer) else None
        told = Received(response.status, b"", headers).described
        raise NoAnswer(f"{why or _why(problem)}; received: {told}") from None
    return Received(response.status, bytes(body), headers)


def _why(problem: Exception) -> str:
    """The kind of failure, and what the system or the other side's certificate says to it."""
    cause = problem.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{type(problem).__name__}, {cause.verify_message}"
    said = cause.strerror if isinstance(cause, OSError) else None
    return f"{type(problem).__name__}, {said}" if said else type(problem).__name__


def _shown(value: str) -> str:
    """A header's value without what could break a log (attack 47) or an OAuth error (RFC 6749
    §5.2: no quotation mark, no backslash)."""
    return "".join(each for each in value if " " <= each <= "~" and each not in '"\\')[:_SHOWN]
