"""What an account has open ends: sessions, codes, refresh and access tokens, devices, and whatever
other packages keep for the person.

It happens in the transaction that says why, so on either database nothing outlives the decision.
Tokens that are signed already are refused by `standing`, which asks whether the person is disabled.
"""

from collections.abc import Callable
from datetime import datetime

from foundation.database import Database, Tx
from idp.accounts.sessions import Sessions
from idp.models import Person
from idp.store import devices, families, sessions
from idp.token.tokens import ACCESS_TOKEN_LIFETIME

# Ends what another package keeps for the person of this id, such as codes that they show.
EndElsewhere = Callable[[Tx, str, datetime], object]


class Closing:
    """Ends everything that somebody has open."""

    def __init__(
        self, database: Database, sessions: Sessions, end_elsewhere: EndElsewhere | None = None
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._end_elsewhere = end_elsewhere

    def close(self, tx: Tx, person: Person, reason: str, now: datetime) -> None:
        """Nothing that was given to this person before `now` works after this transaction."""
        for session in sessions.sessions_of(tx, person, now):
            self._sessions.close(tx, session, reason, now)
        families.end_codes(tx, now, reason, person_id=person.id)
        devices.take_back(tx, person.id, lambda _: True, now)
        offline = [each.id for each in families.live_families(tx, person_id=person.id)]
        families.revoke_families(self._database, tx, offline, reason, now, ACCESS_TOKEN_LIFETIME)
        if self._end_elsewhere is not None:
            self._end_elsewhere(tx, person.id, now)
