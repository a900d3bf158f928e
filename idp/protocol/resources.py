"""Resource indicators (RFC 8707): for which APIs a token is meant.

`resource` is the one OAuth parameter that may come more than once (§2); it reaches us as one text
with spaces between, which no URI contains. What was granted can only be narrowed afterwards (§2.2).
"""

from collections.abc import Mapping
from typing import Final

from idp.models import Client
from idp.protocol.authorizations import Authorization

REPEATED: Final = frozenset({"resource"})


def asked(params: Mapping[str, str]) -> tuple[str, ...]:
    """The resources a request names, each once."""
    return tuple(dict.fromkeys(params.get("resource", "").split()))


def registered(resources: tuple[str, ...], client: Client) -> bool:
    """Whether the client may ask for these (§2.1: otherwise invalid_target)."""
    return set(resources) <= set(client.resources)


def granted(resources: tuple[str, ...], client: Client, authorization: Authorization) -> bool:
    """Whether these stay within an authorization; one that named none covers all the client's."""
    return set(resources) <= set(authorization.resources or client.resources)
