"""The key room: private keys are used here and nowhere else.

Everyone else asks for a *use* ("seal/4711", "idp.tokens", "tsa") and gets a signature, a token, a
certificate chain or a time-stamp back; never a key. The room's story, from the inside out:

    algorithms   one row per algorithm; SM2 or ML-DSA is one more row
    der, jose    bytes by hand: DER elements, strict JSON Web Signatures
    backends/    where private halves are kept (encrypted envelopes; hardware modules)
    custody      makes keys and signs with them; the only caller of a backend
    rules        when a key changes state: staged → active → retiring → retired
    authority    X.509: offline-style root, an issuing authority per department, revocation lists
    ocsp         what became of a certificate, asked one by one
    responders   who answers that, and the answers signed before anybody asks
    timestamps   RFC 3161 time-stamp tokens
    service      `Keys`, the door for the floors above
    http         /keys/jwks.json, /pki/…, /tsa
    commands     what a keeper does at a terminal

Promises: a private key is never in a log, an exception or a repr; one use has at most one active
key; what signs has been published before; a certificate is never changed, only renewed or revoked.
"""

from keys.models import Key, KeyState, Signature
from keys.service import Keys

__all__ = ["Key", "KeyState", "Keys", "Signature"]
