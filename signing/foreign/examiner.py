"""A program for one foreign PDF: read it from stdin, say on stdout what its signatures are.

It runs alone, as its own process with little memory and little time (`foreign` starts it), because
a PDF is a program somebody else wrote: loops, bombs and a million pages end here and nowhere else.
It therefore imports nothing of ours, decides nothing about trust, and answers in JSON:

    {"signatures": [{"intact": …, "valid": …, "coverage": …, "changes": …, …}],
     "certificates": […], "lists": […]}
    {"error": "unreadable" | "encrypted" | "too_complex", "detail": …}

`coverage`: file (from the first byte to the last, with the signature exactly in the gap), revision
(something was added later), other. `changes` since the signature: none, maintenance (evidence and
time-stamps), metadata (the description of the document too), form, other; not_compared where
nothing was held against anything, because two readers may see two documents in what follows.
"""

import base64
import hashlib
import io
import json
import os
import re
import resource
import sys
from typing import Any

MEMORY = 1 << 30
CPU_SECONDS = 20
MOST_SIGNATURES = 20
MOST = 100
# What saving writes into an XMP packet (ISO 16684-1 §8.4); `_information` leaves it out of /Info.
# A date holds no words.
_SAVED = re.compile(
    rb'\bxmp:(?:ModifyDate|MetadataDate)="[0-9T:.Z+-]{4,40}"|\bpdf:Producer="[^"<>]{0,200}"'
)
NO_EVIDENCE: dict[str, list[str]] = {"certificates": [], "lists": []}


def main() -> None:
    """Limit ourselves first, and step behind others by argument; only then look at the file."""
    os.nice(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    answer = examine(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(answer))


def examine(data: bytes) -> dict[str, Any]:
    """Everything a foreign file can make go wrong is an answer, not a crash."""
    try:
        return _examined(data)
    except MemoryError:
        return {"error": "too_complex", "detail": "reading the file takes too much memory"}
    except RecursionError:
        return {"error": "too_complex", "detail": "the file is nested too deeply"}
    except Exception as problem:  # whatever a hostile file provokes in the reader
        return {"error": "unreadable", "detail": f"{type(problem).__name__}: {problem}"[:300]}


def _examined(data: bytes) -> dict[str, Any]:
    from pyhanko.pdf_utils.reader import PdfFileReader

    reader = PdfFileReader(io.BytesIO(data), strict=True)
    if reader.encrypted:
        return {"error": "encrypted", "detail": "the document is encrypted"}
    signatures = _signatures(data, reader)
    return {"signatures": signatures} | (_evidence(reader) if signatures else NO_EVIDENCE)


def _evidence(reader: Any) -> dict[str, list[str]]:
    """What the document security store holds, if it can be read at all."""
    root = reader.root
    # `get` would answer an unresolved reference.
    store = root["/DSS"] if "/DSS" in root else {}  # noqa: SIM401
    found = {}
    for kind, name in (("certificates", "/Certs"), ("lists", "/CRLs")):
        streams = store[name] if name in store else ()  # noqa: SIM401
        found[kind] = [_text(bytes(streams[at].data)) for at in range(min(len(streams), MOST))]
    return found


def _signatures(data: bytes, reader: Any) -> list[dict[str, Any]]:
    embedded = reader.embedded_signatures
    if len(embedded) > MOST_SIGNATURES:
        raise ValueError("too many signatures")
    return [_signature(data, one) for one in embedded]


def _signature(data: bytes, one: Any) -> dict[str, Any]:
    one.coverage = one.evaluate_signature_coverage()
    coverage = _coverage(data, one)
    changes, allowed = _what_followed(one, coverage)
    intact, valid = _mathematics(one)
    claimed = one.self_reported_timestamp
    return {
        "kind": str(one.sig_object_type),
        "intact": intact,
        "valid": valid,
        "coverage": coverage,
        "changes": changes,
        "allowed": allowed,
        "certificate": _text(one.signer_cert.dump()),
        "embedded": [_text(other.dump()) for other in one.other_embedded_certs[:10]],
        "signature": _text(one.signer_info["signature"].native),
        "token": _text(_token(one.signer_info)),
        "claimed": claimed.isoformat() if claimed and claimed.tzinfo else "",
    }


def _what_followed(one: Any, coverage: str) -> tuple[str, bool]:
    """What changed since the signature, and whether the signature allows it.

    In a hybrid-reference file (ISO 32000-2 §7.5.8.4; office programs write them) an old reader and
    a new one find different objects, so no two revisions of it can be compared. A signature over
    the whole file has nothing behind it to compare.
    """
    if one.reader.xrefs.hybrid_xrefs_present:
        return ("none" if coverage == "file" else "not_compared"), True
    one.compute_integrity_info(diff_policy=_policy())
    changes = _changes(one)
    if changes == "other" and not _forbids_changes(one):
        # By the library's own, milder policy.
        one.compute_integrity_info()
        changes = "metadata" if _changes(one) == "maintenance" else "other"
    return changes, bool(one.summarise_integrity_info()["docmdp_ok"])


def _mathematics(one: Any) -> tuple[bool, bool]:
    """Whether the covered bytes are those that were signed, and whether the signature is right.

    A document time-stamp covers the bytes by the imprint in its TSTInfo, under the imprint's own
    algorithm, and signs the TSTInfo (RFC 3161 §2.4.2, EN 319 142-1 §5.4.3); both must fit.
    """
    from pyhanko.sign.validation import generic_cms

    covered, kind, digest = True, "data", one.compute_digest()
    if one.sig_object_type == "/DocTimeStamp":
        info = one.signed_data["encap_content_info"]["content"]
        covered = info.parsed["message_imprint"]["hashed_message"].native == digest
        kind, digest = "tst_info", hashlib.new(one.md_algorithm, bytes(info)).digest()
    intact, valid = generic_cms.validate_sig_integrity(
        one.signer_info, one.signer_cert, expected_content_type=kind, actual_digest=digest
    )
    return covered and bool(intact), bool(valid)


def _policy() -> Any:
    """What may follow a signature and still be no change: evidence, time-stamps, and the date of
    saving. The library would also let a title or the metadata be exchanged; we do not.
    """
    from pyhanko.sign.diff_analysis import policies, rules_api
    from pyhanko.sign.diff_analysis.policy_api import ModificationLevel, SuspiciousModification
    from pyhanko.sign.diff_analysis.rules import (
        file_structure_rules,
        form_field_rules,
        metadata_rules,
    )

    class OnlySaved(metadata_rules.DocInfoRule):
        def apply(self, old: Any, new: Any) -> Any:
            if _information(old) != _information(new):
                raise SuspiciousModification("the document information changed")
            yield from super().apply(old, new)

    class OnlyDated(metadata_rules.MetadataUpdateRule):
        def apply(self, old: Any, new: Any) -> Any:
            before, after = _metadata(old), _metadata(new)
            if _SAVED.sub(b"", before) != _SAVED.sub(b"", after):
                raise SuspiciousModification("the metadata changed")
            if before != after:
                yield from super().apply(old, new)

    whitelist: list[rules_api.WhitelistRule] = [
        OnlySaved(),
        OnlyDated(),  # type: ignore[no-untyped-call]
        file_structure_rules.XrefStreamRule(),
        file_structure_rules.ObjectStreamRule(),
        form_field_rules.DSSCompareRule(),
    ]
    maintenance = ModificationLevel.LTA_UPDATES
    return policies.StandardDiffPolicy(
        global_rules=[
            file_structure_rules.CatalogModificationRule(),  # type: ignore[no-untyped-call]
            *(rule.as_qualified(maintenance) for rule in whitelist),
        ],
        form_rule=policies.DEFAULT_DIFF_POLICY.form_rule,
    )


def _forbids_changes(one: Any) -> bool:
    """Whether the signature is a certification with DocMDP P=1."""
    return getattr(one.docmdp_level, "value", None) == 1


def _information(resolver: Any) -> dict[str, str]:
    """The entries of /Info that say something about the document."""
    try:
        entries = dict(resolver.trailer_view["/Info"])
    except KeyError:
        return {}
    return {k: str(v) for k, v in entries.items() if k not in ("/ModDate", "/Producer")}


def _metadata(resolver: Any) -> bytes:
    """The XMP packet of the document; empty when there is none that can be read."""
    from pyhanko.pdf_utils.misc import PdfError

    try:
        return bytes(resolver.root.get_value_as_reference("/Metadata").get_object().data)
    except (KeyError, AttributeError, PdfError):
        return b""  # and nothing is excused by what cannot be read


def _coverage(data: bytes, one: Any) -> str:
    """Our own eyes on /ByteRange: the reader trusts sums of lengths, we trust places."""
    numbers = [int(number) for number in one.byte_range]
    if len(numbers) != 4 or numbers[0] != 0:
        return "other"
    _zero, gap_start, gap_end, rest = numbers
    gap = data[gap_start:gap_end]
    if not 0 < gap_start < gap_end <= len(data) or gap[:1] != b"<" or gap[-1:] != b">":
        return "other"
    try:
        contents = bytes.fromhex(gap[1:-1].decode("ascii"))
    except ValueError:
        return "other"
    if contents != bytes(one.pkcs7_content) or gap_end + rest > len(data):
        return "other"
    if gap_end + rest == len(data):
        return "file"
    return "revision" if one.coverage.name == "ENTIRE_REVISION" else "other"


def _changes(one: Any) -> str:
    level = getattr(one.diff_result, "modification_level", None)
    names = {"NONE": "none", "LTA_UPDATES": "maintenance", "FORM_FILLING": "form"}
    return names.get(getattr(level, "name", ""), "other")


def _token(signer_info: Any) -> bytes:
    for attribute in signer_info["unsigned_attrs"] or ():
        if attribute["type"].native == "signature_time_stamp_token":
            return bytes(attribute["values"][0].dump())
    return b""


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


if __name__ == "__main__":
    main()
