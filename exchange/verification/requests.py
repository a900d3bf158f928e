"""What a department sends, read strictly: one thing to check, and why.

Reading (`read_…`) says what was sent; `checked` says that it is whole, once, for whoever answers.

JSON bodies are decoded by msgspec into typed values (an unknown member is refused, so that a typing
error is not silently ignored); files come as base64 in JSON or as a multipart form. Everything that
is missing is named at once, each with its JSON pointer.

Numbers are read as people type them (`identifier.as_written`: full-width, small letters, spaces).
Texts are normalised (NFC, trimmed) and may hold no control or bidirectional characters: they appear
in logs, on pages and on receipts, and must look there like what they are.
"""

import binascii
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TypeVar

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from certificates.identifier import as_written
from exchange.errors import IncompleteVerification
from exchange.messages import (
    MAX_BATCH,
    MAX_LENGTHS,
    BatchBody,
    SubscriptionBody,
    VerificationBody,
)
from exchange.models import OPEN_PURPOSES, VerificationRequest
from foundation.batching import HotRequest
from foundation.canonical import b64url
from foundation.errors import FieldError, Malformed, TooLarge

MAX_DOCUMENT = 10 * 1024 * 1024
MAX_BODY = MAX_DOCUMENT * 4 // 3 + 65_536  # base64, and some for the rest
MAX_BATCH_BODY = 65_536
T = TypeVar("T")
V = TypeVar("V")
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


_subscription = msgspec.json.Decoder(SubscriptionBody)
_single = msgspec.json.Decoder(VerificationBody)
_batch = msgspec.json.Decoder(BatchBody)


class BatchRequest(msgspec.Struct, frozen=True):
    """Up to 100 numbers, one purpose, one legal basis, one case."""

    numbers: tuple[str, ...]
    purpose: str
    legal_basis: str
    case_ref: str

    def single(self, number: str) -> VerificationRequest:
        """The question about one of the numbers, for the reason of all."""
        return VerificationRequest(
            number=number,
            purpose=self.purpose,
            legal_basis=self.legal_basis,
            case_ref=self.case_ref,
        )


def read_request(request: HotRequest) -> VerificationRequest:
    """A verification from a request body, still to be checked. Raises `Malformed`, or
    `IncompleteVerification` for a member that cannot be read."""
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type == b"multipart/form-data":
        return _from_form(request.body, options)
    body = _decode(_single, request.body)
    return VerificationRequest(
        number=body.number,
        document=_document(body.document),
        qr_text=body.qr,
        purpose=body.purpose,
        legal_basis=body.legal_basis,
        case_ref=body.case_ref,
    )


def read_batch(body: bytes) -> BatchRequest:
    """A batch from a request body, still to be checked. Raises `Malformed`, `TooLarge`, or
    `IncompleteVerification` for a member that cannot be read."""
    decoded = _decode(_batch, body)
    if len(decoded.numbers) > MAX_BATCH:
        raise TooLarge(
            f"a batch holds at most {MAX_BATCH} certificates",
            next_step="send the rest in further batches",
            limit=str(MAX_BATCH),
        )
    return BatchRequest(
        tuple(decoded.numbers), decoded.purpose, decoded.legal_basis, decoded.case_ref
    )


def read_subscription(body: bytes) -> tuple[VerificationRequest, str]:
    """What to follow and why, and where to tell. Raises `Malformed` or `IncompleteVerification`."""
    said = _decode(_subscription, body)
    asked = VerificationRequest(
        number=said.number,
        purpose=said.purpose,
        legal_basis=said.legal_basis,
        case_ref=said.case_ref,
    )
    return checked(asked), said.url


def checked_batch(batch: BatchRequest) -> BatchRequest:
    """The same batch with clean texts. Raises `IncompleteVerification`."""
    shared = batch.single("")
    clean = _clean_texts(shared)
    numbers = tuple(map(as_written, batch.numbers))
    mistakes = list(_reasons(clean))
    if not numbers:
        mistakes.append(FieldError("/numbers", "required", "the numbers to check are missing"))
    for at, number in enumerate(numbers):
        mistakes.extend(_text_mistakes(f"/numbers/{at}", number, MAX_LENGTHS["number"]))
        if not number:
            mistakes.append(FieldError(f"/numbers/{at}", "required", "the number is empty"))
    _raise_if(mistakes)
    return BatchRequest(numbers, clean.purpose, clean.legal_basis, clean.case_ref)


def checked(request: VerificationRequest) -> VerificationRequest:
    """The same request with clean texts. Raises `IncompleteVerification` with every mistake."""
    clean = _clean_texts(request)
    mistakes = [*_subjects(clean), *_reasons(clean)]
    _raise_if(mistakes)
    if len(clean.document) > MAX_DOCUMENT:
        raise TooLarge(
            f"a document has at most {MAX_DOCUMENT} bytes",
            next_step="send the file as it was issued",
            limit=str(MAX_DOCUMENT),
        )
    return clean


def asked_text(request: VerificationRequest) -> str:
    """What was asked about, as one line for the sealed part of the ledger entry.

    A file or a QR text is named by its SHA-256, so that a receipt can be matched to it later.
    """
    if request.document:
        return "document:" + b64url(sha256(request.document).digest())
    if request.qr_text:
        return "qr:" + b64url(sha256(request.qr_text.encode()).digest())
    return "number:" + request.number


def clean_text(text: str) -> str:
    """NFC, no white space around."""
    return text if text.isascii() and text == text.strip() else _normal(text)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _document(encoded: str) -> bytes:
    """A base64 document (RFC 4648 §4); empty when there is none."""
    try:
        return b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise IncompleteVerification(
            "the document is not base64",
            errors=[FieldError("/document", "not_base64", "standard base64 is needed")],
        ) from None


def _from_form(body: bytes, options: Mapping[bytes, bytes]) -> VerificationRequest:
    """A verification from a multipart form: the file part is `document`, the rest are texts."""
    texts: dict[str, str] = {}
    files: dict[str, bytes] = {}

    def on_field(field: Field) -> None:
        _add(texts, field.field_name, (field.value or b"").decode("utf-8"))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        _add(files, file.field_name, file.file_object.read())

    try:
        parser = FormParser(
            "multipart/form-data",
            on_field,
            on_file,
            boundary=options.get(b"boundary", b""),
            config={"MAX_MEMORY_FILE_SIZE": MAX_BODY},
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError):
        raise Malformed("the multipart form cannot be read") from None
    document = files.pop("document", b"")
    foreign = [*files, *(name for name in texts if name not in _FORM_TEXTS)]
    if foreign:
        raise IncompleteVerification(
            f"the form has an unknown part {foreign[0][:64]}",
            errors=[FieldError(f"/{foreign[0][:64]}", "unknown", "not part of a verification")],
        )
    if "qr" in texts:
        texts["qr_text"] = texts.pop("qr")
    return VerificationRequest(document=document, **texts)


def _add(parts: dict[str, V], name: bytes | None, value: V) -> None:
    key = (name or b"").decode("utf-8")
    if key in parts:
        raise Malformed(f"the form has the part {key[:64]} twice")
    parts[key] = value


_FORM_TEXTS = frozenset(VerificationBody.__struct_fields__) - {"document"}


def _clean_texts(request: VerificationRequest) -> VerificationRequest:
    return VerificationRequest(
        number=as_written(request.number),
        document=request.document,
        qr_text=clean_text(request.qr_text),
        purpose=clean_text(request.purpose),
        legal_basis=clean_text(request.legal_basis),
        case_ref=clean_text(request.case_ref),
    )


def _subjects(request: VerificationRequest) -> Iterator[FieldError]:
    given = [
        name
        for name, value in (
            ("number", request.number),
            ("document", request.document),
            ("qr", request.qr_text),
        )
        if value
    ]
    if not given:
        yield FieldError("/number", "required", "say what to check: number, document or qr")
    for name in given[1:]:
        yield FieldError(f"/{name}", "only_one", f"{name} and {given[0]} exclude each other")
    yield from _text_mistakes("/number", request.number, MAX_LENGTHS["number"])
    yield from _text_mistakes("/qr", request.qr_text, MAX_LENGTHS["qr"])


def _reasons(request: VerificationRequest) -> Iterator[FieldError]:
    needed = {"purpose": request.purpose}
    if request.purpose not in OPEN_PURPOSES:
        needed |= {"legal_basis": request.legal_basis, "case_ref": request.case_ref}
    for name, value in needed.items():
        if not value:
            yield FieldError(f"/{name}", "required", f"{name} is missing")
    if request.purpose and not _PURPOSE.fullmatch(request.purpose):
        yield FieldError("/purpose", "not_a_code", "a purpose is a code such as food-inspection")
    for name in ("legal_basis", "case_ref"):
        yield from _text_mistakes(f"/{name}", getattr(request, name), MAX_LENGTHS[name])


def _text_mistakes(pointer: str, text: str, longest: int) -> Iterator[FieldError]:
    if len(text) > longest:
        yield FieldError(pointer, "too_long", f"at most {longest} characters")
    if not (text.isascii() and text.isprintable()) and _UNSEEN.search(text):
        yield FieldError(pointer, "invisible_character", "control or invisible characters")


def _raise_if(mistakes: list[FieldError]) -> None:
    if mistakes:
        raise IncompleteVerification(
            mistakes[0].detail,
            next_step="see `errors` for each member to correct",
            errors=mistakes,
        )


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        detail, pointer = _located(str(problem))
        raise IncompleteVerification(
            detail,
            next_step="see `errors` for each member to correct",
            errors=[FieldError(pointer, "wrong_type", detail)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON", next_step="send application/json") from None


def _located(message: str) -> tuple[str, str]:
    """msgspec says "… - at `$.numbers[2]`"; we say "/numbers/2"."""
    detail, _, path = message.partition(" - at `$")
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.rstrip("`")).replace(".", "/")
    return detail, pointer
