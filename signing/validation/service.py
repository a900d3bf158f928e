"""Is this document sealed, by whom, when, and is it still what was sealed? Never green for less.

Four of the six questions are answered here: integrity, seal, authority, time. A file that
we sealed is taken apart and composed again (`formats/pdf`), so that nothing in between goes
unseen; any other PDF is examined by pyHanko in a process of its own; a detached signature is read
by ourselves. Which it is, the table of formats says (`recognised`). All end in the same rules:

1. A signature must cover the file from its first byte to its last, with its own value exactly in
   the gap. Whatever was added later makes it "changed_after_sealing", however harmless it looks;
   only evidence and time-stamps for strangers' signatures are no change (ISO 32000-2 table 257).
2. The mathematics must be right (digest, signature), and with one of our four algorithms.
3. The certificate must lead to our authority, and must have been valid and not revoked at the
   moment of signing.
4. The moment of signing is the time-stamp's; a claimed time alone leaves "time" unknown.
5. The certificate must be that of a registered seal which was active at that moment.

Known attacks and the check that meets them: Universal Signature Forgery, Signature Wrapping (1),
Incremental Saving and Shadow Attacks (1), evil annotations after certification (1).
"""

import hashlib
from dataclasses import replace

from foundation.canonical import b64url
from signing.errors import DocumentTooLarge
from signing.foreign.examination import examine
from signing.formats import UNMARKED, recognised
from signing.formats.pdf import Examine
from signing.models import Validation
from signing.rules import must_be_small
from signing.trust.checks import Judge, unread

MAX_SIGNATURE = 256 * 1024


def validate(data: bytes, judge: Judge, examine: Examine = examine) -> Validation:
    """Validate a document that carries its signature: a PDF, or a CMS with its content inside.

    Raises `DocumentTooLarge` above `MAX_DOCUMENT` bytes.
    """
    must_be_small(data)
    form = recognised(data)
    if form is None:
        found = unread("unknown", "not_a_pdf", "the file is not a PDF and carries no signature")
    else:
        found = form.verify(data, None, judge, examine)
    return replace(found, digest=_digest(data))


def validate_detached(data: bytes, signature: bytes, judge: Judge) -> Validation:
    """Validate a file and the signature beside it: CMS (DER or PEM) or a detached JWS.

    Raises `DocumentTooLarge`.
    """
    must_be_small(data)
    if len(signature) > MAX_SIGNATURE:
        raise DocumentTooLarge("a detached signature has at most 256 kB")
    form = recognised(signature, beside=True) or UNMARKED
    return replace(form.verify(data, signature, judge, examine), digest=_digest(data))


def _digest(data: bytes) -> str:
    return b64url(hashlib.sha256(data).digest())
