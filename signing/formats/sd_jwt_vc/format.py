"""The row of the table: a certificate as an SD-JWT VC; its holder discloses each field or not."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from keys import Keys, UnknownKey
from keys.encoding.jose import VerificationKey, parse_object
from signing.errors import CredentialRefused
from signing.formats.credential import (
    SEAL_USES,
    CredentialContent,
    CredentialReading,
    CredentialRecord,
    CredentialSigner,
    names_record,
)
from signing.formats.sd_jwt_vc.credential import TYPE, issue, verify

WHENEVER: Final = timedelta(days=400 * 365)  # the register, not the document, says what ran out


class SdJwtVc:
    """Signed by the seal's key; the holder leaves out what nobody needs to know."""

    name: Final = TYPE
    title: Final = "SD-JWT VC"
    media_type: Final = f"application/{TYPE}"
    suffix: Final = ".sd-jwt"
    is_code: Final = False
    vouches: Final = True

    def issue(self, content: CredentialContent, signer: CredentialSigner) -> bytes:
        """All fields, each in a disclosure of its own."""
        text = issue(
            signer.keys,
            signer.use,
            vct=content.type_url,
            claims={
                "identifier": content.identifier,
                "type_code": content.type_code,
                "issuing_authority": {"code": content.authority, "name": content.authority_name},
                **content.fields,
            },
            disclosable=tuple(content.fields),
            iss=content.issuer,
            iat=content.issued_at,
            nbf=content.starts,
            exp=content.ends,
            status={"status_list": {"idx": content.status[1], "uri": content.status_list}},
            chain=signer.keys.chain(signer.use)[:-1],
            order=signer.order,
            pending_uses=signer.pending_uses,
        )
        return text.encode()

    def recognises(self, data: bytes) -> bool:
        """By the first letters of a JSON object in base64url."""
        return data.startswith(b"eyJ")

    def claimed(self, data: bytes) -> CredentialReading:
        """The identifier in its payload."""
        text = _text(data)
        identifier = _part(text, 1).get("identifier")
        named = identifier if isinstance(identifier, str) else ""
        return CredentialReading(self.name, text.encode(), named)

    def read(self, data: bytes, keys: Keys, now: datetime) -> CredentialReading | None:
        """Signed by a seal of ours? Retired keys count: they signed while they were active.

        A text that names no key of ours is not ours; one that names it and does not verify was
        altered, and so was one whose header is torn while the rest still names a certificate.
        """
        text = _text(data)
        header = _part(text, 0)
        found = _seal_key(keys, header)
        if found is None:
            if not header and self.claimed(data).identifier:
                raise CredentialRefused("not_an_sd_jwt", "its header cannot be read")
            return None
        use, key = found
        claims = verify(text, key_for=lambda _header: key, now=now, leeway=WHENEVER).claims
        authority = claims.get("issuing_authority")
        code = authority.get("code") if isinstance(authority, Mapping) else authority
        identifier = str(claims.get("identifier", ""))
        return CredentialReading(
            self.name, text.encode(), identifier, authority=code, fields=claims, use=use
        )

    def same_as(self, said: CredentialReading, record: CredentialRecord) -> bool:
        """The register's copy, whole or with claims left out by the holder.

        Where another format vouches for the record, that copy is not at hand: then each claim that
        is shown must be the record's, under the record's own seal.
        """
        if record.credential_format == self.name:
            return _is_part_of(_text(said.data), record.credential)
        shown = record.fields.keys() & said.fields.keys()
        return (
            said.is_by_seal(record.seal_id)
            and names_record(said, record)
            and all(said.fields[name] == record.fields[name] for name in shown)
        )


def _is_part_of(shown: str, whole: str) -> bool:
    """The same signed part, and no disclosure that the whole credential does not have."""
    signed, *disclosures = shown.split("~")
    all_signed, *all_disclosures = whole.split("~")
    return signed == all_signed and set(disclosures) <= set(all_disclosures)


def _seal_key(keys: Keys, header: Mapping[str, Any]) -> tuple[str, VerificationKey] | None:
    """The key that a header names, if it is that of a seal."""
    try:
        key = keys.find(str(header.get("kid", "")))
    except UnknownKey:
        return None
    return (key.use, key.verification) if key.use.startswith(SEAL_USES) else None


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace").strip()


def _part(credential: str, part: int) -> Mapping[str, Any]:
    """Header (0) or payload (1) of a credential that nobody has verified: to find things by."""
    try:
        return parse_object(b64url_decode(credential.split("~")[0].split(".")[part]))
    except (YinzhengError, IndexError):
        return {}
