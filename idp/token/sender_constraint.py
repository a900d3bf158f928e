"""Sender constraint: a token works only in the hands of whoever it was made for.

One place for both kinds, DPoP (RFC 9449) and client certificates (RFC 8705), and for every endpoint
that hands out a token or takes one:

    proof  = senders.proof(request)                    what the request shows, before anything else
    once   = senders.spending(proof)                   is written with what the proof allows
    cnf    = senders.bind(request, proof, client)      → the confirmation of a new token
    await senders.check(request, scheme, token, confirmation)  a token comes back: same hands?
    senders.refuse_early(proof, client)                once it is known whose client's proof it is

- A request without a proof, by a client and for a token that want none, pays two look-ups in a
  dictionary.
- A confirmation nobody here understands is refused, never skipped.
"""

from collections.abc import Mapping
from typing import Any, Final

from foundation.batching import Condition, HotRequest
from foundation.clock import Clock
from foundation.database import Database
from idp.clients.mtls import ClientCertificates
from idp.models import Client
from idp.protocol.errors import (
    DpopChallenge,
    InvalidDpopProof,
    InvalidRequest,
    InvalidToken,
    UseDpopNonce,
)
from idp.protocol.policy import Policy
from idp.protocol.profiles import SIGNING_ALGORITHMS, needs_proof
from idp.store.replays import ReplayCache
from idp.token import dpop
from idp.token.dpop import DpopProof, Nonces

Confirmation = Mapping[str, str]  # the `cnf` claim (RFC 7800 §3.1)

KEY: Final = "jkt"  # RFC 9449 §6.1
CERTIFICATE: Final = "x5t#S256"  # RFC 8705 §3.1
USED: Final = "the DPoP proof was used before"
_ALGORITHMS: Final = " ".join(SIGNING_ALGORITHMS)


class SenderConstraints:
    """Who holds the key behind a request."""

    def __init__(
        self,
        database: Database,
        replays: ReplayCache,
        certificates: ClientCertificates,
        clock: Clock,
        issuer: str,
        policy: Policy | None = None,
    ) -> None:
        self._policy = policy or Policy()
        self._replays = replays
        self._clock = clock
        # RFC 8705 §5: the same endpoints stand at a second address too, and a proof names one.
        self._addresses = [base for base in (issuer, certificates.address) if base]
        self._nonces = Nonces(database.cipher)
        self.certificates = certificates

    def proof(self, request: HotRequest, access_token: str = "") -> DpopProof | None:
        """The DPoP proof of a request to the authorization server; None when it brings none.

        Everything is checked but whether it was used before, so that a missing nonce is answered
        before anything of the request is used up. Raises `InvalidDpopProof`, `UseDpopNonce`.
        """
        text = request.headers.get("dpop")
        if text is None:
            return None
        now = self._clock()
        try:
            return dpop.check_proof(
                text,
                method=request.method,
                urls=[base + request.path for base in self._addresses],
                now=now,
                nonces=self._nonces,
                access_token=access_token,
            )
        except UseDpopNonce as refusal:
            raise UseDpopNonce(refusal.detail, nonce=self._nonces.current(now)) from None

    def bind(self, request: HotRequest, proof: DpopProof | None, client: Client) -> Confirmation:
        """What a new token for `client` is bound to. The proof is not used up by this (`spending`).

        1. The key of the proof, when there is one; the client's profile may demand it.
        2. The certificate of the connection, when the client is registered so (RFC 8705 §3.4).
        """
        confirmation: dict[str, str] = {}
        # 1.
        if proof is not None:
            dpop.refuse_early(proof, client, self._clock())
            confirmation[KEY] = proof.jkt
        elif needs_proof(client, self._policy):
            raise InvalidDpopProof("this client must send a DPoP proof")
        # 2.
        if client.tls_client_certificate_bound_access_tokens:
            shown = self.certificates.of(request)
            if shown is None:
                raise InvalidRequest("this client must present its certificate")
            confirmation[CERTIFICATE] = shown.thumbprint
        return confirmation

    async def check(
        self, request: HotRequest, scheme: str, token: str, confirmation: Confirmation
    ) -> DpopProof | None:
        """Is whoever sends `token` the one it is bound to? Answers the proof that it took,
        if any. Raises a `TokenRefused`.

        1. Every kind of confirmation is one we understand.
        2. A key: the scheme is DPoP, and a fresh proof for this request and token names that key.
           The scheme DPoP with a token that has no key is refused too (RFC 9449 §7.1).
        3. A certificate: the connection's (RFC 8705 §3).
        """
        if not confirmation and scheme == "bearer":
            return None
        # 1.
        if not confirmation.keys() <= {KEY, CERTIFICATE}:
            raise InvalidToken("the access token is bound in a way that is not known here")
        # 2.
        proof = None
        if KEY in confirmation or scheme == "dpop":
            proof = await self._check_key(request, scheme, token, confirmation.get(KEY, ""))
        # 3.
        if CERTIFICATE in confirmation:
            shown = self.certificates.of(request)
            if shown is None or shown.thumbprint != confirmation[CERTIFICATE]:
                raise InvalidToken("the access token is bound to another certificate")
        return proof

    def refuse_early(self, proof: DpopProof | None, client: Client) -> None:
        """A proof beside a token of `client` is not from the future (`dpop.refuse_early`). Raises
        `DpopChallenge`."""
        if proof is None:
            return
        try:
            dpop.refuse_early(proof, client, self._clock())
        except InvalidDpopProof as refusal:
            raise DpopChallenge(refusal, algs=_ALGORITHMS) from None

    async def spend(self, proof: DpopProof) -> None:
        """Use a proof up. Raises `InvalidDpopProof` when it was used before (§11.1)."""
        if not await self._replays.first("dpop", proof.jkt, proof.jti, proof.until):
            raise InvalidDpopProof(USED)

    def spending(self, proof: DpopProof | None) -> Condition[Any, bool] | None:
        """The same in the transaction of what the proof allows, which is refused if it was used."""
        if proof is None:
            return None
        refusal = InvalidDpopProof(USED)
        return self._replays.once("dpop", proof.jkt, proof.jti, proof.until, refusal)

    def headers(self, request: HotRequest) -> tuple[tuple[str, str], ...]:
        """The nonce for the next proof (§8.2), for senders of proofs only."""
        if "dpop" not in request.headers:
            return ()
        return (("DPoP-Nonce", self._nonces.current(self._clock())),)

    async def _check_key(self, request: HotRequest, scheme: str, token: str, jkt: str) -> DpopProof:
        if scheme != "dpop" or not jkt:
            raise InvalidToken(
                "the access token is bound to a key: send it as DPoP, with a proof"
                if jkt
                else "the access token is not bound to a key: send it as Bearer",
                scheme="DPoP" if jkt else "Bearer",
            )
        try:
            proof = self.proof(request, token)
            if proof is None:
                raise InvalidDpopProof("the access token comes without a DPoP proof")
            if proof.jkt != jkt:
                raise InvalidToken(
                    "the DPoP proof is by another key than the access token's",
                    scheme="DPoP",
                    algs=_ALGORITHMS,
                )
            await self.spend(proof)
        except InvalidDpopProof as refusal:
            raise DpopChallenge(refusal, algs=_ALGORITHMS) from None
        return proof
