"""What no server can beat here: the same web server with almost nothing behind it.

    /json     a small JSON document, encoded once            the floor of JWKS and discovery
    /token    a fresh JWT in a JSON answer, one ES256 signature   the floor of every token row

`python -m bench.floors` listens on a free port of loopback and prints {"port": …} first.
"""

import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from foundation.canonical import b64url

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
_ES256 = ec.ECDSA(hashes.SHA256())


def app() -> App:
    """The floor as a raw ASGI application."""
    key = ec.generate_private_key(ec.SECP256R1())
    prefix = b64url(orjson.dumps({"alg": "ES256", "typ": "at+jwt"})) + "."
    document = orjson.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43}]})

    def token() -> bytes:
        now = int(time.time())
        claims = {"iss": "floor", "sub": "bench", "iat": now, "exp": now + 600}
        body = prefix + b64url(orjson.dumps(claims | {"jti": secrets.token_urlsafe(16)}))
        r, s = decode_dss_signature(key.sign(body.encode(), _ES256))
        signature = b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return orjson.dumps({"access_token": f"{body}.{signature}", "token_type": "Bearer"})

    async def floor(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        body = document if scope["path"] == "/json" else token()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return floor


def main() -> None:
    """Serve the floor until a signal says stop."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(
        app(), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="error"
    )
    uvicorn.Server(config).run(sockets=[listener])  # `serve` would not honour `loop`


if __name__ == "__main__":
    main()
