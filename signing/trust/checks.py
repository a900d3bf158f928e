"""The questions every kind of document is asked, and how their answers add up.

Integrity is each format's own; authority, time and seal are asked here, in the same words for all.
One failed check makes a document "invalid"; otherwise one unknown makes it "unknown".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from signing.models import (
    STOPPED,
    Check,
    CheckName,
    Indication,
    Level,
    Result,
    SealFacts,
    SignatureFacts,
    Validation,
)
from signing.store import SealThen
from signing.trust.certificates import (
    Doubt,
    Path,
    Stamp,
    Trust,
    certificate_digest,
    common_name,
    key_id,
)
from signing.trust.evidence import NO_EVIDENCE, Evidence, covers

_CLOCK_SKEW = timedelta(minutes=5)

# The seal that has a certificate (by digest), as it was at a moment; None when there is none.
Registry = Callable[[str, datetime], SealThen | None]

_ORDER: tuple[CheckName, ...] = (
    "integrity",
    "seal",
    "authority",
    "time",
    "status",
    "validity",
)
_INDICATIONS: dict[Result, Indication] = {"pass": "valid", "fail": "invalid", "unknown": "unknown"}
_NOT_ASKED = (
    Check("status", "unknown", "status_not_asked", "the issuing department was not asked"),
    Check("validity", "unknown", "validity_not_asked", "the issuing department was not asked"),
)
# What is no proof against a document. A sound signature at a time outside the period of its
# certificate or seal is as likely the work of a wrong clock.
_UNDECIDED = frozenset(
    {"authority_unknown", "certificate_expired", "certificate_not_yet_valid"},
)
INTACT = Check("integrity", "pass", "intact", "nothing was changed after sealing")


def altered(code: str, detail: str) -> Check:
    """The integrity check of a file that is not what was signed."""
    return Check("integrity", "fail", code, detail)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature whose mathematics are right; who made it and when is still to be judged."""

    certificate: bytes
    embedded: tuple[bytes, ...]
    claimed: datetime | None
    stamp: Stamp | None = None
    stamp_doubt: Doubt | None = None

    def at(self, now: datetime) -> datetime:
        """The moment of signing: proved by time-stamp, or claimed, or at the latest now."""
        return self.stamp.at if self.stamp else self.claimed or now


@dataclass(frozen=True, slots=True)
class Judge:
    """Whom we trust, which seals there are, and what time it is."""

    trust: Trust
    registry: Registry
    now: datetime

    def signature(
        self, kind: str, integrity: Check, one: Signed, evidence: Evidence = NO_EVIDENCE
    ) -> Validation:
        """All questions about a document with one signature that covers all of it."""
        at = one.at(self.now)
        time, stamp_path = self.time(one.stamp, one.stamp_doubt)
        authority, path = self.authority(one.certificate, one.embedded, at)
        then = self.seal(one.certificate, at)
        checks = [integrity, time, authority, seal_check(then, at)]
        proved = one.stamp is not None
        level = level_of(proved, evidence, (path, stamp_path), at)
        signer, signed_at = common_name(one.certificate), at if proved or one.claimed else None
        return replace(
            summed(kind, checks),
            level=level,
            signer=signer,
            kid=key_id(one.certificate),
            kids=(key_id(one.certificate),),
            signed_at=signed_at,
            seal_id=then.seal_id if then else None,
            seal=facts_of(then),
            covers_whole_file=True,
            signatures=1,
            details=(SignatureFacts(signer, signed_at, proved, "file", "none"),),
        )

    def time(self, stamp: Stamp | None, doubt: Doubt | None) -> tuple[Check, Path]:
        """The moment is the time-stamp's; and the path of a time-stamp that is trusted.

        One that has not come yet says that a clock is or was wrong, perhaps ours: unknown, and no
        proof against the document.
        """
        if stamp is None:
            code = doubt.code if doubt else "time_only_claimed"
            result: Result = "fail" if code == "time_stamp_wrong" else "unknown"
            return Check("time", result, code, doubt.detail if doubt else ""), ()
        if stamp.at > self.now + _CLOCK_SKEW:
            return Check("time", "unknown", "time_in_future", "it lies in the future"), ()
        try:
            path = self.trust.confirm(stamp.certificate, stamp.embedded, stamp.at)
        except Doubt as untrusted:
            return Check("time", "unknown", "time_stamp_untrusted", untrusted.detail), ()
        return Check("time", "pass", "time_stamped", stamp.at.isoformat()), path

    def authority(
        self, certificate: bytes, embedded: Sequence[bytes], at: datetime
    ) -> tuple[Check, Path]:
        """An authority we do not know, or a time outside the certificate's period, is no proof
        against the document: unknown, not fail.
        """
        try:
            path = self.trust.confirm(certificate, embedded, _whole(at))
        except Doubt as doubt:
            result: Result = "unknown" if doubt.code in _UNDECIDED else "fail"
            return Check("authority", result, doubt.code, doubt.detail), ()
        return Check("authority", "pass", "authority_trusted", common_name(certificate)), path

    def seal(self, certificate: bytes, at: datetime) -> SealThen | None:
        """The registered seal that has this certificate, as it was at that moment."""
        return self.registry(certificate_digest(certificate), _whole(at))


def _whole(at: datetime) -> datetime:
    """The end of the second that a time-stamp names.

    Time-stamps have whole seconds, the register has finer ones: a seal made within the second was
    there, and one that was revoked within it was revoked.
    """
    return at.replace(microsecond=999_999) if at.microsecond == 0 else at


def seal_check(then: SealThen | None, at: datetime) -> Check:
    """The certificate must be that of a registered seal which was active at that moment.

    It fails when the seal was stopped then; before it was in use, and outside its certificate's
    period, nothing is known of it.
    """
    if then is None:
        return Check(
            "seal", "unknown", "seal_unknown", "the certificate is not that of a seal here"
        )
    if then.valid_at(at):
        return Check("seal", "pass", "seal_active", f"{then.name}, {then.owner_name}")
    if then.state in STOPPED:
        return Check("seal", "fail", f"seal_{then.state}", f"{then.name} was {then.state} then")
    return Check("seal", "unknown", "seal_not_valid_then", f"{then.name} was not in use then")


def facts_of(then: SealThen | None) -> SealFacts | None:
    """What a report says of the seal; None when the certificate is of no seal here."""
    if then is None:
        return None
    return SealFacts(then.seal_id, then.name, then.owner, then.owner_name, str(then.state or ""))


def unread(kind: str, code: str, detail: str, result: Result = "fail") -> Validation:
    """Nothing beyond integrity can be asked of such a file."""
    return summed(kind, [Check("integrity", result, code, detail)])


def summed(kind: str, checks: Sequence[Check]) -> Validation:
    """The sum of the checks that were made; the others, in their order, are unknown."""
    asked = {check.name: check for check in (*_NOT_ASKED, *checks)}
    every = (asked.get(name, Check(name, "unknown", f"{name}_not_reached")) for name in _ORDER)
    return Validation(kind, _INDICATIONS[worst(checks).result], tuple(every))


def worst(checks: Sequence[Check]) -> Check:
    """The first failed check, or the first unknown one, or the first."""
    ranked = {"fail": 0, "unknown": 1, "pass": 2}
    return min(checks, key=lambda check: ranked[check.result])


def level_of(proved: bool, evidence: Evidence, paths: tuple[Path, Path], at: datetime) -> Level:
    """B-LT when both paths can be judged from the file alone, as they were at the time-stamp."""
    if not proved:
        return "B-B"
    return "B-LT" if all(path and covers(evidence, path, at) for path in paths) else "B-T"
