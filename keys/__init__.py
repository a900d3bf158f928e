"""Keys: private halves are used here and nowhere else.

Everyone else asks for a *use* ("seal/4711", "idp.tokens", "tsa") and gets a signature, a token, a
certificate chain or a time-stamp back; never a key. From the inside out:

    encoding/       algorithms, DER, X.509, JOSE, HTTP signatures: pure codecs
    policy          what a key may do; a seal key signs by order of two people only
    custody/        who touches a private key: stores, hardware, a key service
    rotation        staged → active → retiring → retired, in one transaction
    pki/            X.509: a root, an issuing authority per department, CRL and OCSP
    timestamping/   RFC 3161 time-stamps, ours and others'
    service         `Keys`, what the packages above use
    http            /keys/jwks.json, /pki/…, /tsa
    commands        what a keeper does at a terminal

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
