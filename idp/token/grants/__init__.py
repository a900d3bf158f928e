"""Every grant type of the token endpoint, one file each: how a request becomes a `Grant`.

`GRANTS` is the whole list. What the token endpoint takes, what discovery and the API description
tell, and what a client may be registered for derive from it, so a new grant type is one file with a
class of `GrantType` (`grant_type.py`) and one row here.

Where stored state has a say, a file also has a pure `judge`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from idp.token.grants.authorization_code import AuthorizationCode
from idp.token.grants.client_credentials import ClientCredentials
from idp.token.grants.device_code import DeviceCode
from idp.token.grants.grant_type import GrantType
from idp.token.grants.refresh import RefreshToken
from idp.token.grants.token_exchange import TokenExchange

Grants = Mapping[str, type[GrantType[Any]]]

GRANTS: Final[Grants] = MappingProxyType(
    {
        each.grant_type: each
        for each in (
            ClientCredentials,
            AuthorizationCode,
            RefreshToken,
            DeviceCode,
            TokenExchange,
        )
    }
)
