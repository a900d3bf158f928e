"""`python -m server keys serve`: the key service as this installation's settings describe it.

It has a master key of its own in `YINZHENG_MASTER_KEY_FILE`, so that what web processes can read
opens no private key. `YINZHENG_KEY_STORE` says where it keeps keys, `YINZHENG_DATABASE_URL` where
it records each use of a seal key.
"""

import signal
from pathlib import Path
from typing import Annotated

import typer

from foundation.clock import system_clock
from keys import UnusableBackend
from keys.custody import (
    KeyService,
    SocketServer,
    SoftwareBackend,
    open_backend,
)
from server import migrations
from server.assembly import open_database, open_master_key
from server.settings import load


def serve(
    socket: Annotated[Path, typer.Option(help="where to listen; made with mode 0600")],
    uid: Annotated[
        int | None, typer.Option(help="the only user who may call; this one when left out")
    ] = None,
) -> None:
    """Hold the private keys and sign for web processes over a Unix socket."""
    settings = load()
    if settings.key_store.startswith("unix:"):
        raise UnusableBackend(
            "a key service cannot keep its keys in a key service",
            next_step="set YINZHENG_KEY_STORE to software: or pkcs11:… for this process",
        )
    master_key = open_master_key(settings)
    database = open_database(settings, master_key)
    if database.dialect == "sqlite":
        migrations.upgrade(database)
    chosen, software = open_backend(settings.key_store, master_key), SoftwareBackend(master_key)
    service = KeyService(database, [chosen, software], system_clock)
    server = SocketServer(service, socket.absolute(), uid=uid)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _signum, _frame: server.stop())
    typer.echo(f"key service at {socket} ({chosen.scheme})", err=True)
    server.serve()
    database.close()
