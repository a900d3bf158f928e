"""What the pages themselves refuse; everything else comes from the packages below.

YinzhengError
├── Refused
│   ├── ForeignForm           403  foreign_form         a form this browser did not get from us
│   ├── CookiesBlocked        403  cookies_blocked      a browser that keeps no cookie of ours
│   │   └── CookieWanted                                becomes a 303 to this page, with a cookie
│   └── OfficeNeeded          404  not_found            a page for officers, and you are not one
├── Invalid
│   ├── PhotoUnreadable       422  photo_unreadable     the upload is not a picture we can open
│   ├── PhotoWithoutCode      422  photo_without_code   a picture, but no QR code found in it
│   ├── PhotoTooLarge         413  photo_too_large      more bytes or more pixels than we open
│   └── FileNeeded            422  file_needed          the form was sent without its file
└── SignInNeeded              401  sign_in_needed       becomes a 303 to the sign-in page
"""

from foundation.errors import Invalid, NotFound, Refused, TooLarge, YinzhengError


class ForeignForm(Refused):
    """A form sent from another site, or without a token that we gave this browser."""

    code = "foreign_form"


class CookiesBlocked(Refused):
    """The cookie that we gave this browser did not come back."""

    code = "cookies_blocked"


class CookieWanted(CookiesBlocked):
    """Whether this browser keeps cookies is seen when it comes to `back` again, with one."""

    def __init__(self, back: str) -> None:
        super().__init__("this page needs a cookie", next_step="allow cookies for this site")
        self.back = back


class OfficeNeeded(NotFound):
    """The same answer as for a page that does not exist: offices are not enumerable."""


class PhotoUnreadable(Invalid):
    """The upload is not a picture that can be opened."""

    code = "photo_unreadable"


class PhotoWithoutCode(Invalid):
    """A picture in which no QR code is found."""

    code = "photo_without_code"


class PhotoTooLarge(TooLarge):
    """A picture of more than 8 MB or 20 million pixels; it is not opened."""

    code = "photo_too_large"


class FileNeeded(Invalid):
    """The form came without the bytes of a file."""

    code = "file_needed"


class SignInNeeded(YinzhengError):
    """`back` is the path to return to after signing in; `at` the page of a sign-in that goes on."""

    code = "sign_in_needed"
    status = 401

    def __init__(self, back: str, at: str = "") -> None:
        super().__init__("this page needs a signed-in person", next_step="sign in")
        self.back = back
        self.at = at
