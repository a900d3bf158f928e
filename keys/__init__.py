"""The key room: private keys are used here and nowhere else.

Everyone else asks for a *use* ("seal/4711", "idp.tokens", "tsa") and gets a signature, a token, a
certificate chain or a time-stamp back; never a key. The room's story, from the inside out:

    algorithms   one row per algorithm; SM2 or ML-DSA is one more row
    der, jose    bytes by hand: DER elements, strict JSON Web Signatures
    http_signatures   the same for whole HTTP messages (RFC 9421)
    backends/    where private halves are kept: encrypted envelopes, hardware modules, a key service
    wire         what is said to a key service over its socket
    socket_service   the key service: private keys in a process of their own
    policy       what a key may do; a seal key signs by order of two people only
    guard        checks that beside the key, and records each use before it happens
    custody      makes keys and signs with them; the only caller of a backend
    rules        when a key changes state: staged → active → retiring → retired
    rotation     carries that out, in one transaction
    authority    X.509: offline-style root, an issuing authority per department
    revocation_lists   what became of certificates, as a list
    ocsp         what became of a certificate, asked one by one
    responders   who answers that, and the answers signed before anybody asks
    timestamps   RFC 3161 time-stamp tokens
    external_time   the same from an authority outside the house, checked before it is believed
    service      `Keys`, the door for the floors above
    http         /keys/jwks.json, /pki/…, /tsa
    commands     what a keeper does at a terminal

Promises: a seal key signs nothing that two people have not approved, and every use is on record
before the signature exists; a private key is never in a log, an exception or a repr; one use has at
most one active key; what signs has been published before; a certificate is never changed, only
renewed or revoked.
"""

from keys.custody.signing_policy import PendingUses
from keys.errors import (
    InvalidJws,
    KeyMayNotSign,
    MalformedJwk,
    MessageSignatureRefused,
    NoActiveKey,
    SignatureReplayed,
    TimestampUnavailable,
    UnknownCertificate,
    UnknownKey,
    UnusableBackend,
)
from keys.models import Key, KeyState, KeyUse, Signature
from keys.pki.profiles import (
    PROFILES,
)
from keys.policy import SigningAuthorization, SigningRequest
from keys.service import (
    TSA,
    Keys,
)

__all__ = [
    "PROFILES",
    "TSA",
    "InvalidJws",
    "Key",
    "KeyMayNotSign",
    "KeyState",
    "KeyUse",
    "Keys",
    "MalformedJwk",
    "MessageSignatureRefused",
    "NoActiveKey",
    "PendingUses",
    "Signature",
    "SignatureReplayed",
    "SigningAuthorization",
    "SigningRequest",
    "TimestampUnavailable",
    "UnknownCertificate",
    "UnknownKey",
    "UnusableBackend",
]
