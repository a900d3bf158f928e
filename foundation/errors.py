"""One tree of errors; every package derives its own branch from it.

    YinzhengError                 500  internal_error      ours to mend
    ├── Malformed                 400  malformed_request   the bytes are not what the protocol says
    ├── Unauthenticated           401  unauthenticated     we do not know who asks
    ├── Refused                   403  refused             we know, and the answer is no
    ├── NotFound                  404  not_found           not there, or not yours: the same answer
    ├── Conflict                  409  conflict            somebody or something was first
    ├── Gone                      410  gone                it was there; its time is over
    ├── TooLarge                  413  too_large           beyond a limit that is written down
    ├── Invalid                   422  invalid_request     readable, but wrong: see `errors`
    ├── TooManyRequests           429  too_many_requests   come back after `retry_after` seconds
    └── Unavailable               503  unavailable         not now; nothing was done

`code` never changes once published, because programs match on it; `detail` names the thing that is
wrong; `next_step` says what to do. None of the three may hold a secret or a personal value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong place in what was sent: where (`pointer`), which rule (`code`), and in words."""

    pointer: str
    code: str
    detail: str


class YinzhengError(Exception):
    """Something was refused or failed; the same value is shown on page, API, CLI and receipt.

    `params` are the values a translated sentence needs (a limit, a date), never personal data.
    `passing` says that the cause lies outside of what was asked and may pass by itself: work that
    nobody waits for is tried again until it does (`foundation.jobs`).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    passing: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        next_step: str = "",
        errors: Sequence[FieldError] = (),
        **params: str,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step
        self.errors = tuple(errors)
        self.params = params


class Malformed(YinzhengError):
    """What was sent does not have the form that the protocol asks for."""

    code = "malformed_request"
    status = 400


class Unauthenticated(YinzhengError):
    """`challenge` is the value of the WWW-Authenticate header (RFC 9110 §11.6.1)."""

    code = "unauthenticated"
    status = 401

    def __init__(self, detail: str, *, challenge: str = "Bearer", next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.challenge = challenge


class Refused(YinzhengError):
    """The one who asks is known, and may not do this."""

    code = "refused"
    status = 403


class NotFound(YinzhengError):
    """It does not exist, or belongs to somebody else: both are answered alike."""

    code = "not_found"
    status = 404


class Conflict(YinzhengError):
    """The present state does not allow it: somebody or something was first."""

    code = "conflict"
    status = 409


class Gone(YinzhengError):
    """It existed, and its time is over."""

    code = "gone"
    status = 410


class TooLarge(YinzhengError):
    """More than a limit that is written down."""

    code = "too_large"
    status = 413


class Invalid(YinzhengError):
    """It can be read, and a value in it is wrong; `errors` names each place."""

    code = "invalid_request"
    status = 422


class _Later(YinzhengError):
    """`retry_after`: whole seconds until a new attempt makes sense."""

    passing = True

    def __init__(self, detail: str, *, retry_after: int, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step, retry_after=str(retry_after))
        self.retry_after = retry_after


class TooManyRequests(_Later):
    """More requests than the limit allows; nothing was done."""

    code = "too_many_requests"
    status = 429


class Unavailable(_Later):
    """Something that is needed does not answer now; nothing was done."""

    code = "unavailable"
    status = 503
