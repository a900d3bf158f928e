"""Serve the register of a folder on the product's own fast lane, and nothing behind it.

`python -m bench.serve FOLDER PORT ISSUER [DATABASE_URL]`: one process, one event loop, the
web server configured as `server/running/processes.py` does. Pages, the framework and background
work are left out: no measured request reaches them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from bench.services import BenchServices
from server.running.management import Metrics
from server.running.processes import collect_rarely
from server.web.hotpath import HotPath
from server.web.protocol import HotProtocol


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def main(arguments: Sequence[str]) -> None:
    """Serve until a signal says stop."""
    folder, port, issuer, *url = arguments
    services = BenchServices(Path(folder), issuer, *url)
    config = uvicorn.Config(
        HotPath(_nowhere, services.hot_routes(), https=False, answered=Metrics().answered),
        port=int(port),
        backlog=2048,
        loop="uvloop",
        http=HotProtocol,
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
    collect_rarely()
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(sys.argv[1:])
