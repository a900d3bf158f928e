"""Certificate profiles: what a kind of certificate may be used for, one row each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keys.encoding.x509 import CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN, NON_REPUDIATION

# Our own arc: a random UUID under 2.25 (X.667), which needs no registration.
OWN_ARC: Final = "2.25.78684738376090541441742926238556002538"
DOCUMENT_SIGNING: Final = "1.3.6.1.5.5.7.3.36"  # RFC 9336
TIME_STAMPING: Final = "1.3.6.1.5.5.7.3.8"
OCSP_SIGNING: Final = "1.3.6.1.5.5.7.3.9"
# id-kp-oauthStatusSigning of the Token Status List still reads "id-kp TBD" in the last draft we
# could read (and 1.3.6.1.5.5.7.3.30 is taken by BGPsec routers, RFC 8209): our own arc until then.
OAUTH_STATUS_SIGNING: Final = f"{OWN_ARC}.1"

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of certificate.

    `lifetime` is the longest; `renewed` says whether the nightly job renews one by itself (a seal's
    certificate is its keeper's decision); `no_check` marks an OCSP signer.
    """

    lifetime: timedelta
    key_usage: tuple[int, ...]
    extended_key_usage: tuple[str, ...] = ()
    critical_usage: bool = False
    authority: bool = False
    path_length: int | None = None
    no_check: bool = False
    renewed: bool = False


PROFILES: Final[Mapping[str, Profile]] = {
    "root": Profile(25 * _YEAR, (KEY_CERT_SIGN, CRL_SIGN), authority=True),
    "issuing": Profile(15 * _YEAR, (KEY_CERT_SIGN, CRL_SIGN), authority=True, path_length=0),
    "seal": Profile(5 * _YEAR, (DIGITAL_SIGNATURE, NON_REPUDIATION), (DOCUMENT_SIGNING,)),
    "timestamp": Profile(
        12 * _YEAR,
        (DIGITAL_SIGNATURE, NON_REPUDIATION),
        (TIME_STAMPING,),
        critical_usage=True,
        renewed=True,
    ),
    "status": Profile(5 * _YEAR, (DIGITAL_SIGNATURE,), (OAUTH_STATUS_SIGNING,), renewed=True),
    "qr": Profile(5 * _YEAR, (DIGITAL_SIGNATURE,), (DOCUMENT_SIGNING,), renewed=True),
    "receipt": Profile(
        5 * _YEAR, (DIGITAL_SIGNATURE, NON_REPUDIATION), (DOCUMENT_SIGNING,), renewed=True
    ),
    "ocsp": Profile(_YEAR, (DIGITAL_SIGNATURE,), (OCSP_SIGNING,), no_check=True),
}
