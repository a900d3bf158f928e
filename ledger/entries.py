"""One entry: what is written down for ever, and what can still be forgotten.

The leaf is RFC 8785 canonical JSON of public facts and of commitments:

    {"actor":{"id":"…","kind":"client","organisation":"…"},"at":"2026-11-24T08:00:00.000000Z",
     "commitments":{"case_ref":"…","certificate":"…","subject":"…"},"disclosed":["valid_until"],
     "id":"…","kind":"verification","legal_basis":"…","purpose":"…","v":1,"verdict":"valid"}

- Whatever could point at a person (who holds, which certificate, which case, which official, every
  `private` value) and whatever nobody has read before it is kept for ever (the name that a program
  gave itself) appears only as a commitment: base64url(SHA-256(salt ‖ UTF-8 value)) with a fresh
  32-byte salt. Without its salt a commitment says nothing, so destroying the salt erases the value
  while the leaf, its hash and every proof stay as they are.
- A salt has exactly 32 bytes: nothing else marks where it ends and the value begins, and with a
  salt of another length one commitment would open to many values ("not guilty" and "guilty").
- An opening (salt, value) shows to whoever holds it that the leaf speaks about this very value.
- A leaf that holds a resident identity number, or repeats in clear what it commits to, is refused.
- The id is a UUIDv7 (RFC 9562 §5.7) of the entry's time: ids order entries by time.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from foundation.actor import Actor, ActorKind
from foundation.canonical import b64url, b64url_decode
from foundation.chance import Chance
from foundation.encryption import FieldCipher
from foundation.ids import uuid7
from ledger.errors import EntryRefused
from ledger.merkle import leaf_hash
from ledger.tiles import MAX_ENTRY_BYTES

VERSION = 1
SALT_BYTES = 32
ERASED_KIND = "ledger.subject_erased"

# Names sort the same in UTF-8 and UTF-16, which makes sorted orjson output canonical (RFC 8785).
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
_IDENTITY_NUMBER = re.compile(
    rb"(?<![0-9])[0-9]{6}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}"
    rb"[0-9Xx](?![0-9])"
)
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_SEVENTEEN_DIGITS = b"0" * 17
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(slots=True, kw_only=True)
class Entry:
    """Something that happened. Public: `kind`, `purpose`, `legal_basis`, `verdict`, `disclosed`
    (field names), `details`, and the actor's organisation. Committed: `subject`, `certificate`,
    `case_ref`, `private`, a person's name and id, and the name that a program gave itself. Nobody
    changes an entry; a class that forbids it would cost each of them a microsecond.
    """

    kind: str
    actor: Actor
    at: datetime
    subject: str = ""
    certificate: str = ""
    purpose: str = ""
    legal_basis: str = ""
    case_ref: str = field(default="", repr=False)
    verdict: str = ""
    disclosed: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Opening:
    """The 32-byte salt and the value behind one commitment. Like an entry, nobody changes it."""

    salt: bytes
    value: str

    def commitment(self) -> str:
        """SHA-256 over salt and value, in base64url: what the public entry holds."""
        return b64url(sha256(self.salt + self.value.encode()).digest())

    def opens(self, commitment: str) -> bool:
        """Whether the commitment is to this very value; never with a salt of another length."""
        if len(self.salt) != SALT_BYTES:
            return False
        return hmac.compare_digest(self.commitment(), commitment)


@dataclass(slots=True)
class EntryRef:
    """A written entry. `openings` belong to the people concerned: hand out only those the asker
    already knows (their case number, the certificate they asked about).
    """

    id: str
    leaf: bytes
    leaf_hash: bytes
    openings: Mapping[str, Opening] = field(repr=False)


def write_leaf(entry: Entry, chance: Chance = secrets.token_bytes) -> EntryRef:
    """The canonical leaf of `entry` with a fresh id and fresh salts. Raises `EntryRefused`."""
    values = _committed_values(entry)
    openings: dict[str, Opening] = {}
    commitments: dict[str, str] = {}
    for name, value in values.items():
        openings[name] = opening = Opening(chance(SALT_BYTES), value)
        commitments[name] = opening.commitment()
    entry_id = uuid7(entry.at, chance)
    facts = _public_facts(entry)
    facts["id"], facts["commitments"] = entry_id, commitments
    leaf = _encode(facts)
    _refuse_personal_data(entry, leaf)
    return EntryRef(entry_id, leaf, leaf_hash(leaf), openings)


def read_leaf(leaf: bytes) -> dict[str, Any]:
    """The facts inside a leaf."""
    facts: dict[str, Any] = orjson.loads(leaf)
    return facts


def seal_openings(
    cipher: FieldCipher,
    entry_id: str,
    openings: Mapping[str, Opening],
    chance: Chance = secrets.token_bytes,
) -> bytes:
    """Openings as they are stored: encrypted, and bound to their entry."""
    plain = {name: (b64url(each.salt), each.value) for name, each in openings.items()}
    return cipher.encrypt(orjson.dumps(plain), _sealed_for(entry_id), chance)


def unseal_openings(cipher: FieldCipher, entry_id: str, sealed: bytes) -> dict[str, Opening]:
    """The inverse. Raises `Undecryptable`."""
    plain = orjson.loads(cipher.decrypt(sealed, _sealed_for(entry_id)))
    return {name: Opening(b64url_decode(salt), value) for name, (salt, value) in plain.items()}


def certificate_index(cipher: FieldCipher, certificate: str) -> str:
    """How an entry's certificate is found again without being written down ("" for none)."""
    return cipher.blind_index(certificate, "ledger_accesses.certificate") if certificate else ""


def _sealed_for(entry_id: str) -> str:
    return f"ledger_openings.sealed/{entry_id}"


def _committed_values(entry: Entry) -> dict[str, str]:
    values = {}
    if entry.subject:
        values["subject"] = entry.subject
    if entry.certificate:
        values["certificate"] = entry.certificate
    if entry.case_ref:
        values["case_ref"] = entry.case_ref
    if entry.actor.kind is ActorKind.PERSON:
        values["actor"] = entry.actor.id
    if _is_name_committed(entry.actor):
        values["actor_name"] = entry.actor.name
    for name, value in entry.private.items():
        values[f"private.{name}"] = value
    return values


def _public_facts(entry: Entry) -> dict[str, Any]:
    """What anybody may read; an empty fact is left out."""
    facts: dict[str, Any] = {
        "v": VERSION,
        "at": _instant(entry.at),
        "kind": entry.kind,
        "actor": _who(entry.actor),
    }
    if entry.purpose:
        facts["purpose"] = entry.purpose
    if entry.legal_basis:
        facts["legal_basis"] = entry.legal_basis
    if entry.verdict:
        facts["verdict"] = entry.verdict
    if entry.disclosed:
        facts["disclosed"] = entry.disclosed
    if entry.details:
        facts["details"] = entry.details
    return facts


def _who(actor: Actor) -> dict[str, str]:
    who = {"kind": actor.kind.value}
    if actor.kind is not ActorKind.PERSON:
        who["id"] = actor.id
    if not _is_name_committed(actor):
        who["name"] = actor.name
    who["organisation"] = actor.organisation
    who["organisation_name"] = actor.organisation_name
    who["signed_by"] = actor.signed_by
    return {name: fact for name, fact in who.items() if fact}


def _is_name_committed(actor: Actor) -> bool:
    return actor.kind is ActorKind.PERSON or actor.named_itself


def _encode(facts: Mapping[str, Any]) -> bytes:
    try:
        leaf = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    except (TypeError, ValueError):
        raise EntryRefused("an entry holds text, and text that is valid Unicode") from None
    if len(leaf) > MAX_ENTRY_BYTES:
        raise EntryRefused(f"the entry has more than {MAX_ENTRY_BYTES} bytes")
    return leaf


def _refuse_personal_data(entry: Entry, leaf: bytes) -> None:
    names = (entry.kind, *entry.details, *entry.private)
    if not all(map(_is_name, names)):
        raise EntryRefused("kinds and names are lower-case codes of at most 64 characters")
    for value in entry.details.values():
        if not isinstance(value, str):
            raise EntryRefused("details are text")
    for value in (entry.subject, entry.certificate):
        if value and value.encode() in leaf:
            raise EntryRefused(
                "the entry repeats its subject or certificate where everybody can read"
            )
    if _holds_identity_number(leaf):
        raise EntryRefused(
            "the entry holds a resident identity number where everybody can read it",
            next_step="put the number into the case reference; it is stored sealed",
        )


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_identity_number(digits: bytes) -> bool:
    """Whether 18 characters carry the check character of GB 11643 (ISO 7064 MOD 11-2)."""
    total = sum((digit - 48) * weight for digit, weight in zip(digits, _WEIGHTS, strict=False))
    return b"10X98765432"[total % 11] == ord(digits[-1:].upper())


def _holds_identity_number(leaf: bytes) -> bool:
    zeros = leaf.translate(_DIGITS_AS_ZEROS)
    at = zeros.find(_SEVENTEEN_DIGITS)
    while at >= 0:  # seldom, and ten times cheaper than the expression over the whole leaf
        end = at + len(_SEVENTEEN_DIGITS)
        while zeros.startswith(b"0", end):
            end += 1
        if _IDENTITY_NUMBER.match(leaf, at) and is_identity_number(leaf[at : at + 18]):
            return True
        at = zeros.find(_SEVENTEEN_DIGITS, end)
    return False


def _instant(at: datetime) -> str | datetime:
    """Six decimals, in UTC. For all but a whole second that is how orjson writes a time itself."""
    if at.tzinfo is None:
        raise EntryRefused("the time of an entry has a zone")
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc if utc.microsecond else utc.isoformat()[:-6] + ".000000Z"
