"""What a client program holds to prove that a token is its own: a DPoP key, a TLS certificate.

Written from RFC 9449 and RFC 9440 with other people's tools, as a client's developer would.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foundation.clock import Clock


@dataclass
class Prover:
    """A DPoP key and the last nonce the server handed out."""

    clock: Clock
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    nonce: str | None = None
    algorithm: str = "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        public: dict[str, Any] = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {name: public[name] for name in ("kty", "crv", "x", "y")}

    @property
    def jkt(self) -> str:
        """RFC 7638, by hand: the members in order, without white space."""
        jwk = self.jwk
        text = f'{{"crv":"{jwk["crv"]}","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
        return _b64url(hashlib.sha256(text.encode()).digest())

    def proof(
        self,
        method: str,
        url: str,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A good proof; `changes` replace or (None) remove claims."""
        ath = access_token and _b64url(hashlib.sha256(access_token.encode()).digest())
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(self.clock().timestamp()),
            "nonce": self.nonce,
            "ath": ath,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        headers = {"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})}
        return jwt.encode(kept, self.key, self.algorithm, headers=headers)


@dataclass
class Certificate:
    """A key and a certificate for it, as a client keeps them."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def header(self) -> str:
        """The Client-Cert header of RFC 9440."""
        return f":{base64.b64encode(self.der).decode()}:"

    def save(self, file: Path) -> Path:
        """Key and certificate in one PEM file, as programs are given them."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(key + self.certificate.public_bytes(serialization.Encoding.PEM))
        return file

    @property
    def x5t(self) -> str:
        return _b64url(hashlib.sha256(self.der).digest())

    @property
    def jwk(self) -> dict[str, Any]:
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        public: dict[str, Any] = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": "tls", "x5c": [base64.b64encode(self.der).decode()]}


def authority(name: str = "Test client CA") -> Certificate:
    return _issue(name, None, ca=True)


def certificate(name: str, issuer: Certificate | None = None, **options: Any) -> Certificate:
    """A client's certificate by `issuer`, or signed by itself."""
    return _issue(name, issuer, **options)


def _issue(
    name: str,
    issuer: Certificate | None,
    *,
    ca: bool = False,
    dns: str = "",
    start: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    days: int = 20_000,
) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    by = issuer.certificate.subject if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(usage, True).add_extension(identifier, False)
    else:
        oid = x509.oid.ExtendedKeyUsageOID
        tls = x509.ExtendedKeyUsage([oid.CLIENT_AUTH, oid.SERVER_AUTH])
        builder = builder.add_extension(tls, False)
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), False)
    return Certificate(builder.sign(signer, hashes.SHA256()), key)


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
