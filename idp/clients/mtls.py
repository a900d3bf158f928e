"""Client certificates (RFC 8705), as the proxy that ended the TLS connection hands them on.

The header `Client-Cert` (RFC 9440 §2.2, or the percent-encoded PEM that nginx writes) is believed
only from a hop that the operator named; from anybody else it is as if it were not there (attack
24). The proxy must set the header itself on every request and drop what came from outside, and it
must pass on certificates it cannot judge: whether one means anything is decided here.

- `tls_client_auth` (§2.1): a chain to an authority of ours, and the one subject name that was
  registered.
- `self_signed_tls_client_auth` (§2.2): exactly a certificate the client registered (`x5c`).
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from foundation.batching import HotRequest
from foundation.canonical import b64url
from foundation.errors import Malformed
from idp.models import AuthMethod, Client
from idp.protocol.profiles import CERTIFICATE_METHODS

HEADER: Final = "client-cert"
CHAIN_HEADER: Final = "client-cert-chain"
LONGEST_HEADER: Final = 16_384
CLIENT_AUTH: Final = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate whose private key opened the connection. `thumbprint` is x5t#S256."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    thumbprint: str


class ClientCertificates:
    """Which certificate came with a request, and whether it proves a client.

    `trusted_proxies` are addresses or networks; `authorities` may vouch for client certificates.
    Without the first no certificate is ever seen, without the second none proves a subject name.
    `address` is the second address of this server on which the proxy asks for certificates, ""
    where it asks on the first (RFC 8705 §5).
    """

    def __init__(
        self,
        trusted_proxies: Collection[str] = (),
        authorities: Sequence[x509.Certificate] = (),
        address: str = "",
    ) -> None:
        self._proxies = tuple(map(ip_network, trusted_proxies))
        self._store = Store(list(authorities)) if authorities else None
        self.address = address

    @property
    def methods(self) -> tuple[AuthMethod, ...]:
        """The ways of client authentication that can succeed as this server is set up."""
        if not self._proxies:
            return ()
        if self._store is None:
            return ("self_signed_tls_client_auth",)
        return CERTIFICATE_METHODS

    def of(self, request: HotRequest) -> ClientCertificate | None:
        """The certificate of `request`, if a trusted hop vouches for one. Raises `Malformed`."""
        header = request.headers.get(HEADER)
        if header is None or not _is_within(request.client_ip, self._proxies):
            return None
        return _parse(header, request.headers.get(CHAIN_HEADER, ""))

    def proves(self, shown: ClientCertificate, client: Client, now: datetime) -> bool:
        """Whether the certificate is the one `client` is registered with, for its method."""
        if client.token_endpoint_auth_method == "self_signed_tls_client_auth":  # noqa: S105
            return _is_registered(shown.certificate, client.jwks or {}, now)
        return _has_subject(shown.certificate, client) and self._chains(shown, now)

    def _chains(self, shown: ClientCertificate, now: datetime) -> bool:
        if self._store is None:
            return False
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(now)
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca(),
                # The subject is compared by `_has_subject`; §2.1 allows a DN without any SAN.
                ee_policy=ExtensionPolicy.webpki_defaults_ee().may_be_present(
                    x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
                ),
            )
            .build_client_verifier()
        )
        try:
            verifier.verify(shown.certificate, list(shown.chain))
        except VerificationError:
            return False
        return True


def _is_within(client_ip: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    if not networks:
        return False
    try:
        address = ip_address(client_ip)
    except ValueError:  # no address, or the name of a Unix socket
        return False
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _parse(header: str, chain: str) -> ClientCertificate:
    if len(header) + len(chain) > LONGEST_HEADER:
        raise Malformed("the client certificate is too long")
    certificate = _certificate(header)
    issuers = tuple(_certificate(each.strip()) for each in chain.split(",") if each.strip())
    return ClientCertificate(certificate, issuers, b64url(certificate.fingerprint(hashes.SHA256())))


def _certificate(text: str) -> x509.Certificate:
    """RFC 9440: DER as a byte sequence between colons. nginx: PEM, percent-encoded; one either way,
    or a sender's could stand before the proxy's."""
    if "," in text:
        raise Malformed("the Client-Cert header holds more than one certificate")
    try:
        if text.startswith(":") and text.endswith(":"):
            return x509.load_der_x509_certificate(base64.b64decode(text[1:-1], validate=True))
        return x509.load_pem_x509_certificate(unquote_to_bytes(text))
    except (ValueError, binascii.Error):
        raise Malformed("the Client-Cert header does not hold a certificate") from None


def _is_registered(shown: x509.Certificate, jwks: Mapping[str, Any], now: datetime) -> bool:
    """Compared whole: a registered key alone would let somebody else choose the other fields."""
    if not shown.not_valid_before_utc <= now <= shown.not_valid_after_utc:
        return False
    der = base64.b64encode(shown.public_bytes(serialization.Encoding.DER)).decode()
    return der in registered_certificates(jwks)


def registered_certificates(jwks: Mapping[str, Any]) -> list[str]:
    """The certificates of a client's key set: the first `x5c` of each key (RFC 8705 §2.2.2)."""
    keys = jwks.get("keys")
    chains = (
        [jwk.get("x5c") for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list) else []
    )
    return [chain[0] for chain in chains if isinstance(chain, list) and chain]


def _has_subject(shown: x509.Certificate, client: Client) -> bool:
    """The one name of §2.1.2 that the client registered, compared exactly."""
    if client.tls_client_auth_subject_dn:
        return _same_name(shown.subject, client.tls_client_auth_subject_dn)
    names = _alternative_names(shown)
    if client.tls_client_auth_san_dns:
        return client.tls_client_auth_san_dns in names.get_values_for_type(x509.DNSName)
    if client.tls_client_auth_san_uri:
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        return client.tls_client_auth_san_uri in uris
    return False


def _same_name(subject: x509.Name, registered: str) -> bool:
    try:
        return subject == x509.Name.from_rfc4514_string(registered)
    except ValueError:
        return False


def _alternative_names(shown: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
