"""Ways to prove who one is, one file each; `interface` says what each answers.

password   something known

Pages, discovery, the levels that can be reached and the ledger's words follow from the table. Its
first row is what a form answers that names none.
"""

from collections.abc import Collection
from typing import Final

from idp.accounts.authenticators.interface import Authenticator
from idp.accounts.authenticators.password import PASSWORD
from idp.protocol.acr import ACR_ORDER, acr_of

AUTHENTICATORS: Final[dict[str, Authenticator]] = {
    each.name: each  # in the order in which a page offers them
    for each in (PASSWORD,)
}


def default() -> Authenticator:
    """The one that a page asks for and a form answers when nothing else is said."""
    return next(iter(AUTHENTICATORS.values()))


def amr_of(names: Collection[str]) -> tuple[str, ...]:
    """The methods (RFC 8176) of several authenticators, each once, in their order."""
    return tuple(dict.fromkeys(each for name in names for each in AUTHENTICATORS[name].amr))


def levels() -> list[str]:
    """Every level that some sign-in can reach, weakest first (`acr_values_supported`)."""
    alone = {acr_of(each.amr) for each in AUTHENTICATORS.values() if each.begins}
    reached = alone | {acr_of(amr_of(AUTHENTICATORS))}
    return [level for level in ACR_ORDER if level in reached]
