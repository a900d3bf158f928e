"""Does an access token of ours still count? What its signature cannot say, the database does.

One function for whoever takes a token in: our APIs, introspection, and the exchange of tokens.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from foundation.database import Tx
from idp.models import Client, Person, RegisteredClient
from idp.protocol.authorizations import Family
from idp.store import families, people
from idp.token.tokens import VerifiedToken


class TokenIds(NamedTuple):
    """The names under which a token could have been revoked."""

    jti: str
    family: str
    client_id: str


class Standing(NamedTuple):
    """What a token that counts right now stands on. No family, no person: a client's own token."""

    client: Client
    family: Family | None = None
    person: Person | None = None


def ids_of(token: VerifiedToken) -> TokenIds:
    """The names under which the database may have revoked the token."""
    return TokenIds(token.jti, token.family, token.client_id)


def standings(
    tx: Tx,
    wanted: Collection[TokenIds],
    known: Mapping[str, RegisteredClient],
    look_up: Callable[[Tx, Sequence[str]], Mapping[str, RegisteredClient]],
) -> Mapping[TokenIds, Standing]:
    """Of those that count. At most three queries for any number of tokens; one when no person is
    involved. `known` are the tokens' clients. An exchanged token stands on the client that the
    person allowed as well; `look_up` is asked for those, one query more.
    """
    ids = {each.family for each in wanted if each.family}
    revoked = families.revoked(tx, ids.union(each.jti for each in wanted))
    grown = families.families(tx, ids)
    found = people.persons(tx, {each.authorization.person_id for each in grown.values()})
    allowed = {each.client_id for each in grown.values()} - known.keys()
    if allowed:
        known = {**known, **look_up(tx, list(allowed))}
    standings: dict[TokenIds, Standing] = {}
    for each in wanted:
        jti, family_id, client_id = each
        registered = known.get(client_id)
        if jti in revoked or registered is None or registered.disabled:
            continue
        if not family_id:
            standings[each] = Standing(registered.client)
            continue
        family = grown.get(family_id)
        person = found.get(family.authorization.person_id) if family else None
        began = known.get(family.client_id) if family else None
        alive = family and not family.revoked and family_id not in revoked
        accepted = began is not None and not began.disabled
        if alive and accepted and person and not person.disabled:
            standings[each] = Standing(registered.client, family, person)
    return standings
