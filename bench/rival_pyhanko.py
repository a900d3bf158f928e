# mypy: disallow-untyped-calls=False
"""The rival of `bench/seal.py`: pyHanko, as it comes and tuned, over the same file and TSA.

`stock` is what its documentation shows: `SimpleSigner`, `PdfSigner.sign_pdf`. `tuned` is what a
careful user can reach without changing the library: the private key is loaded once (stock loads and
checks it for every signature), space for the signature is fixed (stock signs twice, the first time
to learn the size), and every object that can be shared is made once.

Both make the seal we make: certification with no changes allowed, PAdES, the same vector picture in
the same box, the same in-process time-stamp authority, P-256, a chain of the same length. At B-LT
both embed the certificates and revocation lists of both paths, which nobody has to fetch.
"""

import asyncio
import logging
import re
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.content import PdfResources, RawContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers, timestamps
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from keys.timestamping.timestamps import TimestampAuthority
from signing.models import Box

FIELD = "Seal"
RESERVED = 16_384  # bytes of hexadecimal digits; the tuned one's fixed size


class InProcess(timestamps.TimeStamper):
    """Our own time-stamp authority, asked without a network."""

    def __init__(self, authority: TimestampAuthority) -> None:
        super().__init__()
        self._authority = authority

    async def async_request_tsa_response(self, req: Any) -> Any:
        return tsp.TimeStampResp.load(self._authority.respond(req.dump()))


class CachedKey(signers.SimpleSigner):
    """A signer that loads its key once."""

    key: ec.EllipticCurvePrivateKey

    async def async_sign_raw(
        self, data: bytes, digest_algorithm: str, dry_run: bool = False
    ) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


class PyHanko:
    """Seals like ours, with a key and a certificate chain of its own."""

    def __init__(
        self,
        authority: TimestampAuthority,
        picture: bytes,
        box: Box,
        stamp_root: bytes,
        stamp_lists: Sequence[bytes],
    ) -> None:
        """`stamp_root` and `stamp_lists` are what the path of a time-stamp is judged by (DER)."""
        # It warns at each seal that it may not fetch; what it needs is given to it.
        logging.getLogger("pyhanko.sign").setLevel(logging.ERROR)
        self._timestamper = InProcess(authority)
        self._style = StaticStampStyle(
            border_width=0, background=_content(picture), background_opacity=1.0
        )
        left, bottom, side = box
        self._box = round(left), round(bottom), round(left + side), round(bottom + side)
        self._key, self._chain, self.root, lists = _chain()
        self._roots = [asn1_x509.Certificate.load(each) for each in (self.root, stamp_root)]
        self._lists = [*lists, *stamp_lists]
        self._tuned = self._signer(self._simple_signer(CachedKey))

    def stock(self, pdf: bytes) -> Callable[[], bytes]:
        """One seal, everything made as the documentation shows it."""

        def seal() -> bytes:
            signer = self._signer(self._simple_signer(signers.SimpleSigner))
            return _output(signer.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf))))

        return seal

    def stock_with_evidence(self, pdf: bytes) -> Callable[[], bytes]:
        """`stock` at B-LT. A validation context is made for each file, as it remembers paths."""

        def seal() -> bytes:
            signer = self._signer(self._simple_signer(signers.SimpleSigner), **self._evidence())
            return _output(signer.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf))))

        return seal

    def tuned_with_evidence(self, pdf: bytes) -> Callable[[], bytes]:
        """`tuned` at B-LT, its validation context shared as well."""
        signer = self._signer(self._simple_signer(CachedKey), **self._evidence())

        def seal() -> bytes:
            writer = IncrementalPdfFileWriter(BytesIO(pdf))
            return _output(signer.sign_pdf(writer, bytes_reserved=RESERVED))

        return seal

    def tuned(self, pdf: bytes) -> Callable[[], bytes]:
        def seal() -> bytes:
            writer = IncrementalPdfFileWriter(BytesIO(pdf))
            return _output(self._tuned.sign_pdf(writer, bytes_reserved=RESERVED))

        return seal

    def _evidence(self) -> dict[str, Any]:
        context = ValidationContext(trust_roots=self._roots, crls=self._lists, allow_fetching=False)
        return {"embed_validation_info": True, "validation_context": context}

    def _signer(self, signer: Any, **more: Any) -> Any:
        meta = signers.PdfSignatureMetadata(
            field_name=FIELD,
            md_algorithm="sha256",
            certify=True,
            docmdp_permissions=fields.MDPPerm.NO_CHANGES,
            subfilter=fields.SigSeedSubFilter.PADES,
            **more,
        )
        return signers.PdfSigner(
            meta,
            signer,
            timestamper=self._timestamper,
            stamp_style=self._style,
            new_field_spec=fields.SigFieldSpec(FIELD, on_page=0, box=self._box),
        )

    def _simple_signer(self, kind: type[Any]) -> Any:
        der = self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        leaf, *above = (asn1_x509.Certificate.load(each) for each in self._chain)
        store = SimpleCertificateStore()
        store.register_multiple(above)
        signer = kind(leaf, asn1_keys.PrivateKeyInfo.load(der), store)
        signer.key = self._key
        return signer


def validate(pdf: bytes, roots: list[bytes]) -> Any:
    """pyHanko's own verdict on the one signature of a file."""
    trusted = [asn1_x509.Certificate.load(root) for root in roots]
    context = ValidationContext(trust_roots=trusted, allow_fetching=False)
    signature = PdfFileReader(BytesIO(pdf)).embedded_signatures[0]
    return asyncio.run(async_validate_pdf_signature(signature, context, context))


def _output(result: Any) -> bytes:
    data: bytes = result.getvalue()
    return data


def _content(picture: bytes) -> Any:
    """Our picture as pyHanko's page content: the same operators, the same blend mode."""
    operators = zlib.decompress(picture.split(b"stream\n", 1)[1].removesuffix(b"\nendstream"))
    side = re.search(rb"/BBox\[0 0 (\d+) \1\]", picture)
    assert side is not None
    name = generic.pdf_name
    resources = PdfResources()
    resources.ext_g_state[name("/i")] = generic.DictionaryObject(
        {name("/Type"): name("/ExtGState"), name("/BM"): name("/Multiply")}
    )
    box = BoxConstraints(width=int(side[1]), height=int(side[1]))
    return RawContent(operators, resources=resources, box=box)


def _chain() -> tuple[ec.EllipticCurvePrivateKey, list[bytes], bytes, list[bytes]]:
    """The leaf's key; leaf and issuing certificate, as many as our seals carry; the root; the
    revocation lists of issuing and root."""
    root, issuing, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    made = [
        _certificate("Bench Seal", leaf, "Bench Issuing", issuing, authority=False),
        _certificate("Bench Issuing", issuing, "Bench Root", root, authority=True),
        _certificate("Bench Root", root, "Bench Root", root, authority=True),
    ]
    *chain, trusted = [each.public_bytes(Encoding.DER) for each in made]
    lists = [_list("Bench Issuing", issuing), _list("Bench Root", root)]
    return leaf, chain, trusted, lists


def _list(issuer: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=_name(issuer), last_update=now, next_update=now + timedelta(days=7)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signed_by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = x509.CertificateBuilder(
        issuer_name=_name(issuer),
        subject_name=_name(subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=365),
    )
    return (
        builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                **usage,
            ),
            critical=True,
        )
        .sign(signed_by, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
