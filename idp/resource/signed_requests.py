"""Signed requests (RFC 9421): a client registered for them signs every request to a resource.

A token says who may ask; a signature says that this client asked exactly this, just now. It covers
method, address, token, content and whatever else decides the answer, so that neither a proxy on the
way nor a thief of the token can change or repeat a request, and the record of what was asked names
the key that asked.

- Asked for by registration (`require_signed_requests`); other clients pay one attribute look-up.
- Keys are the client's registered ones (`jwks`, `jwks_uri`), by `kid`; a message brings none.
- A nonce counts once for each client, for longer than its signature could be accepted.
"""

import hashlib
from typing import Final
from urllib.parse import quote

from foundation.batching import HotRequest
from foundation.clock import Clock
from idp.clients.credentials import assertion_key
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.errors import RequestSignatureRefused
from idp.store.replays import ReplayCache
from keys import (
    MessageSignatureRefused,
    SignatureReplayed,
)
from keys.encoding.http_signatures import (
    Expected,
    Message,
    Verified,
    accept_signature,
    claimed_signature,
    verify,
)

TAG: Final = "yinzheng-request"
EXPECTED: Final = Expected(
    tag=TAG,
    components=("@method", "@target-uri", "authorization"),
    when_present=("content-type", "idempotency-key"),
)


class SignedRequests:
    """Is this request as the client sent it?"""

    def __init__(self, clients: Clients, replays: ReplayCache, clock: Clock, issuer: str) -> None:
        self._clients = clients
        self._replays = replays
        self._clock = clock
        self._issuer = issuer

    async def check(self, request: HotRequest, client: Client) -> str:
        """The thumbprint of the key that signed this request. Raises `RequestSignatureRefused`."""
        message = message_of(request, self._issuer)
        try:
            verified = await self._verified(message, client)
            if not await self._replays.first(
                "http_signature", client.client_id, verified.nonce, verified.until
            ):
                raise SignatureReplayed("the nonce of this signature was used before")
        except MessageSignatureRefused as refusal:
            wanted = accept_signature(EXPECTED.of(message), TAG)
            raise RequestSignatureRefused(refusal, accept_signature=wanted) from None
        return verified.thumbprint

    async def _verified(self, message: Message, client: Client) -> Verified:
        keyid = claimed_signature(message.headers, TAG).text("keyid")
        await self._clients.jwks_later(client, keyid)
        jwks = self._clients.jwks_of(client, keyid)
        return verify(
            message, EXPECTED, lambda name: assertion_key({"kid": name}, jwks), self._clock()
        )


def message_of(request: HotRequest, issuer: str) -> Message:
    """The request as its sender saw it: under our public address, whatever proxies are between."""
    content = request.content_sha256
    path = quote(request.path, safe="/!$&'()*+,;=:@~")
    return Message(
        method=request.method,
        target_uri=f"{issuer}{path}?{request.query}" if request.query else issuer + path,
        headers=request.headers,
        content_sha256=hashlib.sha256(request.body).digest() if content is None else content,
    )
