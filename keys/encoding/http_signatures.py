"""HTTP message signatures (RFC 9421) and content digests (RFC 9530), strictly.

    base = what is signed:   "@method": POST
                             "@target-uri": https://id.example.gov.cn/api/v1/verifications
                             "content-digest": sha-256=:…:
                             "@signature-params": ("@method" "@target-uri" …);created=…;keyid="…"

Everything here is pure: time, keys and what was said before are the caller's. One function makes a
signature and one checks it, for requests to us and for messages we send.

- The covered components are whole fields and derived components without parameters (`;sf`, `;bs`,
  `;key`, `;req`, `;tr`, `@query-param` are refused): each has one reading.
- `Signature-Input` and `Signature` are read in the canonical form of RFC 9651 §4.1 only; a label or
  parameter sent twice, an unknown parameter or a value of another type is refused, so that what is
  checked is what was sent.
- The key decides the algorithm, never the message (RFC 9421 §3.2 step 6, §7.3.6).
- `Content-Digest` is compared as a whole: exactly one sha-256, exactly ours.

    verified = verify(message, expected, key_for, now)
    if not first_time(verified.keyid, verified.nonce, verified.until): …   # the caller's memory
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from foundation.errors import Malformed
from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.jose import VerificationKey
from keys.errors import (
    ContentDigestMismatch,
    ContentDigestMissing,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureKeyUnknown,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
)

INPUT: Final = "signature-input"
SIGNATURE: Final = "signature"
DIGEST: Final = "content-digest"
LABEL: Final = "sig"
NO_CONTENT: Final = hashlib.sha256(b"").digest()
# RFC 9421 §6.2.2. A JOSE algorithm without a name of its own here has no `alg` either (§3.3.7).
NAMES: Final[Mapping[str, str]] = {"ES256": "ecdsa-p256-sha256", "EdDSA": "ed25519"}

_LONGEST: Final = 4_096
_PORTS: Final = {"http": 80, "https": 443}
_KEY = r"[a-z*][a-z0-9_.*-]*"
_INTEGER = r"0|[1-9][0-9]{0,14}"
_STRING = r'"[ !#-\[\]-~]*"'  # no escapes: nothing we accept needs one
_COMPONENT = r"\"@?[a-z0-9!#$%&'*+.^_`|~-]+\""
_PARAMETERS = rf"(?:;{_KEY}=(?:{_INTEGER}|{_STRING}))*"
_INPUT = re.compile(
    rf"({_KEY})=((\((?:{_COMPONENT}(?: {_COMPONENT})*)?\))({_PARAMETERS}))", re.ASCII
)
_SIGNATURE = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]+={{0,2}}):", re.ASCII)
_PARAMETER = re.compile(rf";({_KEY})=({_INTEGER}|{_STRING})", re.ASCII)
_TYPES: Final[Mapping[str, type]] = {
    "created": int,
    "expires": int,
    "nonce": str,
    "alg": str,
    "keyid": str,
    "tag": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request (`method`, `target_uri`) or a response (`status`), as far as it can be signed.

    `headers` have lower-case names; several lines of one name are joined by ", " (§2.1).
    `content_sha256` is the digest of the content as it was sent.
    """

    headers: Mapping[str, str]
    method: str = ""
    target_uri: str = ""
    status: int = 0
    content_sha256: bytes = NO_CONTENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a verifier insists on. `components` are always covered, the fields of `when_present`
    whenever they are there, and content-digest whenever there is content.
    """

    tag: str
    components: tuple[str, ...]
    when_present: tuple[str, ...] = ()
    lifetime: timedelta = timedelta(seconds=60)
    leeway: timedelta = timedelta(seconds=10)

    def of(self, message: Message) -> tuple[str, ...]:
        """The components that a signature of this very message must cover."""
        present = tuple(name for name in self.when_present if name in message.headers)
        digest = (DIGEST,) if message.content_sha256 != NO_CONTENT else ()
        return (*self.components, *present, *digest)


@dataclass(frozen=True, slots=True)
class Claimed:
    """One signature as a message carries it, before anybody believes it.

    `inner` is the text that the last line of the base repeats.
    """

    components: tuple[str, ...]
    parameters: Mapping[str, int | str]
    inner: str
    signature: bytes

    def text(self, name: str) -> str:
        """A parameter that is a string; "" when it is absent."""
        return str(self.parameters.get(name, ""))


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds. `until` is when its nonce may be forgotten: later than the signature
    could be accepted anywhere (attack 22).
    """

    keyid: str
    thumbprint: str
    nonce: str
    created: datetime
    until: datetime


KeyFor = Callable[[str], VerificationKey | None]


def verify(message: Message, expected: Expected, key_for: KeyFor, now: datetime) -> Verified:
    """Is this message as its signer sent it, for us and just now? (RFC 9421 §3.2)

    1. Exactly one signature has our tag.
    2. It covers everything it must; the content digest too, when there is content.
    3. Created is there, recent and not ahead; expires, when there, is ahead.
    4. A nonce is there, so that it can be told from its copy.
    5. keyid names one key the caller trusts, and alg, when there, is that key's.
    6. The signature is by that key over this message.
    7. Content-Digest is the digest of the content (RFC 9530 §2).
    Raises a `MessageSignatureRefused`. Whether the nonce was used before is the caller's question.
    """
    # 1.
    claimed = claimed_signature(message.headers, expected.tag)
    # 2.
    _check_coverage(claimed, expected, message)
    # 3.
    created = _created(claimed, expected, now)
    # 4.
    nonce = claimed.text("nonce")
    if not 1 <= len(nonce) <= 256:
        raise SignatureIncomplete("the signature has no nonce of 1 to 256 characters")
    # 5.
    key, algorithm = _key(claimed, key_for)
    # 6.
    _check_signature(key, algorithm, claimed, message)
    # 7.
    if DIGEST in claimed.components:
        _check_digest(message)
    until = created + expected.lifetime + 2 * expected.leeway
    return Verified(claimed.text("keyid"), key.thumbprint, nonce, created, until)


def sign(
    message: Message,
    components: tuple[str, ...],
    *,
    tag: str,
    keyid: str,
    nonce: str,
    now: datetime,
    signer: Callable[[bytes], bytes],
) -> dict[str, str]:
    """The two headers that sign a message; `signer` signs bytes in JOSE form."""
    covered = " ".join(f'"{name}"' for name in components)
    inner = (
        f'({covered});created={int(now.timestamp())};keyid="{keyid}";nonce="{nonce}";tag="{tag}"'
    )
    signature = b64encode(signer(signature_base(message, components, inner))).decode()
    return {INPUT: f"{LABEL}={inner}", SIGNATURE: f"{LABEL}=:{signature}:"}


def signature_base(message: Message, components: tuple[str, ...], inner: str) -> bytes:
    """What is signed (§2.5). Raises `SignatureMalformed` for what this message has not."""
    lines = [f'"{name}": {_value(message, name)}' for name in components]
    lines.append(f'"@signature-params": {inner}')
    try:
        return "\n".join(lines).encode("ascii")
    except UnicodeEncodeError:
        raise SignatureMalformed("a covered field is not ASCII") from None


def content_digest(content_sha256: bytes) -> str:
    """The value of a Content-Digest header (RFC 9530 §2)."""
    return f"sha-256=:{b64encode(content_sha256).decode()}:"


def claimed_signature(headers: Mapping[str, str], tag: str) -> Claimed:
    """The one signature with this tag. Raises `SignatureMissing` or `SignatureMalformed`."""
    inputs = _dictionary(headers, INPUT, _INPUT)
    signatures = _dictionary(headers, SIGNATURE, _SIGNATURE)
    if inputs.keys() != signatures.keys():
        raise SignatureMalformed("Signature and Signature-Input do not name the same labels")
    claimed = [_claimed(found, signatures[label]) for label, found in inputs.items()]
    ours = [each for each in claimed if each.text("tag") == tag]
    if len(ours) != 1:
        raise SignatureMissing(f'{len(ours)} signatures have the tag "{tag}", not one')
    return ours[0]


def accept_signature(components: tuple[str, ...], tag: str) -> str:
    """The value of an Accept-Signature header: what to cover, and the tag (§5.1)."""
    covered = " ".join(f'"{name}"' for name in components)
    return f'{LABEL}=({covered});created;tag="{tag}"'


def _dictionary(
    headers: Mapping[str, str], name: str, form: re.Pattern[str]
) -> dict[str, re.Match[str]]:
    """A dictionary header (RFC 9651 §3.2) whose members have one form; no label twice."""
    text = headers.get(name, "").strip()
    if not text:
        raise SignatureMissing(f"there is no {name} header")
    members: dict[str, re.Match[str]] = {}
    at = 0
    while len(text) <= _LONGEST and (member := form.match(text, at)):
        if member[1] in members:
            raise SignatureMalformed(f"{name} has a label twice")
        members[member[1]] = member
        at = member.end()
        if at == len(text):
            return members
        if not text.startswith(", ", at):
            break
        at += 2
    raise SignatureMalformed(f"{name} is not in the form accepted here (docs/api.md)")


def _claimed(found: re.Match[str], signature: re.Match[str]) -> Claimed:
    components = tuple(name.strip('"') for name in found[3][1:-1].split(" ") if name)
    if len(set(components)) != len(components) or "@signature-params" in components:
        raise SignatureMalformed("a component is covered twice, or cannot be")
    parameters: dict[str, int | str] = {}
    for name, text in _PARAMETER.findall(found[4]):
        value: int | str = text[1:-1] if text.startswith('"') else int(text)
        if name in parameters or not isinstance(value, _TYPES.get(name, type(None))):
            raise SignatureMalformed(f"the parameter {name[:20]} is unknown, repeated or mistyped")
        parameters[name] = value
    return Claimed(components, parameters, found[2], _decoded(signature[2]))


def _decoded(text: str) -> bytes:
    """Base64 with one spelling for each value."""
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        value = b""
    if b64encode(value).decode() != text:
        raise SignatureMalformed("the signature is not canonical base64")
    return value


def _check_coverage(claimed: Claimed, expected: Expected, message: Message) -> None:
    needed = expected.of(message)
    if DIGEST in needed and DIGEST not in message.headers:
        raise ContentDigestMissing("there is content, and no Content-Digest for it")
    missing = [name for name in needed if name not in claimed.components]
    if missing:
        raise SignatureIncomplete(f"the signature does not cover {', '.join(missing)}")


def _created(claimed: Claimed, expected: Expected, now: datetime) -> datetime:
    parameters = claimed.parameters
    if "created" not in parameters:
        raise SignatureIncomplete("the signature has no created")
    seconds, leeway = int(parameters["created"]), expected.leeway
    earliest, latest = now - expected.lifetime - leeway, now + leeway
    if not earliest.timestamp() <= seconds <= latest.timestamp():
        raise SignatureStale("created is too long ago, or ahead of our clock")
    if int(parameters.get("expires", 1 << 40)) <= now.timestamp():
        raise SignatureStale("the signature has expired")
    return datetime.fromtimestamp(seconds, UTC)


def _key(claimed: Claimed, key_for: KeyFor) -> tuple[VerificationKey, str]:
    keyid = claimed.text("keyid")
    key = key_for(keyid) if keyid else None
    if key is None or len(key.algorithms) != 1:
        raise SignatureKeyUnknown("keyid does not name exactly one registered key")
    algorithm = key.algorithms[0]
    if "alg" in claimed.parameters and claimed.text("alg") != NAMES.get(algorithm):
        raise SignatureInvalid("alg is not the algorithm of this key")
    return key, algorithm


def _check_signature(
    key: VerificationKey, algorithm: str, claimed: Claimed, message: Message
) -> None:
    row = ALGORITHMS[algorithm]
    base = signature_base(message, claimed.components, claimed.inner)
    try:
        holds = row.verify(key.public_key, row.from_jose(claimed.signature), base)
    except Malformed:
        holds = False
    if not holds:
        raise SignatureInvalid("the signature is not by this key over this message")


def _check_digest(message: Message) -> None:
    if message.headers[DIGEST].strip() != content_digest(message.content_sha256):
        raise ContentDigestMismatch("Content-Digest is not the sha-256 of the content")


def _value(message: Message, name: str) -> str:
    """The value of a component (§2.1, §2.2)."""
    if name.startswith("@"):
        derived = _derived(message, name)
        if derived is None:
            raise SignatureMalformed(f"{name} is not a component that can be covered here")
        return derived
    if name not in message.headers:
        raise SignatureMalformed(f"the signature covers {name}, which was not sent")
    value = message.headers[name].strip()
    if "\n" in value or "\r" in value:
        raise SignatureMalformed(f"{name} has more than one line")
    return value


def _derived(message: Message, name: str) -> str | None:
    """§2.2: a response has a status, a request has the rest."""
    if message.status:
        return str(message.status) if name == "@status" else None
    parts = urlsplit(message.target_uri)
    match name:
        case "@method":
            return message.method
        case "@target-uri":
            return message.target_uri
        case "@authority":
            default = parts.port in (None, _PORTS.get(parts.scheme))
            return f"{parts.hostname}" if default else f"{parts.hostname}:{parts.port}"
        case "@path":
            return parts.path or "/"
        case "@query":
            return f"?{parts.query}"
    return None
