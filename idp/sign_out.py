"""Signing out at the wish of a service (OpenID Connect RP-Initiated Logout 1.0).

- A link may come from anybody, so the person is asked, unless the hint proves that the service
  knows the session of this browser.
- A hint that cannot be checked (its key was compromised, or is long gone) counts as no hint: the
  person is asked and signs out all the same.
- Without our cookie, a hint ends nothing: an ID token may lie in a log. Only the service itself, by
  proving in the same POST who it is, ends the session that its hint names.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.accounts.frontchannel import FrontChannel
from idp.accounts.sessions import Sessions
from idp.authorize import rules
from idp.authorize.entries import refusal
from idp.authorize.interaction import INTERACTION_LIFETIME
from idp.authorize.rules import RequestRefused
from idp.clients.service import Clients
from idp.models import Client, Session
from idp.store import interactions, sessions
from idp.token.tokens import Tokens
from ledger import Ledger

_KEPT: Final = ("client_id", "post_logout_redirect_uri", "state")

Hint = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The session is over; `redirect_to` is where the browser goes: where the client wants its
    person back, or before that to our page that tells services in this browser."""

    redirect_to: str | None


@dataclass(frozen=True, slots=True)
class ConfirmLogout:
    """The person is asked first, because anybody could have sent this link."""

    logout_id: str


class SignOut:
    """From a service's wish to the end of the session, or to the page that asks."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        tokens: Tokens,
        opened: Sessions,
        front_channel: FrontChannel,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._sessions = opened
        self._front_channel = front_channel
        self._clock = clock

    def begin(
        self, params: Mapping[str, str], session_id: str | None
    ) -> LoggedOut | ConfirmLogout | RequestRefused:
        """A browser arrives. `interaction` among `params` names what `keep` kept."""
        now = self._clock()
        hint = self._tokens.read_id_token(params.get("id_token_hint", ""))
        with self._database.write() as tx:
            kept = interactions.kept_logout(tx, params.get("interaction", ""), now)
            if kept is not None:
                params, hint = kept["params"], kept["hint"]
            session = sessions.session(tx, session_id, now)
            checked = self._check(tx, params, hint, session, now)
            if isinstance(checked, RequestRefused):
                return checked
            if checked.at_once:
                return self._end(tx, session, checked.redirect_to, now)
            logout_id = secrets.token_urlsafe(32)
            sessions.add_logout(tx, logout_id, checked.redirect_to, now + INTERACTION_LIFETIME)
            return ConfirmLogout(logout_id)

    def keep(
        self, params: Mapping[str, str], by: Client | None = None
    ) -> str | LoggedOut | RequestRefused:
        """The same by a form, which comes without our cookies: the name of what is kept of it for
        the GET that follows. The ID token itself is not kept.

        `by` is the client that proved itself in the same request: the session that its own hint
        names ends at once.
        """
        now = self._clock()
        hint = self._tokens.read_id_token(params.get("id_token_hint", ""))
        with self._database.write() as tx:
            checked = self._check(tx, params, hint, None, now)
            if isinstance(checked, RequestRefused):
                return checked
            if by is not None and hint is not None and hint.get("aud") == by.client_id:
                return self._end(tx, _named(tx, hint, now), checked.redirect_to, now)
            said = {each: params[each] for each in _KEPT if each in params}
            if checked.redirect_to is None:
                said.pop("post_logout_redirect_uri", None)
            kept = {"params": said, "hint": hint and {"aud": hint["aud"], "sid": hint.get("sid")}}
            kept_id = secrets.token_urlsafe(32)
            interactions.keep_logout(tx, kept_id, kept, now, now + INTERACTION_LIFETIME)
            return kept_id

    def finish(self, logout_id: str | None, session_id: str | None) -> str | None:
        """The person confirmed. Answers where the client wants them back, if anywhere."""
        now = self._clock()
        with self._database.write() as tx:
            session = sessions.session(tx, session_id, now)
            back = sessions.take_logout(tx, logout_id, now) if logout_id else None
            if session is not None:
                self._sessions.close(tx, session, "signed_out")
                back = self._front_channel.way_out(tx, session, back, now)
            return back

    def _check(
        self,
        tx: Tx,
        params: Mapping[str, str],
        hint: Hint | None,
        session: Session | None,
        now: datetime,
    ) -> rules.Logout | RequestRefused:
        client_id = str(hint["aud"]) if hint else params.get("client_id", "")
        client = self._clients.find(tx, client_id)
        named = session or (_named(tx, hint, now) if hint else None)
        checked = rules.check_logout(params, hint, client, session, named)
        if isinstance(checked, RequestRefused):
            self._ledger.append(tx, refusal(client, checked, now))
        return checked

    def _end(
        self, tx: Tx, session: Session | None, redirect_to: str | None, now: datetime
    ) -> LoggedOut:
        if session is None:
            return LoggedOut(redirect_to)
        self._sessions.close(tx, session, "signed_out_by_client")
        return LoggedOut(self._front_channel.way_out(tx, session, redirect_to, now))


def _named(tx: Tx, hint: Hint, now: datetime) -> Session | None:
    """The live session that a hint is about."""
    return sessions.session_named(tx, str(hint.get("sid", "")), now)
