"""A department's program that signs what it asks (RFC 9421), as its developer would write it.

Signatures are made by somebody else's library; nothing of the house is imported.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

TAG: Final = "yinzheng-request"
ALWAYS: Final = ("@method", "@target-uri", "authorization")
WITH_CONTENT: Final = (*ALWAYS, "content-type")
VERIFY: Final = "/api/v1/verifications"
_KINDS: Final = {
    "p256": (lambda: ec.generate_private_key(ec.SECP256R1()), algorithms.ECDSA_P256_SHA256),
    "ed25519": (ed25519.Ed25519PrivateKey.generate, algorithms.ED25519),
}


class Department:
    """One client with two registered keys ("p256", "ed25519"), and one nobody knows ("own")."""

    def __init__(self, origin: str, client_id: str, kid: str = "p256") -> None:
        self.kid = kid
        self.http = httpx.Client(base_url=origin, timeout=20)
        self.client_id = client_id
        self.keys: dict[str, Any] = {name: make() for name, (make, _) in _KINDS.items()}
        self.keys[kid] = self.keys.pop("p256")
        self.keys["own"] = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> dict[str, Any]:
        """What it hands in at registration."""
        ecdsa = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        okp = jwt.algorithms.OKPAlgorithm()
        p256 = ecdsa.to_jwk(self.keys[self.kid].public_key(), as_dict=True)
        ed25519 = okp.to_jwk(self.keys["ed25519"].public_key(), as_dict=True)
        return {"keys": [{**p256, "kid": self.kid}, {**ed25519, "kid": "ed25519"}]}

    def sign_in(self, secret: str) -> None:
        """Get an access token for all that follows."""
        form = {"grant_type": "client_credentials", "scope": "certificates.verify"}
        answer = self.http.post("/oauth/token", data=form, auth=(self.client_id, secret))
        token = answer.raise_for_status().json()["access_token"]
        self.http.headers["authorization"] = f"Bearer {token}"

    def question(self, asked: Mapping[str, Any], **headers: str) -> httpx.Request:
        return self.http.build_request("POST", VERIFY, json=asked, headers=headers)

    def signed(
        self,
        request: httpx.Request,
        *,
        covered: tuple[str, ...] | None = None,
        key: str = "p256",
        keyid: str = "",
        tag: str = TAG,
        age: float = 0,
        nonce: str = "",
        digest: bool = True,
    ) -> httpx.Request:
        """The request with its two headers, and with a content digest when it has content."""
        content = request.read()
        kinds = {**_KINDS, "own": _KINDS["p256"]}
        resolver = MappingKeyResolver(public_keys={}, private_keys={keyid or key: self.keys[key]})
        HTTPMessageSigner(signature_algorithm=kinds[key][1], key_resolver=resolver).sign(
            request,
            key_id=keyid or key,
            created=datetime.now(UTC) - timedelta(seconds=age),
            nonce=nonce or secrets.token_urlsafe(16),
            tag=tag,
            label="sig",
            covered_component_ids=covered or (WITH_CONTENT if content else ALWAYS),
            body=content if content and digest else None,
        )
        return request

    def send(self, request: httpx.Request) -> httpx.Response:
        return self.http.send(request)

    def close(self) -> None:
        self.http.close()
