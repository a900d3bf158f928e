"""The house behind a real socket, for real browsers: one thread, one free port, SQLite."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from server.assembly import Installation, opened
from server.sandbox import seeds
from server.settings import Settings
from server.web.protocol import HotProtocol


@contextmanager
def serving(folder: Path, *, working: bool = True) -> Iterator[Installation]:
    """A sandbox that listens on `house.settings.public_url` for the length of the block.

    When it is not `working`, no job is done: what was begun stays under way.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    # "localhost", not the number: passkeys and cameras want a name they trust.
    origin = f"http://localhost:{listener.getsockname()[1]}"
    with opened(Settings(data_dir=folder, public_url=origin)) as house:
        seeds.seed(house)
        worker = house.worker()
        if working:
            worker.start()
        config = uvicorn.Config(
            house.app(), http=HotProtocol, proxy_headers=False, log_level="error", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield house
        server.should_exit = True
        thread.join(timeout=10)
        if working:
            worker.stop()
