"""How strongly somebody signed in (OIDC Core §2 `acr`, RFC 9470): the level reached, never the one
that was asked for.
"""

from collections.abc import Collection
from typing import Final

ACR_PASSWORD: Final = "urn:yinzheng:acr:1"  # noqa: S105 - one factor
ACR_TWO_FACTORS: Final = "urn:yinzheng:acr:2"
ACR_ORDER: Final = ("", ACR_PASSWORD, ACR_TWO_FACTORS)

_FACTORS: Final = {  # RFC 8176 §2; the methods that are no factor of their own are left out
    **dict.fromkeys(("pwd", "pin", "kba", "user"), "knowledge"),
    **dict.fromkeys(("otp", "hwk", "swk", "pop", "sc", "sms", "tel"), "possession"),
    **dict.fromkeys(("face", "fpt", "iris", "retina", "vbm"), "inherence"),
}


def acr_of(amr: Collection[str]) -> str:
    """The authentication context reached, never the one asked for (RFC 8176 method names)."""
    kinds = {_FACTORS[method] for method in amr if method in _FACTORS}
    return ACR_TWO_FACTORS if len(kinds) > 1 else ACR_PASSWORD


def acr_satisfies(reached: str, wanted: Collection[str]) -> bool:
    """Whether `reached` is at least one of `wanted`; values that are not ours are only hints."""
    ours = [value for value in wanted if value in ACR_ORDER]
    return not ours or ACR_ORDER.index(reached) >= min(map(ACR_ORDER.index, ours))


def acr_reaches(reached: str, required: Collection[str]) -> bool:
    """Whether `reached` is at least one of `required`; a value that is not ours is never reached
    (OIDC Core §5.5.1.1)."""
    ours = [value for value in required if value in ACR_ORDER]
    return bool(ours) and acr_satisfies(reached, ours)
