"""Time-stamps by an authority run by others, asked over HTTP (RFC 3161 §3.4).

- A token is only believed when it answers this very question (digest, nonce), says a time that our
  clock can agree with, is signed by a certificate made for time-stamping and nothing else, and that
  certificate leads to a root the operator named. A token that our own validator could not read in
  later years (another algorithm) is no better than none.
- An authority that is slow, silent or wrong costs two attempts, each over by a deadline of its own
  however slowly it drips (attack 52), and is then left alone for a while; the caller gets
  `TimestampUnavailable`, seals at level B-B and completes the file later.
- It may lie behind the proxy that the environment names for it.
- Nothing but a digest leaves this service.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx
import structlog
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.clock import Clock
from foundation.outbound import (
    Deadline,
    Exchanges,
    Lookups,
    NoAnswer,
    Resolve,
    system_resolver,
)
from keys.encoding.algorithms import ALGORITHMS, Algorithm
from keys.errors import TimestampUnavailable

ATTEMPTS: Final = 2
ANSWER_WITHIN: Final = 3.0
LEFT_ALONE: Final = 30.0
TOLERANCE: Final = timedelta(minutes=5)
_LONGEST: Final = 65_536
_LONGEST_PATH: Final = 5
_CONNECTIONS: Final = 4  # kept open to the authority
# A token with an RSA signature and a chain of three certificates.
_LONGEST_TOKEN: Final = 10_240

log = structlog.get_logger("keys")


class TimeSource(Protocol):
    """Who stamps what we seal: our own authority, or another.

    `longest_token` is in bytes; `anchors` are the roots (DER) that its tokens lead to;
    `ours` says that status evidence for its certificates is at hand.
    """

    @property
    def ours(self) -> bool:
        """Whether status evidence for the certificates in its tokens is at hand."""

    @property
    def anchors(self) -> Sequence[bytes]:
        """The root certificates (DER) that its tokens lead to."""

    def longest_token(self) -> int:
        """The most bytes that one of its tokens can have."""

    def stamp(self, digest: bytes, now: datetime) -> bytes:
        """A TimeStampToken over a SHA-256 digest. Raises `TimestampUnavailable`."""


class _Response(core.Sequence):
    """TimeStampResp as §2.4.2 has it: a refusal holds no token."""

    _fields: list[Any] = [  # noqa: RUF012 — how asn1crypto declares a structure
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class Distrusted(Exception):
    """An answer that proves nothing; the reason is for the operator's log."""


class ExternalTimestamps:
    """A `TimeSource` at a URL; `anchors` are the DER roots it must lead to."""

    ours = False

    def __init__(
        self,
        url: str,
        anchors: Sequence[bytes],
        clock: Clock,
        *,
        answer_within: float = ANSWER_WITHIN,
        monotonic: Callable[[], float] = time.monotonic,
        resolve: Resolve = system_resolver,
    ) -> None:
        self.anchors = tuple(anchors)
        self._url = httpx.URL(url)
        self._clock = clock
        self._answer_within = answer_within
        self._monotonic = monotonic
        self._left_alone_until = 0.0
        self._exchanges = Exchanges(
            httpx.create_ssl_context(),
            lookups=Lookups(resolve),
            proxy=_proxy_for(self._url),
            kept=_CONNECTIONS,
        )

    def longest_token(self) -> int:
        """The most bytes that an answer's token may have."""
        return _LONGEST_TOKEN

    def stamp(self, digest: bytes, now: datetime) -> bytes:
        """A verified token over a SHA-256 digest. Raises `TimestampUnavailable` after the last
        attempt, and at once for a while after that."""
        if self._monotonic() < self._left_alone_until:
            raise _unavailable("did not answer lately")
        reason = ""
        for _ in range(ATTEMPTS):
            try:
                return self._attempt(digest)
            except (NoAnswer, Distrusted) as problem:
                reason = str(problem)
                log.warning("time_stamp_failed", reason=reason[:200])
        self._left_alone_until = self._monotonic() + LEFT_ALONE
        raise _unavailable(reason)

    def _attempt(self, digest: bytes) -> bytes:
        nonce = secrets.randbits(63) | 1 << 62
        return checked_token(
            self._ask(_query(digest, nonce)), digest, nonce, self._clock(), self.anchors
        )

    def _ask(self, query: bytes) -> bytes:
        """The body of the answer, read within the deadline and up to a limit."""
        headers = {"content-type": "application/timestamp-query", "user-agent": "yinzheng"}
        request = httpx.Request("POST", self._url, headers=headers, content=query)
        if self._url.userinfo:
            named = httpx.BasicAuth(self._url.username, self._url.password)
            request = next(named.auth_flow(request))
        answer = self._exchanges.send(request, Deadline(self._answer_within), longest=_LONGEST)
        if answer.status != 200:
            raise Distrusted(f"the authority answered: {answer.described}")
        return answer.body


def checked_token(
    answer: bytes, digest: bytes, nonce: int, now: datetime, anchors: Sequence[bytes]
) -> bytes:
    """The token in a TimeStampResp, when it proves what was asked. Raises `Distrusted`."""
    try:
        response = _Response.load(answer, strict=True)  # type: ignore[no-untyped-call]
        status = response["status"]["status"].native
        if status not in {"granted", "granted_with_mods"}:
            raise Distrusted(f"the authority refused: {status}")
        token = response["time_stamp_token"]
        signed = token["content"]
        info = signed["encap_content_info"]["content"].parsed
        moment = _answered(info, digest, nonce, now)
        _signed_for_time(signed, moment, anchors)
        encoded: bytes = token.dump()
    except (ValueError, TypeError, KeyError, IndexError) as problem:
        raise Distrusted(f"the answer cannot be read: {type(problem).__name__}") from None
    return encoded


def _query(digest: bytes, nonce: int) -> bytes:
    """TimeStampReq (§2.4.1) with a nonce, asking for the certificates."""
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
    asked = {"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True}
    encoded: bytes = tsp.TimeStampReq(asked).dump()  # type: ignore[no-untyped-call]
    return encoded


def _answered(info: Any, digest: bytes, nonce: int, now: datetime) -> datetime:
    """The time in a TSTInfo (§2.4.2) that answers this question."""
    imprint = info["message_imprint"]
    if imprint["hash_algorithm"]["algorithm"].native != "sha256":
        raise Distrusted("the token is over another kind of digest")
    if imprint["hashed_message"].native != digest or info["nonce"].native != nonce:
        raise Distrusted("the token answers another question")
    moment: datetime = info["gen_time"].native
    if abs(moment - now) > TOLERANCE:
        raise Distrusted("the authority's clock and ours disagree")
    return moment


def _signed_for_time(signed: Any, moment: datetime, anchors: Sequence[bytes]) -> None:
    """One signature, by a certificate for time-stamping that leads to an anchor."""
    (signer,) = signed["signer_infos"]
    embedded = [
        x509.load_der_x509_certificate(each.chosen.dump()) for each in signed["certificates"]
    ]
    certificate = _certificate_of(signer, embedded)
    row = _row(signer)
    attributes = {each["type"].native: each["values"][0] for each in signer["signed_attrs"]}
    content = bytes(signed["encap_content_info"]["content"])
    if attributes["message_digest"].native != hashlib.new(row.digest, content).digest():
        raise Distrusted("the signature is over another content")
    _must_name(attributes["signing_certificate_v2"], certificate)
    message = signer["signed_attrs"].untag().dump(force=True)
    key = certificate.public_key()
    if not row.accepts(key) or not row.verify(key, signer["signature"].native, message):
        raise Distrusted("the signature does not match")
    _must_be_for_time(certificate)
    _must_lead_to(certificate, embedded, anchors, moment)


def _certificate_of(signer: Any, embedded: Sequence[x509.Certificate]) -> x509.Certificate:
    sid = signer["sid"].chosen
    for each in embedded:
        if isinstance(sid, cms.IssuerAndSerialNumber):
            named = each.issuer.public_bytes() == sid["issuer"].dump()
            if named and each.serial_number == sid["serial_number"].native:
                return each
    raise Distrusted("the token does not hold its signer's certificate")


def _row(signer: Any) -> Algorithm:
    """The row of our table that this signature is of: what later readers will know."""
    identifier = signer["signature_algorithm"].dump()
    digest = signer["digest_algorithm"]["algorithm"].native
    for row in ALGORITHMS.values():
        if row.digest == digest and identifier in {row.cms_identifier, row.x509_identifier}:
            return row
    raise Distrusted("the token is signed with an algorithm that is not accepted")


def _must_name(attribute: Any, certificate: x509.Certificate) -> None:
    """ESSCertIDv2 (RFC 5816): the certificate cannot be exchanged for another of the same key."""
    named = attribute["certs"][0]
    if named["hash_algorithm"]["algorithm"].native != "sha256":
        raise Distrusted("the token names its certificate by a weak digest")
    if named["cert_hash"].native != certificate.fingerprint(SHA256()):
        raise Distrusted("the token names another certificate")


def _must_be_for_time(certificate: x509.Certificate) -> None:
    """§2.3: exactly this extended key usage, and critical."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise Distrusted("the certificate is not for time-stamping") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise Distrusted("the certificate is not for time-stamping only")


def _must_lead_to(
    certificate: x509.Certificate,
    embedded: Sequence[x509.Certificate],
    anchors: Sequence[bytes],
    moment: datetime,
) -> None:
    trusted = [x509.load_der_x509_certificate(each) for each in anchors]
    for _ in range(_LONGEST_PATH):
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise Distrusted("a certificate of the authority was not valid")
        if any(_issued(each, certificate) for each in trusted):
            return
        issuers = [each for each in embedded if _issued(each, certificate)]
        if not issuers or issuers[0] == certificate:
            break
        certificate = issuers[0]
    raise Distrusted("the authority does not lead to a root that was agreed on")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return basic.value.ca


def _proxy_for(url: httpx.URL) -> httpcore.Proxy | None:
    """The proxy that the machine is set up with for this address, as other programs find it."""
    known = getproxies()
    address = known.get(url.scheme) or known.get("all")
    if not address or proxy_bypass(url.host):
        return None
    proxy = httpx.URL(address)
    named = (proxy.username, proxy.password) if proxy.userinfo else None
    return httpcore.Proxy(str(proxy.copy_with(username=None, password=None)), auth=named)


def _unavailable(reason: str) -> TimestampUnavailable:
    return TimestampUnavailable(
        f"the time-stamp authority is of no use now: {reason[:100]}",
        retry_after=int(LEFT_ALONE),
        next_step="nothing to do: the time-stamp is added later",
    )
