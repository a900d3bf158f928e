"""What can go wrong with keys, split by whose fault it is.

    YinzhengError
    ├── Malformed
    │   ├── InvalidJws              invalid_jws               they sent a token we do not believe
    │   │   ├── MalformedJws        malformed_jws             not a strict compact JWS
    │   │   ├── AlgorithmNotAllowed algorithm_not_allowed     not an algorithm of this key
    │   │   ├── UnsupportedHeader   unsupported_header        crit, b64, nested or wrong typ
    │   │   ├── UntrustedKey        untrusted_key             no key of ours answers to this header
    │   │   └── SignatureMismatch   signature_mismatch        the signature is not by that key
    │   ├── MalformedJwk            malformed_jwk             not a public key we can use
    │   └── UnexpectedMediaType     unexpected_media_type     not what /tsa or /pki/ocsp takes
    ├── Unauthenticated
    │   └── MessageSignatureRefused            RFC 9421: a message is not what its signer sent
    │       ├── SignatureMissing    signature_missing         none, or none with the expected tag
    │       ├── SignatureMalformed  signature_malformed       not in the form we read
    │       ├── SignatureIncomplete signature_incomplete      something is not covered or not said
    │       ├── SignatureStale      signature_stale           made too long ago, ahead, expired
    │       ├── SignatureKeyUnknown signature_key_unknown     keyid is not one registered key
    │       ├── SignatureInvalid    signature_invalid         not by that key over this message
    │       ├── SignatureReplayed   signature_replayed        its nonce was used before
    │       ├── ContentDigestMissing    content_digest_missing    content without a digest
    │       └── ContentDigestMismatch   content_digest_mismatch   content of another digest
    ├── NotFound
    │   ├── UnknownKey              unknown_key               no key has this kid
    │   ├── NoActiveKey             no_active_key             the use has no key that may sign
    │   └── UnknownCertificate      unknown_certificate       no certificate for this name or serial
    ├── Conflict
    │   └── ActiveKeyExists         active_key_exists         the use already has its active key
    ├── Refused
    │   ├── KeyMayNotSign           key_may_not_sign          retired or past its policy
    │   └── OrderRefused            signing_order_refused     no order, or one person
    │       └── OrderUntimely       signing_order_refused     for another time than it is here
    ├── TooManyRequests
    │   └── SigningRateExceeded     signing_rate_exceeded     more than the policy allows a minute
    ├── Unavailable
    │   ├── KeyStoreUnavailable     key_store_unavailable     the module or key service is silent
    │   └── TimestampUnavailable    timestamp_unavailable     no time-stamp now; it is added later
    └── YinzhengError (ours)
        ├── UnusableBackend         unusable_key_backend      the URI names no key store we have
        ├── UnsafeSecretFile        unsafe_secret_file        absent, or open to others
        ├── UnsafeMasterKey         unsafe_master_key         absent, open to others or too short
        └── KeyDamaged              key_damaged               a stored private key does not open

No message ever holds key material, and no cause is chained that might.
"""

from foundation.errors import (
    Conflict,
    Malformed,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    YinzhengError,
)


class InvalidJws(Malformed):
    """The one error a verifying caller needs to catch."""

    code = "invalid_jws"


class MalformedJws(InvalidJws):
    """The token is not a strict compact JWS: wrong parts, base64url or JSON."""

    code = "malformed_jws"


class AlgorithmNotAllowed(InvalidJws):
    """The header names an algorithm that this key is not used with."""

    code = "algorithm_not_allowed"


class UnsupportedHeader(InvalidJws):
    """The header has a parameter that is not read here, or another `typ` than expected."""

    code = "unsupported_header"


class UntrustedKey(InvalidJws):
    """No trusted key fits the header's `kid`."""

    code = "untrusted_key"


class SignatureMismatch(InvalidJws):
    """The signature was not made by the trusted key over these bytes."""

    code = "signature_mismatch"


class MalformedJwk(Malformed):
    """A JWK is not a public key of a kind and size accepted here."""

    code = "malformed_jwk"


class UnexpectedMediaType(Malformed):
    """The body's media type is not the one that the protocol sends."""

    code = "unexpected_media_type"
    status = 415


class MessageSignatureRefused(Unauthenticated):
    """The one error a receiver of signed messages needs to catch; `code` says which rule."""

    code = "message_signature_refused"


class SignatureMissing(MessageSignatureRefused):
    """There is no signature with the expected tag, or more than one (RFC 9421)."""

    code = "signature_missing"


class SignatureMalformed(MessageSignatureRefused):
    """Signature or Signature-Input is not in the form that is read here."""

    code = "signature_malformed"


class SignatureIncomplete(MessageSignatureRefused):
    """The signature does not cover all it must, or says no time or nonce."""

    code = "signature_incomplete"


class SignatureStale(MessageSignatureRefused):
    """The signature was made too long ago, ahead of our clock, or has expired."""

    code = "signature_stale"


class SignatureKeyUnknown(MessageSignatureRefused):
    """`keyid` does not name exactly one registered key."""

    code = "signature_key_unknown"


class SignatureInvalid(MessageSignatureRefused):
    """The signature was not made by this key and algorithm over this message."""

    code = "signature_invalid"


class SignatureReplayed(MessageSignatureRefused):
    """The nonce of the signature was used before."""

    code = "signature_replayed"


class ContentDigestMissing(MessageSignatureRefused):
    """There is content and no Content-Digest for it (RFC 9530)."""

    code = "content_digest_missing"


class ContentDigestMismatch(MessageSignatureRefused):
    """Content-Digest is not the SHA-256 of the content."""

    code = "content_digest_mismatch"


class ActiveKeyExists(Conflict):
    """A first key was asked for, and the use already has its active one."""

    code = "active_key_exists"


class UnknownKey(NotFound):
    """No key has this kid."""

    code = "unknown_key"


class NoActiveKey(NotFound):
    """The use has no key that may sign."""

    code = "no_active_key"
    passing = True  # whoever keeps the key makes a new one


class UnknownCertificate(NotFound):
    """There is no valid certificate for this key, authority or serial number."""

    code = "unknown_certificate"
    passing = True  # renewed, or valid again when the clock is right


class KeyMayNotSign(Refused):
    """The key is retired, destroyed, or past the end of its policy."""

    code = "key_may_not_sign"
    passing = True  # another key signs next time, or this one when the clock is right


class OrderRefused(Refused):
    """A seal's key was asked without a complete order, or with one person as drafter and
    approver."""

    code = "signing_order_refused"


class OrderUntimely(OrderRefused):
    """The order is good, and two clocks disagree: sooner or later they will not."""

    passing = True

    def __init__(self, detail: str, *, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step, retry_after="60")


class SigningRateExceeded(TooManyRequests):
    """The key signed as often in this minute as its policy allows."""

    code = "signing_rate_exceeded"


class KeyStoreUnavailable(Unavailable):
    """The hardware module or the key service does not answer."""

    code = "key_store_unavailable"


class TimestampUnavailable(Unavailable):
    """No time-stamp can be had now; the signature goes out without and gets it later."""

    code = "timestamp_unavailable"


class UnusableBackend(YinzhengError):
    """The setting names no key store that exists, or one that cannot be used as it is."""

    code = "unusable_key_backend"
    passing = True  # a setting of this process


class UnsafeSecretFile(YinzhengError):
    """A file with a secret is absent, readable by others, or too long."""

    code = "unsafe_secret_file"
    passing = True  # a file that is put right


class UnsafeMasterKey(YinzhengError):
    """The master key's file is absent, readable by others, or not of the right length."""

    code = "unsafe_master_key"
    passing = True  # a file that is put right


class KeyDamaged(YinzhengError):
    """A stored private key does not open, or is not the one its row describes."""

    code = "key_damaged"
    passing = True  # a key store that is put right
