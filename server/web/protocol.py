"""A short way through the web server for the fast lane.

For every request uvicorn builds an ASGI scope, a cycle, an event and a task: that alone costs what
docs/design.md §9 allows for a whole JWKS answer (docs/adr/0009). This is uvicorn's own protocol,
parser, keep-alive, draining and all; it leaves uvicorn's way only for an ordinary request that
`HotPath` answers itself. Then the handler is called straight from the parser, and the answer
leaves in one write.

Everything else goes uvicorn's way and meets `HotPath` as ASGI: pages, uploads, `Expect`, encoded
addresses, pipelined requests, clients that do not read. There too an answer's head leaves in one
write with the content that follows it. The bytes are read by the same parser either way, so there
is one opinion about where a request ends (attack 36).

An upgrade is never taken up: the request is read once more without its Upgrade, and served.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from foundation.batching.routes import HotRequest, HotRoute, collect_headers
from foundation.errors import YinzhengError
from server.web.hotpath import HotPath, Reply, as_lines, too_large

HEAD_LIMIT: Final = 64 * 1024  # bytes of target and fields; of trailers as many
MOST_FIELDS: Final = 100
_INVALID: Final = "Invalid HTTP request received."
_LINGER: Final = 2.0  # seconds in which whoever was turned away may read why


class HeadTooLarge(YinzhengError):
    """RFC 6585 §5."""

    code = "head_too_large"
    status = 431

    def __init__(self) -> None:
        super().__init__(
            f"the header fields are larger than {HEAD_LIMIT} bytes or more than {MOST_FIELDS}",
            next_step="send fewer or shorter header fields",
        )


class _Nobody:
    """Stands in for the event on which uvicorn's cycles wait."""

    def set(self) -> None:
        """Nobody waits."""


class _Exchange:
    """A request on the short way. uvicorn knows the first three names, and `message_event`."""

    __slots__ = (
        "disconnected",
        "headers",
        "keep_alive",
        "request",
        "response_complete",
        "route",
        "task",
    )
    message_event = _Nobody()

    def __init__(
        self,
        route: HotRoute,
        request: HotRequest,
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
    ) -> None:
        self.route = route
        self.request = request
        self.headers = headers
        self.keep_alive = keep_alive
        self.disconnected = self.response_complete = False
        self.task: asyncio.Task[None] | None = None


class _Together:
    """uvicorn's side of a transport: the head of an answer waits for the content that follows it.

    In two sends the second may wait for the acknowledgement of the first. Content that does not
    follow within the same tick of the loop (a page that streams) is not waited for.
    """

    __slots__ = ("_held", "_loop", "_passed", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._passed = False

    def write(self, data: bytes) -> None:
        if self._passed:
            self._transport.write(data)
        elif self._held:
            self._held += data
            self._let_go()
        else:
            self._held = data
            self._loop.call_soon(self._let_go)

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _let_go(self) -> None:
        if not self._passed:
            self._passed = True
            self._transport.write(self._held)


class HotProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with the short way; the application must be a `HotPath`."""

    # Beside uvicorn's own names: an object with more than thirty in its dictionary no longer shares
    # its keys, and every access costs more.
    __slots__ = ("_dated", "_fed", "_hot", "_mixed", "_passed", "_stopped")
    cycle: Any  # of the latest request: an `_Exchange`, or uvicorn's own

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._stopped = self._mixed = False
        self._passed = True
        self._fed = 0
        self.url = b""
        self._dated: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")
        if not isinstance(self.app, HotPath):
            raise TypeError("this protocol is for a HotPath")
        self._hot = self.app

    # ── called by the transport ──────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what it cannot read, or a head beyond `HEAD_LIMIT`, is refused."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._passed:
            self._passed = False
            self._fed = len(data)
        else:
            self._fed += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as stopped:
                self._feed_without_upgrade(memoryview(data)[stopped.args[0] :])
        except HttpParserError as problem:
            self._refuse(problem.__context__)
        else:
            if self._fed > HEAD_LIMIT and not self._passed:  # a head without end, or trailers
                self._refuse(HeadTooLarge())

    def _refuse(self, cause: BaseException | None) -> None:
        """Say why, if it is this request's turn to be answered, and hear nothing more."""
        if not isinstance(cause, HeadTooLarge):
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)
        elif self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
        else:
            self._write(self._hot.refusal(None, "", self._path(), cause), b"connection: close\r\n")
            self.transport.set_protocol(_Deaf(self))

    def _feed_without_upgrade(self, left: memoryview) -> None:
        """The parser stopped behind a head that asks for an upgrade; `left` came after it."""
        while True:
            head = self._without_upgrade()
            self.parser = _new_parser(self)
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(left)
            except HttpParserUpgrade as stopped:
                left = left[stopped.args[0] :]
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The head that was just read, for a new parser, but for the field `Upgrade`.

        The old one took the content for another protocol's. RFC 9110 §7.8: who does not speak the
        protocol ignores the field. Java's client sends `Upgrade: h2c` with its first request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode("ascii")
        if method == b"CONNECT":
            raise HttpParserError("nobody is connected to anybody here")
        kept = as_lines(each for each in self.headers if each[0] != b"upgrade")
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, kept)

    # ── called by the parser ─────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """uvicorn's scope is built when it is needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = self._stopped = False
        self._mixed = self._passed  # this head does not begin where the received bytes began

    def on_headers_complete(self) -> None:
        """Begin an exchange on the short way, else catch up with what uvicorn does. Raises
        `HeadTooLarge`."""
        if len(self.headers) > MOST_FIELDS or (
            (self._mixed or self._fed > HEAD_LIMIT) and self._head_size() > HEAD_LIMIT
        ):
            raise HeadTooLarge
        if self.parser.should_upgrade():
            self._stopped = True  # `data_received` hears of it next
            return
        exchange = self._short_way()
        if exchange is not None:
            self.cycle = exchange
            self.headers = []  # for trailers, which are nobody's fields (RFC 9110 §6.5.1)
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the list that the scope holds
        super().on_headers_complete()
        self.headers = []
        if self.scope["method"] != "HEAD":  # no content follows the head there
            self.cycle.transport = _Together(self.transport, self.loop)

    def on_body(self, body: bytes) -> None:
        """Add content to the exchange, which is refused beyond its route's limit in bytes."""
        self._passed = True
        exchange = self.cycle
        if not isinstance(exchange, _Exchange):
            super().on_body(body)
        elif not exchange.response_complete:
            exchange.request.body += body
            limit = exchange.route.body_limit
            if len(exchange.request.body) > limit:
                route, method = exchange.route, exchange.request.method
                path, refused = exchange.request.path, too_large(limit)
                self._send(exchange, self._hot.refusal(route, method, path, refused))

    def on_message_complete(self) -> None:
        """Begin to answer a request that is whole and not refused yet."""
        self._passed = True
        exchange = self.cycle
        if self._stopped:
            return
        if not isinstance(exchange, _Exchange):
            super().on_message_complete()
        elif not exchange.response_complete:
            self._begin(exchange)

    # ── the short way ────────────────────────────────────────────────────────────────────────

    def _short_way(self) -> _Exchange | None:
        """An ordinary request to a fast-lane route, on a connection that waits for nothing else."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.flow.write_paused or self.expect_100_continue:
            return None
        path, _, query = self.url.decode("latin-1").partition("?")
        method = self.parser.get_method().decode("ascii")
        found = self._hot.find(method, path)
        if found is None or "#" in query or not path.isascii():
            return None
        ip = self.client[0] if self.client else ""
        request = HotRequest(method, path, query, client_ip=ip, path_params=found.params)
        lasting = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        return _Exchange(found.route, request, self.headers, keep_alive=lasting)

    def _begin(self, exchange: _Exchange) -> None:
        """Run a non-blocking handler at once; whatever has to wait becomes a task."""
        answering: Coroutine[Any, Any, None] = self._answer(exchange)
        if exchange.route.non_blocking:
            try:
                answering = _rest(answering, answering.send(None))
            except StopIteration:
                return
        exchange.task = self.loop.create_task(answering)
        self.tasks.add(exchange.task)  # uvicorn waits for them when it stops

    async def _answer(self, exchange: _Exchange) -> None:
        route, request = exchange.route, exchange.request
        try:
            try:
                request.headers = collect_headers(exchange.headers)
            except YinzhengError as error:
                reply = self._hot.refusal(route, request.method, request.path, error)
            else:
                reply = await self._hot.reply(route, request)
            self._send(exchange, reply)
        finally:
            if exchange.task is not None:
                self.tasks.discard(exchange.task)

    def _send(self, exchange: _Exchange, reply: Reply) -> None:
        if exchange.disconnected:
            return
        exchange.response_complete = True
        ends = b"" if exchange.keep_alive else b"connection: close\r\n"
        self._write(reply, ends, head_alone=exchange.request.method == "HEAD")
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write(self, reply: Reply, ends: bytes, *, head_alone: bool = False) -> None:
        status = STATUS_LINE[reply.status]
        given, dated = self._dated
        if given is not self.server_state.default_headers:  # uvicorn's are new each second
            given = self.server_state.default_headers
            dated = as_lines(given)
            self._dated = given, dated
        length = b"content-length: %d\r\n" % len(reply.body)
        name = b"x-request-id: %b\r\n\r\n" % reply.request_id
        content = b"" if head_alone else reply.body
        lines = (status, reply.head.lines, dated, ends, length, name, content)
        self.transport.write(b"".join(lines))

    def _path(self) -> str:
        """Of the request whose head is being read, as far as it was."""
        return self.url.partition(b"?")[0].decode("latin-1")

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


class _Deaf(asyncio.Protocol):
    """Takes a connection over after its last answer.

    To close at once would throw the answer away: bytes that nobody read make the kernel reset the
    connection, and a reset overtakes what was sent.
    """

    def __init__(self, before: HotProtocol) -> None:
        self._before = before
        before.transport.write_eof()
        before.loop.call_later(_LINGER, before.transport.close)

    def data_received(self, data: bytes) -> None:
        """Nobody hears it."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()


def _new_parser(protocol: HttpToolsProtocol) -> HttpRequestParser:
    """As uvicorn makes it, pipelined requests behind a last one and all."""
    parser = HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


@coroutine
def _rest(begun: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that was begun without a task, for a task."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as failure:  # cancelled, as a rule: the coroutine's to handle
                waits_for = begun.throw(failure)
            else:
                waits_for = begun.send(value)
    except StopIteration:
        return
