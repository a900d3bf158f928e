"""The identity provider: one identity for every public service (OAuth 2.0, OpenID Connect).

Somebody opens a service; the service sends them here; they prove who they are, see what the
service wants to know and why, and go back with a code that the service turns into tokens.

    authorization  does a request obey? one page       rules   what happens next?
    arrival        plain, signed or pushed: the ways a request comes in
    profiles       how strict we are with whom          sender  tokens in the right hands only
    grants/        the token endpoint's grants: check, judge, redeem
    registration   what a client may be registered with
    metadata, dynamic              a program registers itself, within what an officer allowed
    authenticators/ ways to prove who one is
    clients        who may ask, and client authentication, in one function
    people, sessions, attempts      who can sign in, who is signed in, who failed to
    numbers        one identity number, one account
    tokens         signed statements      issuance  the token endpoint
    access         tokens read back: APIs, userinfo
    signed_requests    whole requests signed by their client (RFC 9421)
    introspection, revocation      what others may know of a token, and tokens given back
    backchannel    services are told that a session ended
    step_up        a resource asks for a better or a more recent sign-in
    devices        people answer for a device that has no keyboard
    conversation   from a request to its code, over several pages
    service        `Idp`, the use cases   http, endpoints  the routes; the portal draws pages

Promises: an unknown client or redirect URI never redirects; a code is used once; a token that was
revoked is refused from that commit on; a client learns no more than its registered purpose covers
and the person agreed to; every token, sign-in and refusal is in the ledger.
"""

from idp.accounts.backchannel import LogoutNotice
from idp.accounts.cookies import (
    Cookies,
    new_browser_id,
)
from idp.accounts.sessions import Rejected
from idp.authorize.interaction import (
    ClaimView,
    Decision,
    Interaction,
)
from idp.authorize.rules import Consent, Granted, Login, RequestRefused
from idp.clients.mtls import (
    ClientCertificates,
)
from idp.clients.service import ClientRegistration, Clients
from idp.models import Client, Person, Session
from idp.protocol.claims import (
    CLAIMS,
)
from idp.service import (
    Authenticated,
    ConfirmLogout,
    ConsentGiven,
    Idp,
    LoggedOut,
)
from idp.token.devices import DeviceAnswered, DeviceRejected, DeviceView
from idp.web.routes import (
    render,
)

__all__ = [
    "CLAIMS",
    "Authenticated",
    "ClaimView",
    "Client",
    "ClientCertificates",
    "ClientRegistration",
    "Clients",
    "ConfirmLogout",
    "Consent",
    "ConsentGiven",
    "Cookies",
    "Decision",
    "DeviceAnswered",
    "DeviceRejected",
    "DeviceView",
    "Granted",
    "Idp",
    "Interaction",
    "LoggedOut",
    "Login",
    "LogoutNotice",
    "Person",
    "Rejected",
    "RequestRefused",
    "Session",
    "new_browser_id",
    "render",
]
