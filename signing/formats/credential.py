"""What a credential format is: how a certificate is written in it, and what a text says of itself.

`CREDENTIALS` in this folder's `__init__` is the table. A format holds no state and asks no
register: whether a certificate is in force is never in a credential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from keys import Keys, PendingUses, SigningAuthorization

SEAL_USES = "seal/"


@dataclass(frozen=True, slots=True)
class CredentialContent:
    """What every credential of one certificate is made from.

    `fields` are the certificate's, by name. `type_url` leads to the metadata of its type, `status`
    is the number of its status list and its index there; `starts` and `ends` are the moments at
    which the civil days `valid_from` and `valid_until` begin and end.
    """

    identifier: str
    number: str
    type_code: str
    type_url: str
    authority: str
    authority_name: str
    holder_name: str
    fields: Mapping[str, str] = field(repr=False)
    valid_from: date
    valid_until: date | None
    starts: datetime
    ends: datetime | None
    status: tuple[int, int]
    issuer: str
    issued_at: datetime

    @property
    def status_list(self) -> str:
        """The address of its status list."""
        return f"{self.issuer}/status-lists/{self.status[0]}"


@dataclass(frozen=True, slots=True)
class CredentialSigner:
    """Who signs: the key of a seal (`use`) by this authorization; `pending_uses` collects uses."""

    keys: Keys
    use: str
    order: SigningAuthorization
    pending_uses: PendingUses


@dataclass(frozen=True, slots=True)
class CredentialReading:
    """What a credential says of itself.

    `fields` are claims by the names of the certificate's fields, `facts` by those of the record's
    attributes, as text. `use` is that of the key that signed, "" when nobody looked at a signature.
    """

    format: str
    data: bytes = field(repr=False)
    identifier: str = ""
    authority: Any = ""
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)
    issued_at: datetime | None = None
    use: str = ""

    def is_by_seal(self, seal_id: str) -> bool:
        """Whether a key of this seal signed it, at whatever time."""
        return f"{self.use}/".startswith(f"{SEAL_USES}{seal_id}/")


class CredentialRecord(Protocol):
    """A certificate as the register holds it. `credential` is the rendition in
    `credential_format`, the one that vouches for the record."""

    @property
    def identifier(self) -> str:
        """The certificate's identifier (GB/T 36904)."""

    @property
    def issuing_authority(self) -> str:
        """The organisation code of the authority that issued it."""

    @property
    def seal_id(self) -> str:
        """The seal that it was issued under."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Its fields by name."""

    @property
    def credential(self) -> str:
        """The text of the rendition that vouches for the record."""

    @property
    def credential_format(self) -> str:
        """The name of that rendition's format."""


class CredentialFormat(Protocol):
    """One way to write a certificate down for programs.

    `name` is the format's in catalogue and register; `title`, `media_type` and `suffix` are those
    of a file of it. `is_code`: it is the text of a QR code and not a file. `vouches`: it is text,
    says every field, and the seal's key signs it; so the register's copy can speak for its record.
    """

    @property
    def name(self) -> str:
        """What catalogue and register call the format."""

    @property
    def title(self) -> str:
        """What pages call a file of it."""

    @property
    def media_type(self) -> str:
        """The media type of a file of it."""

    @property
    def suffix(self) -> str:
        """The ending of the file's name."""

    @property
    def is_code(self) -> bool:
        """Whether it is the text of a QR code and not a file."""

    @property
    def vouches(self) -> bool:
        """Whether the register's copy, text under the seal's key, can speak for every field."""

    def issue(self, content: CredentialContent, signer: CredentialSigner) -> bytes:
        """The signed credential. Raises what the keys raise, and `CredentialRefused`."""
        ...

    def recognises(self, data: bytes) -> bool:
        """Whether a stranger's bytes are meant to be this. Reads little and raises nothing."""
        ...

    def claimed(self, data: bytes) -> CredentialReading:
        """What it names, before anybody verified it: to find things by. Raises nothing."""
        ...

    def read(self, data: bytes, keys: Keys, now: datetime) -> CredentialReading | None:
        """What it says, its signature verified; None when no key of ours is named in it.

        Times of validity are the register's business. Raises `CredentialRefused` for one that
        names us and does not hold.
        """
        ...

    def same_as(self, said: CredentialReading, record: CredentialRecord) -> bool:
        """Whether what was handed in says nothing but what the register says."""
        ...


def says_all_of(said: CredentialReading, record: CredentialRecord) -> bool:
    """Whether it names the record and its authority, and says each of its fields word for word."""
    return names_record(said, record) and all(
        said.fields.get(name) == value for name, value in record.fields.items()
    )


def names_record(said: CredentialReading, record: CredentialRecord) -> bool:
    """Whether it is about this record, by this authority."""
    return said.identifier == record.identifier and said.authority == record.issuing_authority
