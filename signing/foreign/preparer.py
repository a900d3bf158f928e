"""A program for one foreign PDF that is to be sealed: makes the place for the seal, and no more.

It runs alone, as `examiner` does and for the same reason. On stdin comes an order (a length of four
bytes, JSON, then the PDF), on stdout goes the answer: "+" and the file with an empty gap, or "-"
and why not. No key is known here: what is signed, and by whom, is decided by who asked.

    {"refused": "encrypted" | "forbidden" | "page_missing" | "unreadable" | …, "detail": …}

The seal is a certification that allows no change, when it is the first signature; behind others it
is a further signature. Evidence (DSS) goes into the same revision, so that nothing has to follow.
"""

import base64
import io
import json
import resource
import sys
from datetime import datetime
from typing import Any

MEMORY = 3 << 29
CPU_SECONDS = 30
_HEAD = 4


class NotSealable(Exception):
    """This file cannot be sealed; the first argument is a stable word."""


def main() -> None:
    """Limit ourselves first; only then look at the file."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    data = sys.stdin.buffer.read()
    size = int.from_bytes(data[:_HEAD], "big")
    order = json.loads(data[_HEAD : _HEAD + size])
    sys.stdout.buffer.write(answer(order, data[_HEAD + size :]))


def answer(order: dict[str, Any], data: bytes) -> bytes:
    """Everything a foreign file can make go wrong is an answer, not a crash."""
    try:
        return b"+" + prepared(order, data)
    except NotSealable as refused:
        word, detail = refused.args
    except (MemoryError, RecursionError):
        word, detail = "too_complex", "reading the file needs more than we give"
    except Exception as problem:  # whatever a hostile file provokes in the reader
        word, detail = "unreadable", f"{type(problem).__name__}: {problem}"[:300]
    return b"-" + json.dumps({"refused": word, "detail": detail}).encode()


def prepared(order: dict[str, Any], data: bytes) -> bytes:
    """The file with a signature field, its picture, the evidence, and a gap of zeros."""
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import SigFieldSpec
    from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup

    writer = IncrementalPdfFileWriter(io.BytesIO(data), strict=True)
    first = _is_first(writer)
    page, (x, y, side) = order["page"], order["box"]
    _must_lie_on(writer, page, (x, y, x + side, y + side))
    _add_evidence(writer, order)
    name = _free_name(writer)
    spec = SigFieldSpec(name, on_page=page, box=(x, y, x + side, y + side))
    steps: Any = PdfCMSEmbedder(new_field_spec=spec).write_cms(field_name=name, writer=writer)
    field = next(steps).get_object()
    _draw(writer, field, base64.b64decode(order["picture"]))
    steps.send(SigObjSetup(_signature(order), mdp_setup=_permissions(order, first)))
    _digest, output = steps.send(SigIOSetup(md_algorithm=order["digest"], output=io.BytesIO()))
    return bytes(output.getvalue())


def _is_first(writer: Any) -> bool:
    """Whether the seal will be the first signature. Refuses what may not or cannot be signed."""
    from pyhanko.sign.validation import read_certification_data

    reader = writer.prev
    if reader.encrypted:
        raise NotSealable("encrypted", "the document is encrypted")
    if read_certification_data(reader) is not None:
        # Even where it allows signing, it allows no field that it has not seen (table 257).
        raise NotSealable("forbidden", "a signature in the document forbids to add a seal")
    return not reader.embedded_signatures


def _must_lie_on(writer: Any, page: int, box: tuple[float, float, float, float]) -> None:
    if not 0 <= page < int(writer.root["/Pages"]["/Count"]):
        raise NotSealable("page_missing", f"there is no page {page + 1}")
    reference, _resources = writer.find_page_for_modification(page)
    node = reference.get_object()
    while "/MediaBox" not in node:
        node = node["/Parent"]
    left, bottom, right, top = (float(value) for value in node["/MediaBox"])
    if not (left <= box[0] < box[2] <= right and bottom <= box[1] < box[3] <= top):
        raise NotSealable(
            "outside_page", f"the page is {right - left:g} by {top - bottom:g} points"
        )


def _free_name(writer: Any) -> str:
    from pyhanko.sign.fields import enumerate_sig_fields

    taken = {name for name, _value, _field in enumerate_sig_fields(writer)}
    return next(name for name in (f"Seal{n}" for n in range(1, 10_000)) if name not in taken)


def _draw(writer: Any, field: Any, picture: bytes) -> None:
    """Our picture as the field's appearance; it is what `signing.seals.registry.appearance`
    writes."""
    from pyhanko.pdf_utils import generic

    head, _, stream = picture.partition(b"\nstream\n")
    trailer: Any = generic.TrailerReference(writer)  # type: ignore[no-untyped-call]
    form = generic.DictionaryObject.read_from_stream(io.BytesIO(head), trailer)
    drawing = generic.StreamObject(
        {key: value for key, value in form.items() if key != "/Length"},
        encoded_data=stream.removesuffix(b"\nendstream"),
    )
    normal = {generic.pdf_name("/N"): writer.add_object(drawing)}
    field["/AP"] = generic.DictionaryObject(normal)  # type: ignore[no-untyped-call]


def _signature(order: dict[str, Any]) -> Any:
    from pyhanko.pdf_utils import generic
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.signers.pdf_byterange import PdfSignedData

    signature = PdfSignedData(
        generic.pdf_name("/Sig"),
        SigSeedSubFilter.PADES,
        datetime.fromisoformat(order["signed_at"]),
        bytes_reserved=2 * order["reserved"],
    )
    signature["/Name"] = generic.TextStringObject(order["name"])
    if order["reason"]:
        signature["/Reason"] = generic.TextStringObject(order["reason"])
    return signature


def _permissions(order: dict[str, Any], first: bool) -> Any:
    from pyhanko.sign.fields import MDPPerm
    from pyhanko.sign.signers.cms_embedder import SigMDPSetup

    if not first:
        return None
    return SigMDPSetup(order["digest"], certify=True, docmdp_perms=MDPPerm.NO_CHANGES)


def _add_evidence(writer: Any, order: dict[str, Any]) -> None:
    from asn1crypto import crl, x509
    from pyhanko.sign.validation.dss import DocumentSecurityStore

    read: Any = x509.Certificate, crl.CertificateList
    certificates = [read[0].load(base64.b64decode(der)) for der in order["certificates"]]
    lists = [read[1].load(base64.b64decode(der)) for der in order["lists"]]
    if certificates:
        DocumentSecurityStore.supply_dss_in_writer(writer, None, certs=certificates, crls=lists)


if __name__ == "__main__":
    main()
