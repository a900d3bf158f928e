"""Front-channel logout: services of an ended session are told through the browser, each in a frame
of our page (OpenID Connect Front-Channel Logout 1.0).

    a session ends ─▶ what its page needs is kept ─▶ page with a frame per service ─▶ the way on

- Nobody can say whether a service heard: a frame of another origin tells nothing, and browsers may
  keep its cookies from it. Who must know uses the back channel; a service may have both.
- What is kept names the session to its services and lives for minutes; the address of the page is
  a random name of 256 bits.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.clients.service import Clients
from idp.models import Client, Session
from idp.protocol.syntax import origin_of, with_query
from idp.store import families, interactions

PAGE: Final = "/signed-out"
LIFETIME: Final = timedelta(minutes=5)
_STEP: Final = "front-channel"


@dataclass(frozen=True, slots=True)
class Told:
    """A service and the address that its frame loads."""

    client: Client
    uri: str

    @property
    def origin(self) -> str:
        """What a policy must let in for the frame."""
        return origin_of(self.uri)


@dataclass(frozen=True, slots=True)
class SigningOut:
    """What the page shows: who is told, and where it leads on to, if anywhere."""

    services: tuple[Told, ...]
    redirect_to: str | None


class FrontChannel:
    """Who is told through the browser, and by which page."""

    def __init__(self, database: Database, clients: Clients, clock: Clock, issuer: str) -> None:
        self._database = database
        self._clients = clients
        self._clock = clock
        self._issuer = issuer

    def way_out(
        self, tx: Tx, session: Session, redirect_to: str | None, now: datetime
    ) -> str | None:
        """Where the browser of a session that just ended goes: to `redirect_to`, by way of our page
        when a service wants to be told there (§3)."""
        told = [
            each.client_id
            for each in self._services(tx, families.clients_of_session(tx, session.sid))
        ]
        if not told:
            return redirect_to
        kept = {"told": told, "sid": session.sid, "redirect_to": redirect_to}
        name = secrets.token_urlsafe(32)
        interactions.keep_logout(tx, name, kept, now, now + LIFETIME, step=_STEP)
        return f"{PAGE}/{name}"

    def page(self, name: str) -> SigningOut | None:
        """What the page of this name shows; None when there is none any more."""
        with self._database.read() as tx:
            kept = interactions.kept_logout(tx, name, self._clock(), step=_STEP)
            if kept is None:
                return None
            services = self._services(tx, kept["told"])
        told = tuple(Told(each, self._address(each, kept["sid"])) for each in services)
        return SigningOut(told, kept["redirect_to"])

    def _services(self, tx: Tx, ids: list[str]) -> list[Client]:
        known = self._clients.known(tx, ids).values()
        wanted = [each.client for each in known if not each.disabled]
        return [client for client in wanted if client.frontchannel_logout_uri]

    def _address(self, client: Client, sid: str) -> str:
        """§3: with iss and sid where the service asks for them."""
        if not client.frontchannel_logout_session_required:
            return client.frontchannel_logout_uri
        return with_query(client.frontchannel_logout_uri, (("iss", self._issuer), ("sid", sid)))
