"""What everybody but the token endpoint asks of a grant type: its name, its words, its conditions.

Registration, discovery and the API description read the rows of `GRANTS` (`idp/token/grants`)
through this half of their interface. So a new grant type is offered everywhere or nowhere.
"""

from collections.abc import Mapping
from typing import ClassVar

from idp.models import Client


class OfferedGrant:
    """One grant type as it is told and registered.

    `parameters` are its own at the token endpoint, beside grant_type and what authenticates the
    client. Those of `repeated` may come more than once; their values have no spaces.
    `response_types`: what it needs of the authorization endpoint (RFC 7591 §2.1), and so a redirect
    URI. `refreshable`: a refresh token may come with it. `by_default`: who registers without naming
    a grant type gets it (RFC 7591 §2). `label` is its name in a sentence.
    """

    grant_type: ClassVar[str]
    label: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    repeated: ClassVar[frozenset[str]] = frozenset()
    response_types: ClassVar[tuple[str, ...]] = ()
    refreshable: ClassVar[bool] = False
    by_default: ClassVar[bool] = False

    @classmethod
    def objection(cls, client: Client, offered: "GrantTypes") -> str:
        """Why `client` cannot be registered for it among its grant types; "" when it can."""
        return ""


GrantTypes = Mapping[str, type[OfferedGrant]]
"""Every grant type that is offered, by its `grant_type`."""


def of_client(client: Client, offered: GrantTypes) -> list[type[OfferedGrant]]:
    """The rows that `client` is registered for, in the order of the table."""
    return [kind for name, kind in offered.items() if name in client.grant_types]


def response_types(offered: GrantTypes) -> tuple[str, ...]:
    """What the authorization endpoint can be asked for."""
    return tuple(dict.fromkeys(each for kind in offered.values() for each in kind.response_types))


def form_parameters(offered: GrantTypes) -> tuple[str, ...]:
    """What the token endpoint reads: what belongs to one grant type, then what several share."""
    named = [each for kind in offered.values() for each in kind.parameters]
    return tuple(dict.fromkeys(sorted(named, key=lambda each: named.count(each) > 1)))
