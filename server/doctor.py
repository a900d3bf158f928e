"""Whether strangers can read what this installation signs: what `doctor` adds to the health checks.

One fresh access token, ID token and receipt, made by the code that makes real ones, about nobody
and for nobody; they are read by PyJWT through discovery and the published key set, and thrown away.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from server import strangers
from server.assembly import Installation


def findings(installation: Installation) -> dict[str, str]:
    """By what was read: "ok", or why a stranger cannot read it."""
    keys = _published(installation)
    tokens, issuer = (
        installation.idp.tokens.specimens(installation.clock()),
        installation.settings.issuer,
    )
    made = {
        "access token": (tokens.access_token, "at+jwt", tokens.audience),
        **{
            f"ID token by {algorithm}": (text, "JWT", tokens.audience)
            for algorithm, text in tokens.id_tokens.items()
        },
        "receipt": (installation.verifications.specimen_receipt(), "yinzheng-receipt+jwt", None),
    }
    return {
        name: finding(keys, text, typ=typ, issuer=issuer, audience=audience)
        for name, (text, typ, audience) in made.items()
    }


def finding(
    keys: jwt.PyJWKSet, text: str, *, typ: str, issuer: str, audience: str | None = None
) -> str:
    """ "ok", or why a stranger cannot read `text`."""
    try:
        strangers.read(text, keys, typ=typ, issuer=issuer, audience=audience)
    except jwt.PyJWTError as problem:
        return f"a stranger cannot read it: {problem}"
    return "ok"


def _published(installation: Installation) -> jwt.PyJWKSet:
    """As it leaves the application, without a port in between: another process may serve it."""
    transport = httpx.ASGITransport(app=installation.app())

    async def ask(address: str) -> Mapping[str, Any]:
        async with httpx.AsyncClient(
            transport=transport, base_url=installation.settings.issuer
        ) as client:
            answer: Mapping[str, Any] = (await client.get(address)).raise_for_status().json()
            return answer

    return strangers.published(lambda address: asyncio.run(ask(address)))
