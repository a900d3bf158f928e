"""The identity provider: one identity for every public service (OAuth 2.0, OpenID Connect).

Somebody opens a service; the service sends them here; they prove who they are, see what the
service wants to know and why, and go back with a code that the service turns into tokens.

    protocol/    the words of the standards: profiles, claims, errors, subjects; pure
    store/       the questions asked of the database
    clients/     who may ask: registration and client authentication
    accounts/    who can sign in, how they prove it, who is signed in
    authorize/   from a request to its code, over several pages
    sign_in      a sign-in step by step, and what lies in the database between the steps
    token/       the token endpoint: grants, tokens, sender constraints
    resource/    tokens read back: APIs, userinfo, introspection
    web/         routes, discovery, cross-origin rules
    service      `Idp`, the use cases; the portal draws the pages

Promises: an unknown client or redirect URI never redirects; a code is used once; a token that was
revoked is refused from that commit on; a client learns no more than its registered purpose covers
and the person agreed to; every token, sign-in and refusal is in the ledger.
"""

from idp.accounts.backchannel import LogoutNotice
from idp.accounts.cookies import (
    Cookies,
    new_browser_id,
)
from idp.accounts.flow import Challenge, Choose, Denied
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
from idp.models import Client, Person, Profile, Session
from idp.protocol.claims import (
    CLAIMS,
)
from idp.protocol.policy import Policy
from idp.protocol.profiles import weakenings_told
from idp.service import ConsentGiven, Idp
from idp.sign_in import Authenticated
from idp.sign_out import ConfirmLogout, LoggedOut
from idp.token.devices import DeviceAnswered, DeviceRejected, DeviceView
from idp.token.grants import GRANTS, Grants
from idp.web.routes import (
    render,
)

__all__ = [
    "CLAIMS",
    "GRANTS",
    "Authenticated",
    "Challenge",
    "Choose",
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
    "Denied",
    "DeviceAnswered",
    "DeviceRejected",
    "DeviceView",
    "Granted",
    "Grants",
    "Idp",
    "Interaction",
    "LoggedOut",
    "Login",
    "LogoutNotice",
    "Person",
    "Policy",
    "Profile",
    "RequestRefused",
    "Session",
    "new_browser_id",
    "render",
    "weakenings_told",
]
