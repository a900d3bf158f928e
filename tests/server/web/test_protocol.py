"""The short way through the web server answers what uvicorn's own way answers."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import pytest
from fastapi import Request
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from foundation.batching.routes import HotAnswer, HotRequest, HotRoute
from server.web.hotpath import HotPath
from server.web.middleware import Envelope
from server.web.protocol import HotProtocol
from tests.server.web.test_hotpath import ROUTES, framework

PROMPTLY: list[asyncio.Task | None] = []
ARRIVED = threading.Event()


async def prompt(request: HotRequest) -> HotAnswer:
    PROMPTLY.append(asyncio.current_task())
    if request.query == "wait":
        await asyncio.sleep(0)
        await asyncio.to_thread(str)
    return HotAnswer(200, b"here", headers=(("x-split", "a\r\nset-cookie: b"),))


async def slow(request: HotRequest) -> HotAnswer:
    ARRIVED.set()
    await asyncio.sleep(0.2)
    return HotAnswer(200, b"slept")


async def said_back(request: Request) -> dict[str, str]:
    """A route of the ordinary lane alone."""
    return dict(parse_qsl((await request.body()).decode()))


OWN = [
    *ROUTES,
    HotRoute("GET", "/prompt", prompt, "prompt", "At once", non_blocking=True),
    HotRoute("GET", "/slow", slow, "slow", "Later"),
]
FORM = b"content-type: application/x-www-form-urlencoded\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: a\r\n" + FORM


def get(path: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"GET %b HTTP/%b" % (path, version), b"host: a", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@asynccontextmanager
async def listening(kind: type[HttpToolsProtocol], **settings) -> AsyncIterator[int]:
    ordinary = framework()
    ordinary.add_api_route("/ordinary", said_back, methods=["GET", "PUT"])
    app = HotPath(Envelope(ordinary, https=False), OWN, https=False)
    config = Config(app, lifespan="off", access_log=False, proxy_headers=False, **settings)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Tue, 24 Nov 2026 08:00:00 GMT")]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        while state.connections or state.tasks:
            await asyncio.sleep(0.01)


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Everything that is answered until a second of silence."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        while piece := await until_silence(reader):
            received += piece
    except ConnectionError:
        pass
    finally:
        writer.close()
    return received


async def until_silence(reader: asyncio.StreamReader) -> bytes:
    """The next piece; nothing after a second of silence.

    The second is many short waits: a machine that stands still for a second ends only one of them.
    """
    reading = asyncio.ensure_future(reader.read(65_536))
    for _ in range(20):
        if (await asyncio.wait([reading], timeout=0.05))[0]:
            return reading.result()
    reading.cancel()
    return b""


def ask(kind: type[HttpToolsProtocol], *pieces: bytes) -> bytes:
    async def once() -> bytes:
        async with listening(kind) as port:
            return await exchange(port, *pieces)

    return asyncio.run(once())


def ask_at_once(*exchanges: tuple[bytes, ...]) -> list[bytes]:
    """What each is answered, on connections of their own."""

    async def all_of() -> list[bytes]:
        async with listening(HotProtocol) as port:
            return await asyncio.gather(*[exchange(port, *pieces) for pieces in exchanges])

    return asyncio.run(all_of())


def without_names(answer: bytes) -> list[bytes]:
    """Its lines in any order, without what differs from request to request."""
    nameless = re.sub(rb"[0-9a-f]{16}", b"(request id)", answer)
    return sorted(nameless.split(b"\r\n"))


CASES = [
    [get(b"/prompt")],
    [get(b"/prompt?wait")],
    [get(b"/things/blue")],
    [get(b"/things/blue") * 3],
    [get(b"/things/blue"), get(b"/prompt"), get(b"/nowhere"), get(b"/prompt")],
    [get(b"/slow") + get(b"/prompt") + get(b"/nowhere")],
    [get(b"/prompt") + get(b"/slow") + get(b"/things/blue")],
    [get(b"/things/%62lue")],
    [get(b"/things/..%252fetc")],
    [get(b"/things/a\\b")],
    [get(b"/things/\xe9")],
    [get(b"/things/")],
    [get(b"/prompt#wait")],
    [get(b"/prompt?a#wait")],
    [get(b"http://a/prompt")],
    [get(b"/conflict")],
    [get(b"/api/fault")],
    [get(b"/prompt", version=b"1.0")],
    [get(b"/prompt", b"connection: close")],
    [get(b"/prompt", b"connection: keep-alive", version=b"1.0")],
    [get(b"/prompt", b"connection: upgrade", b"upgrade: h2c")],
    [get(b"/prompt", b"authorization: Bearer a", b"authorization: Bearer b")],
    [get(b"/prompt", b"x-folded: a", b"\tb")],
    [get(b"/prompt", b"content-length: 2", b"content-length: 3")],
    [b"HEAD /prompt HTTP/1.1\r\nhost: a\r\n\r\n"],
    [b"HEAD /things/blue HTTP/1.1\r\nhost: a\r\n\r\n" + get(b"/prompt")],
    [b"HEAD /ordinary HTTP/1.1\r\nhost: a\r\n\r\n" + get(b"/prompt")],
    [b"HEAD /ordinary HTTP/1.1\r\nhost: a\r\n\r\n", get(b"/prompt")],
    [b"HEAD /conflict HTTP/1.1\r\nhost: a\r\n\r\n" * 2],
    [b"DELETE /prompt HTTP/1.1\r\nhost: a\r\n\r\n"],
    [POST + b"content-length: 3\r\n\r\na=1"],
    [POST + b"content-length: 3\r\n\r\n", b"a", b"=", b"1"],
    [POST + b"content-length: 3\r\n\r\na=1" + get(b"/prompt")],
    [POST + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n", b"a=1"],
    [POST + b"transfer-encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n"],
    [POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n2\r\n=1\r\n", b"0\r\n\r\n"],
    [POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\na=1\r\n0\r\n\r\n"],
    [POST + b"transfer-encoding: chunked, identity\r\n\r\n3\r\na=1\r\n0\r\n\r\n"],
    [POST + b"content-length: 103\r\n\r\na=" + b"1" * 101],
    [POST + b"content-length: 103\r\n\r\n", b"a=" + b"1" * 101, get(b"/prompt")],
    [b"nonsense\r\n\r\n"],
]


@pytest.fixture(scope="module")
def answers() -> dict[type[HttpToolsProtocol], list[bytes]]:
    """What all cases are answered, each on a connection of its own and all at once."""

    async def all_of(kind: type[HttpToolsProtocol]) -> list[bytes]:
        async with listening(kind) as port:
            return await asyncio.gather(*[exchange(port, *pieces) for pieces in CASES])

    return {kind: asyncio.run(all_of(kind)) for kind in (HotProtocol, HttpToolsProtocol)}


@pytest.mark.parametrize("case", range(len(CASES)))
def test_both_ways_answer_the_same(case: int, answers) -> None:
    short, uvicorns = answers[HotProtocol][case], answers[HttpToolsProtocol][case]

    assert short

    assert without_names(short) == without_names(uvicorns)
    assert short.count(b"HTTP/1.1 ") == uvicorns.count(b"HTTP/1.1 ")


def test_an_ordinary_request_to_the_fast_lane_takes_the_short_way() -> None:
    """A prompt handler is run on the spot, without a task; uvicorn would have made one."""
    PROMPTLY.clear()

    ask(HotProtocol, get(b"/prompt"), get(b"/prompt?wait"))
    ask(HttpToolsProtocol, get(b"/prompt"))

    assert PROMPTLY[:2] == [None, None]
    assert PROMPTLY[2] is not None


def test_a_header_never_ends_its_line() -> None:
    answer = ask(HotProtocol, get(b"/prompt"))

    assert b"x-split: a??set-cookie: b\r\n" in answer


def test_pipelined_answers_come_in_the_order_of_the_questions() -> None:
    answer = ask(HotProtocol, get(b"/slow") + get(b"/prompt") + get(b"/things/blue"))

    assert answer.index(b"slept") < answer.index(b"here") < answer.index(b"blue")


def test_half_a_request_is_not_answered() -> None:
    assert ask(HotProtocol, POST + b"content-length: 9999\r\n\r\na=1") == b""


UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


METHODS = (b"POST", b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")


@pytest.mark.parametrize("wish", [UPGRADE, b"connection: upgrade\r\nupgrade: websocket\r\n"])
@pytest.mark.parametrize("path", [b"/echo", b"/ordinary", b"/prompt"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upgrade_is_ignored_and_the_request_served_with_its_content(
    wish: bytes, path: bytes, chunked: bool
) -> None:
    """RFC 9110 §7.8; Java's standard client sends `Upgrade: h2c` with its first request."""
    length = b"transfer-encoding: chunked\r\n\r\n" if chunked else b"content-length: 3\r\n\r\n"
    content = b"3\r\na=1\r\n0\r\n\r\n" if chunked else b"a=1"
    after = get(b"/prompt", b"connection: close")
    heads = [method + b" " + path + b" HTTP/1.1\r\nhost: a\r\n" + FORM for method in METHODS]

    plain = ask_at_once(*[(head + length, content + after) for head in heads])
    at_once = ask_at_once(*[(head + wish + length + content + after,) for head in heads])
    later = ask_at_once(*[(head + wish + length, content + after) for head in heads])
    in_pieces = [
        (head[:9], head[9:] + wish + length + content[:1], content[1:], after) for head in heads
    ]

    expected = [without_names(answer) for answer in plain]
    for answers in (at_once, later, ask_at_once(*in_pieces)):
        assert [without_names(answer) for answer in answers] == expected
    assert {answer.count(b"HTTP/1.1 ") for answer in plain} == {2}
    served = {method for method, answer in zip(METHODS, plain, strict=True) if b'"a":"1"' in answer}
    assert served == {b"/echo": {b"POST"}, b"/ordinary": {b"GET", b"PUT"}, b"/prompt": set()}[path]


def test_a_wish_for_an_upgrade_does_not_hide_who_else_asks() -> None:
    asked = (POST + UPGRADE + b"content-length: 3\r\n\r\na=1") * 3
    asked += get(b"/prompt", b"connection: close")

    answer = ask(HotProtocol, asked)

    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.count(b'"a":"1"') == 3


LAST = b"connection: close"
BIG = b"x-big: " + b"b" * 65_536
TOO_LARGE = [
    (get(b"/prompt", LAST, BIG),),
    (get(b"/ordinary", LAST, BIG),),
    (get(b"/prompt?" + b"q" * 65_536, LAST),),
    (get(b"/prompt", LAST, *[b"x: 1"] * 99),),
    (get(b"/ordinary", LAST, *[b"x-%d: 1" % number for number in range(99)]),),
    (get(b"/prompt", BIG)[:30_000], get(b"/prompt", BIG)[30_000:]),
    (get(b"/prompt", BIG * 24)[:-2],),  # 1.6 MB, and no end of the head
    (b"GET /prompt HTTP/1.1\r\n", *[b"x: 1\r\n" * 2_000] * 10),
    (b"\r\n" * 40_000,),
    (POST + UPGRADE + b"content-length: 3\r\n" + BIG + b"\r\n\r\na=1",),
]


def test_a_head_beyond_a_limit_is_refused_and_the_connection_ends() -> None:
    """RFC 6585 §5; what follows on the connection is not read any more."""
    refused = ask_at_once(*[(*pieces, get(b"/prompt")) for pieces in TOO_LARGE])

    for answer in refused:
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b'"code":"head_too_large"' in answer
        assert b"connection: close\r\n" in answer
        assert b"x-content-type-options: nosniff\r\n" in answer


def test_a_head_beyond_a_limit_behind_other_requests_is_not_served_either() -> None:
    answer = ask(HotProtocol, get(b"/prompt") + get(b"/things/blue", BIG) + get(b"/prompt"))

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"431"]


def test_large_heads_within_the_limits_are_served_and_content_is_not_counted() -> None:
    large = b"x-big: " + b"b" * 65_000
    many = [b"x: 1"] * 98

    answers = ask_at_once(
        *[(get(path, LAST, large),) for path in (b"/prompt", b"/ordinary")],
        *[(get(path, LAST, *many),) for path in (b"/prompt", b"/ordinary")],
        (get(b"/prompt", large) * 5 + get(b"/prompt", LAST),),
        (
            b"PUT /ordinary HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n%b\r\n\r\n" % LAST,
            *[b"a" * 40_000] * 5,
        ),
    )

    for answer in answers:
        assert set(re.findall(rb"HTTP/1.1 (\d+)", answer)) == {b"200"}
    assert answers[4].count(b"HTTP/1.1 200") == 6


def test_trailers_are_nobodys_fields_and_not_without_end() -> None:
    """RFC 9110 §6.5.1: what comes after the content decides nothing."""
    chunked = POST + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n"

    few, many, large = ask_at_once(
        (chunked + b"content-type: text/plain\r\n\r\n",),
        (chunked, *[b"x: 1\r\n" * 2_000] * 10, b"\r\n"),
        (chunked, b"x: ", *[b"b" * 10_000] * 10, b"\r\n\r\n"),
    )

    assert few.startswith(b"HTTP/1.1 200 ")
    assert many == large == b""


def test_who_hangs_up_is_not_answered_and_disturbs_nobody() -> None:
    async def scene() -> bytes:
        async with listening(HotProtocol) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get(b"/slow"))
            await writer.drain()
            writer.close()
            return await exchange(port, get(b"/slow"))

    assert asyncio.run(scene()).endswith(b"slept")


def test_a_server_that_stops_answers_what_it_was_asked() -> None:
    async def scene() -> bytes:
        async with listening(HotProtocol) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            ARRIVED.clear()
            writer.write(get(b"/slow"))
            while not ARRIVED.is_set():
                await asyncio.sleep(0)
        answer = await reader.read(65_536)
        writer.close()
        return answer

    answer = asyncio.run(scene())

    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"slept")


def test_an_idle_connection_is_closed_after_a_while() -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with listening(HotProtocol, timeout_keep_alive=1) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get(b"/prompt"))
            answer = await reader.readuntil(b"here")
            rest = await asyncio.wait_for(reader.read(10), 60)
            writer.close()
            return answer, rest

    answer, rest = asyncio.run(scene())

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest == b""
