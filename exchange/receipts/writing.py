"""Receipts: what the asker files, and anybody can check years later without a network.

A receipt is a signed reading of one ledger entry. The entry (a leaf of the log) already holds who
asked, why, the verdict, the six checks, the names of the fields that were shown, and salted
commitments to the certificate, the case, what was asked and the values that were shown; the receipt
repeats it under our signature and names the leaf by its hash. So there is one truth, stored once:
erasing a person destroys the salts, and every receipt still verifies.

A receipt file stands alone::

    {"format": "yinzheng-receipt-file/1",
     "receipt": "eyJ…",            compact JWS, typ "yinzheng-receipt+jwt"
     "entries": [{"entry": "{…}",  the canonical leaf, as text
                  "openings": {"private.shown": {"salt": "…", "value": "{…}"}, …},
                  "proof": "c2sp.org/tlog-proof@v1\\n…"}],
     "certificates": ["-----BEGIN CERTIFICATE-----…"],   of the signing key, up to the root
     "ledger_keys": ["registry.example/ledger+…"]}       a hint; only a trusted key counts

A batch has one receipt over all its entries: the Merkle root (RFC 6962) of their leaf hashes.
Whoever shows a receipt on may leave openings out; what is left out stays unknown, not unproved.

How such a file is checked says `exchange/receipts/checking.py`.

Standards: RFC 7515 (JWS), RFC 6962 §2.1 (tree), c2sp.org/tlog-proof.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.rules import SILENT
from foundation.canonical import b64url
from ledger import EntryRef, read_leaf
from ledger.merkle import merkle_root

KEY_USE: Final = "exchange.receipts"
TYP: Final = "yinzheng-receipt+jwt"
FORMAT: Final = "yinzheng-receipt-file/1"
SIGNER_NAME: Final = "Yinzheng verification receipts"  # the common name a receipt's key must have

# What a receipt repeats of its leaf, under the same name.
REPEATED = ("purpose", "legal_basis", "verdict", "disclosed", "commitments", "details")


def single_claims(ref: EntryRef, *, issuer: str, log: str) -> bytes:
    """The payload of a receipt about one entry, as canonical JSON bytes."""
    leaf = read_leaf(ref.leaf)
    claims = {
        "iss": issuer,
        "iat": seconds(leaf["at"]),
        "jti": ref.id,
        "asker": leaf["actor"],
        "entry": {"id": ref.id, "leaf_hash": b64url(ref.leaf_hash), "log": log},
    }
    claims.update((name, leaf[name]) for name in REPEATED if name in leaf)
    return orjson.dumps(claims, option=orjson.OPT_SORT_KEYS)


def batch_claims(receipt_id: str, refs: Sequence[EntryRef], *, issuer: str, log: str) -> bytes:
    """The payload of one receipt about many entries, as canonical JSON bytes."""
    first = read_leaf(refs[0].leaf)
    claims = {
        "iss": issuer,
        "iat": seconds(first["at"]),
        "jti": receipt_id,
        "asker": first["actor"],
        "purpose": first.get("purpose", ""),
        "items": {
            "count": len(refs),
            "root": b64url(merkle_root(ref.leaf_hash for ref in refs)),
            "verdicts": dict(Counter(read_leaf(ref.leaf)["verdict"] for ref in refs)),
            "log": log,
        },
    }
    return orjson.dumps(claims, option=orjson.OPT_SORT_KEYS)


def write_file(
    receipt: str,
    entries: Iterable[tuple[EntryRef, str | None]],
    *,
    certificates: Iterable[str],
    ledger_keys: Iterable[str],
) -> dict[str, Any]:
    """A receipt file. `entries` come with their proof, None while the log has not taken them in."""
    return {
        "format": FORMAT,
        "receipt": receipt,
        "entries": [
            {
                "entry": ref.leaf.decode(),
                "openings": {
                    name: {"salt": b64url(opening.salt), "value": opening.value}
                    for name, opening in ref.openings.items()
                },
                "proof": proof,
            }
            for ref, proof in entries
        ],
        "certificates": list(certificates),
        "ledger_keys": list(ledger_keys),
    }


def for_asker(ref: EntryRef) -> EntryRef:
    """The entry with the openings its asker already knows: never who the holder is, and not even
    which certificate it was when the answer said nothing."""
    facts = read_leaf(ref.leaf)
    known = {"case_ref", "actor", "actor_name"}
    if facts["verdict"] not in SILENT:
        known.add("certificate")
    openings = {
        name: opening
        for name, opening in ref.openings.items()
        if name in known or name.startswith("private.")
    }
    return EntryRef(ref.id, ref.leaf, ref.leaf_hash, openings)


def is_proved(file: Mapping[str, Any]) -> bool:
    """Whether every entry of a receipt file has its inclusion proof."""
    return all(entry["proof"] is not None for entry in file["entries"])


def to_pem(der: bytes) -> str:
    """A DER certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def seconds(at: str) -> int:
    """Whole seconds since 1970 of a leaf's time; 0 for what is not one."""
    try:
        return int(datetime.fromisoformat(at).timestamp())
    except ValueError:
        return 0
