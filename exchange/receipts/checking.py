"""Checking a receipt file, years later and without a network: seven steps, one error each.

Nothing in the file is believed. It leads from a trust anchor and a ledger key, which the reader got
by another way, to the very entry; each step that fails has its own code.

Standards: RFC 7515 (JWS), RFC 6962 §2.1 (tree), c2sp.org/tlog-proof, RFC 5280 §6 (path, reduced to
our hierarchy).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from exchange.errors import (
    ReceiptContradictsEntry,
    ReceiptEntryDiffers,
    ReceiptFileMalformed,
    ReceiptKeyUntrusted,
    ReceiptOpeningWrong,
    ReceiptProofInvalid,
    ReceiptSignatureInvalid,
)
from exchange.receipts.writing import FORMAT, REPEATED, SIGNER_NAME, TYP, seconds
from foundation.canonical import b64url, b64url_decode
from foundation.errors import Malformed, YinzhengError
from keys.encoding import jose
from ledger import SALT_BYTES, EvidenceInvalid, Opening, VerifiedProof, VerifierKey, verify_proof
from ledger.merkle import leaf_hash, merkle_root

MAX_FILE: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """One entry of a verified receipt. `opened` are the values shown, by commitment name;
    `proof` is None when the file was fetched before the log had taken the entry in."""

    facts: Mapping[str, Any]
    opened: Mapping[str, str]
    proof: VerifiedProof | None


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt whose signature, entry, openings and proof were all checked."""

    claims: Mapping[str, Any]
    entries: tuple[VerifiedEntry, ...]
    signer: str

    @property
    def in_log(self) -> bool:
        """Whether every entry is proved to be in the log."""
        return all(entry.proof is not None for entry in self.entries)


def verify_receipt(
    file: Mapping[str, Any] | bytes, trust_anchor: str | bytes, ledger_keys: Iterable[str]
) -> VerifiedReceipt:
    """Check a receipt file. Pure: no network, no database, no clock.

    `trust_anchor` is the root certificate (PEM) and `ledger_keys` the log's verifier keys, both
    obtained by another way than the file. Raises one `ReceiptInvalid` with its own code per step:

    1. the file has the right form                              receipt_file_malformed
    2. its certificates lead to the trust anchor                receipt_key_untrusted
    3. the receipt is signed by the key of the first one        receipt_signature_invalid
    4. the receipt names these entries by their hashes          receipt_entry_differs
    5. the receipt says what the entries say                    receipt_contradicts_entry
    6. every opening opens its commitment                       receipt_opening_wrong
    7. every proof leads to a checkpoint of a trusted log       receipt_proof_invalid
    """
    parsed = _File.parse(file)  # 1
    signer = _trusted_signer(parsed.certificates, trust_anchor)  # 2
    claims = _signed_claims(parsed.receipt, signer)  # 3
    _check_dates(signer, claims)
    hashes = [leaf_hash(entry.leaf) for entry in parsed.entries]
    log = _check_named(claims, hashes)  # 4
    facts = [_read_leaf(entry.leaf) for entry in parsed.entries]
    _check_repeated(claims, facts)  # 5
    keys = _parse_keys(ledger_keys)
    return VerifiedReceipt(
        claims,
        tuple(
            VerifiedEntry(each, _open(entry, each), _prove(entry, keys, log))  # 6, 7
            for entry, each in zip(parsed.entries, facts, strict=True)
        ),
        signer.subject.rfc4514_string(),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    leaf: bytes
    openings: Mapping[str, Opening]
    proof: str | None


@dataclass(frozen=True, slots=True)
class _File:
    """Step 1: every member is there, of its kind, and nothing else is."""

    receipt: str
    entries: tuple[_Part, ...]
    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def parse(cls, file: Mapping[str, Any] | bytes) -> "_File":
        content = _load(file) if isinstance(file, bytes) else file
        try:
            if content["format"] != FORMAT or set(content) != _MEMBERS:
                raise ReceiptFileMalformed(f"the format is not {FORMAT}")
            parts = tuple(_part(each) for each in content["entries"])
            pems = [text.encode() for text in content["certificates"]]
            certificates = tuple(map(x509.load_pem_x509_certificate, pems))
            receipt = content["receipt"]
            hints = content["ledger_keys"]
        except (KeyError, TypeError, ValueError, AttributeError, Malformed):
            raise ReceiptFileMalformed("the file is not a receipt file") from None
        if not isinstance(receipt, str) or not isinstance(hints, list) or not parts:
            raise ReceiptFileMalformed("the file holds no receipt or no entry")
        return cls(receipt, parts, certificates)


_MEMBERS = {"format", "receipt", "entries", "certificates", "ledger_keys"}


def _load(data: bytes) -> Mapping[str, Any]:
    if len(data) > MAX_FILE:
        raise ReceiptFileMalformed("the file is too large to be a receipt file")
    try:
        return jose.parse_object(data)
    except YinzhengError:
        raise ReceiptFileMalformed("the file is not JSON") from None


def _part(value: Mapping[str, Any]) -> _Part:
    if set(value) != {"entry", "openings", "proof"}:
        raise ReceiptFileMalformed("an entry has other members than it should")
    proof = value["proof"]
    if proof is not None and not isinstance(proof, str):
        raise ReceiptFileMalformed("a proof is text")
    openings = {
        name: Opening(_salt(opening["salt"]), _text(opening["value"]))
        for name, opening in value["openings"].items()
    }
    return _Part(value["entry"].encode(), openings, proof)


def _salt(encoded: str) -> bytes:
    salt = b64url_decode(encoded)
    if len(salt) != SALT_BYTES:  # a longer one has eaten the beginning of the value
        raise ReceiptFileMalformed(f"a salt has {SALT_BYTES} bytes")
    return salt


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ReceiptFileMalformed("an opened value is text")
    return value


def _trusted_signer(
    chain: Sequence[x509.Certificate], trust_anchor: str | bytes
) -> x509.Certificate:
    """Step 2. The first certificate is the receipt key's; each is issued by the next, and the last
    one is the anchor or is issued by it. Revocation is not asked: the file must do without network.
    """
    pem = trust_anchor.encode() if isinstance(trust_anchor, str) else trust_anchor
    try:
        anchor = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ReceiptKeyUntrusted("the trust anchor is not a PEM certificate") from None
    if not 1 <= len(chain) <= 4:
        raise ReceiptKeyUntrusted("the file has no certificate chain of a sensible length")
    path = [*chain, *([] if chain[-1] == anchor else [anchor])]
    try:
        for issued, issuer in pairwise(path):
            _must_be_authority(issuer)
            issued.verify_directly_issued_by(issuer)
        _must_be_receipt_signer(path[0])
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise ReceiptKeyUntrusted("the certificates do not lead to the trust anchor") from None
    if len(path) < 2:
        raise ReceiptKeyUntrusted("the trust anchor itself does not sign receipts")
    return path[0]


def _must_be_authority(certificate: x509.Certificate) -> None:
    if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("not an authority")


def _must_be_receipt_signer(certificate: x509.Certificate) -> None:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not usage.digital_signature or [name.value for name in names] != [SIGNER_NAME]:
        raise ValueError("not a certificate for receipts")


def _signed_claims(receipt: str, signer: x509.Certificate) -> Mapping[str, Any]:
    """Step 3."""
    try:
        key = jose.verification_key(jose.jwk_of(signer.public_key()))
        claims = jose.verify_compact(receipt, typ=TYP, key_for=lambda _header: key).claims
    except YinzhengError as problem:
        raise ReceiptSignatureInvalid(f"the receipt: {problem.detail}") from None
    about = claims.get("items", claims.get("entry"))
    if not isinstance(claims.get("iat"), int) or not isinstance(about, dict):
        raise ReceiptSignatureInvalid("the signed text is not a receipt")
    return claims


def _check_dates(signer: x509.Certificate, claims: Mapping[str, Any]) -> None:
    """Step 2 again, now that the time is known. A receipt fetched later is signed by a later key,
    so the certificate may begin after the answer was given; it must not have ended before it."""
    try:
        at = datetime.fromtimestamp(claims["iat"], UTC)
    except (ValueError, OverflowError, OSError):
        raise ReceiptSignatureInvalid("the receipt has no sensible time") from None
    if at > signer.not_valid_after_utc:
        raise ReceiptKeyUntrusted("the certificate had ended when the receipt was written")


def _check_named(claims: Mapping[str, Any], hashes: Sequence[bytes]) -> str:
    """Step 4. Answers the name of the log."""
    if "items" in claims:
        named, said = claims["items"], {"root": b64url(merkle_root(hashes)), "count": len(hashes)}
    else:
        named, said = claims["entry"], {"leaf_hash": b64url(hashes[0])}
    if any(named.get(name) != value for name, value in said.items()) or (
        "items" not in claims and len(hashes) != 1
    ):
        raise ReceiptEntryDiffers("the receipt is about another entry than the one in the file")
    return str(named.get("log", ""))


def _read_leaf(leaf: bytes) -> dict[str, Any]:
    try:
        return jose.parse_object(leaf)
    except YinzhengError:
        raise ReceiptEntryDiffers("the entry is not JSON") from None


def _check_repeated(claims: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> None:
    """Step 5. Redundant while our own software signs; it binds us to what the log says."""
    said: list[Any] = [claims.get("asker"), claims.get("purpose", ""), claims["iat"]] * len(facts)
    written: list[Any] = []
    for each in facts:
        written += [each.get("actor"), each.get("purpose", ""), seconds(str(each.get("at")))]
    if "items" in claims:
        said.append(claims["items"].get("verdicts"))
        written.append(dict(Counter(each.get("verdict") for each in facts)))
    else:
        said += [claims.get("jti"), claims["entry"].get("id"), *map(claims.get, REPEATED)]
        written += [facts[0].get("id"), facts[0].get("id"), *map(facts[0].get, REPEATED)]
    if said != written:
        raise ReceiptContradictsEntry("the receipt says something else than its entry")


def _open(entry: _Part, facts: Mapping[str, Any]) -> dict[str, str]:
    """Step 6."""
    commitments = facts.get("commitments", {})
    for name, opening in entry.openings.items():
        if not opening.opens(str(commitments.get(name, ""))):
            raise ReceiptOpeningWrong(f"the value shown for {name[:80]} is not the one recorded")
    return {name: opening.value for name, opening in entry.openings.items()}


def _parse_keys(ledger_keys: Iterable[str]) -> list[VerifierKey]:
    try:
        return [VerifierKey.parse(key) for key in ledger_keys]
    except EvidenceInvalid as problem:
        raise ReceiptProofInvalid(f"a ledger key: {problem.detail}") from None


def _prove(entry: _Part, keys: Sequence[VerifierKey], log: str) -> VerifiedProof | None:
    """Step 7."""
    if entry.proof is None:
        return None
    try:
        return verify_proof(entry.leaf, entry.proof, keys, log)
    except EvidenceInvalid as problem:
        raise ReceiptProofInvalid(f"the proof: {problem.detail}") from None
