"""Web processes: one event loop each, sharing one port; the parent only watches.

A process that dies is started again. SIGTERM drains: `/readyz` turns 503 first, so that a proxy
looks elsewhere, then open requests finish, then the process ends.
"""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

import uvicorn
import uvloop

from foundation.errors import Conflict
from server.running.management import Management
from server.running.worker import Worker
from server.settings import Settings
from server.web.protocol import HotProtocol

DRAIN_SECONDS = 1.0
GRACE_SECONDS = 10
# Longer than clients and proxies keep an idle connection (5 to 60 s): whoever closes it must be the
# one that might still send something on it, else a request meets a closed connection.
KEEP_ALIVE_SECONDS = 75
YOUNG_OBJECTS = 10_000  # that are there before the garbage collector looks for cycles among them


class PortTaken(Conflict):
    """Another program listens there."""

    code = "port_taken"


def serve(
    app: Any,
    management: Management,
    settings: Settings,
    *,
    index: int = 0,
    until: threading.Event | None = None,
) -> None:
    """Serve `app` on the public port and `management` on its own, until a signal (or `until`)."""
    collect_rarely()
    _run(_serve(app, management, settings, index, until or threading.Event()))


def collect_rarely() -> None:
    """Spare the garbage collector what it would look through for nothing.

    What start-up made stays. What the requests of one busy tick make, a few thousand objects, goes
    by itself when they are answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def work(worker: Worker, management: Management, settings: Settings) -> None:
    """Run the background loops and the management port until a signal says stop."""

    def stop(_signum: int, _frame: Any) -> None:
        management.draining.set()
        worker.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.start()
    if settings.management_port:
        listener = _listen(settings.management_host, settings.management_port)
        _run(_manage(uvicorn.Server(_config(management)), worker, listener))
    worker.stopping.wait()
    worker.stop()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop: whatever one tick of the loop has to say on a connection leaves in one send.

    `asyncio.run` would take the standard library's loop, whatever uvicorn was told: `loop=` is only
    heard by `uvicorn.Server.run`.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def _manage(inner: uvicorn.Server, worker: Worker, listener: socket.socket) -> None:
    task = asyncio.create_task(inner._serve(sockets=[listener]))  # noqa: SLF001 — as in `_follow`
    while not (worker.stopping.is_set() or task.done()):
        await asyncio.sleep(0.1)
    inner.should_exit = True
    await task


async def _serve(
    app: Any, management: Management, settings: Settings, index: int, until: threading.Event
) -> None:
    public = _Server(_config(app, HotProtocol), management)
    listener = _listen(settings.host, settings.port, shared=settings.processes > 1)
    servers = [public.serve(sockets=[listener]), _stop_when(until, public)]
    if settings.management_port:
        inner = uvicorn.Server(_config(management))
        port = settings.management_port + index
        servers.append(_follow(inner, public, _listen(settings.management_host, port)))
    await asyncio.gather(*servers)


async def _stop_when(until: threading.Event, public: uvicorn.Server) -> None:
    while not public.should_exit:
        if until.is_set():
            public.should_exit = True
        await asyncio.sleep(0.1)


async def _follow(inner: uvicorn.Server, public: uvicorn.Server, listener: socket.socket) -> None:
    """Run the management server without signal handlers of its own, as long as the public one."""
    task = asyncio.create_task(inner._serve(sockets=[listener]))  # noqa: SLF001 — `serve` traps signals
    while not (public.should_exit or task.done()):
        await asyncio.sleep(0.1)
    inner.should_exit = True
    await task


class _Server(uvicorn.Server):
    """uvicorn's server, with a pause between "not ready" and "not listening"."""

    def __init__(self, config: uvicorn.Config, management: Management) -> None:
        super().__init__(config)
        self._management = management

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Runs inside the signal handler: only marks, and leaves the waiting to a timer."""
        if self._management.draining.is_set():
            self.should_exit = self.force_exit = True
            return
        self._management.draining.set()
        wait = DRAIN_SECONDS if sig == signal.SIGTERM else 0.0
        threading.Timer(wait, self._exit).start()

    def _exit(self) -> None:
        self.should_exit = True


def _config(app: Any, http: Any = "httptools") -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        access_log=False,  # it writes paths and queries; our ledger and logs say what matters
        log_config=None,  # its own writes tracebacks, with what a citizen typed in them
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: asyncio leaves Nagle's algorithm on where it only says "the usual one",
    # and then an answer's second segment waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # accepted connections inherit it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise PortTaken(
            f"{host}:{port} cannot be used: {problem.strerror}",
            next_step="stop the other program, or set YINZHENG_PORT or YINZHENG_MANAGEMENT_PORT",
        ) from None
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def supervise(settings: Settings) -> int:
    """Keep `settings.processes` children alive; pass the stop signal on and wait for them."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    stopping = False

    def stop(signum: int, _frame: Any) -> None:
        nonlocal stopping
        stopping = True
        for child in children.values():
            child.send_signal(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        for index in range(settings.processes):
            child = children.get(index)
            if child is None or child.poll() is not None:
                children[index] = _start(index)
        time.sleep(0.5)
    return max(child.wait() for child in children.values())


def _start(index: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "server", "serve", "--child", str(index)]
    return subprocess.Popen(command, env=os.environ)  # noqa: S603 — our own program
