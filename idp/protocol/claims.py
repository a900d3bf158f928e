"""Which personal data a client can ask for, under which name, and what the person is told it is.

A scope is a bundle of claims (OIDC Core §5.4); the `claims` parameter names single ones (§5.5).
Either way a claim is released only if the client is registered for it and the person agreed.
A new claim is one row of `CLAIMS`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from idp.models import Person, Texts


@dataclass(frozen=True, slots=True)
class Claim:
    """One kind of personal data: its wire name, its words, and where its value comes from.

    `max_age`: how long after the sign-in it is told at most, so that a token that works offline for
    weeks does not carry it along (RFC 9470).
    """

    name: str
    label: Texts
    value: Callable[[Person], Any]
    max_age: timedelta | None = None


def _claim(
    name: str,
    hans: str,
    hant: str,
    english: str,
    value: Callable[[Person], Any],
    max_age: timedelta | None = None,
) -> tuple[str, Claim]:
    words = {"zh-Hans": hans, "zh-Hant": hant, "en": english}
    return name, Claim(name, words, value, max_age)


CLAIMS: Mapping[str, Claim] = MappingProxyType(
    dict(
        (
            _claim("name", "姓名", "姓名", "Full name", lambda p: p.name),
            _claim(
                "preferred_username",
                "用户名",
                "使用者名稱",
                "User name",
                lambda p: p.username,
            ),
            _claim("locale", "界面语言", "介面語言", "Language", lambda p: p.locale),
            _claim(
                "id_number",
                "公民身份号码",
                "公民身份號碼",
                "Citizen identity number",
                lambda p: p.id_number or None,
                max_age=timedelta(hours=1),
            ),
            _claim(
                "organisation",
                "所在单位（统一社会信用代码）",
                "所屬單位（統一社會信用代碼）",
                "Organisation (credit code)",
                lambda p: p.organisation or None,
            ),
            _claim(
                "organisation_name",
                "所在单位名称",
                "所屬單位名稱",
                "Organisation name",
                lambda p: p.organisation_name or None,
            ),
            _claim(
                "roles",
                "岗位职责",
                "崗位職責",
                "Roles in the organisation",
                lambda p: sorted(p.roles) or None,
            ),
        )
    )
)

SCOPE_CLAIMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openid": (),
        "offline_access": (),
        "profile": ("name", "preferred_username", "locale"),
        "identity": ("name", "id_number"),
        "organisation": ("organisation", "organisation_name", "roles"),
    }
)
"""Scopes that belong to OpenID Connect; every other scope names something an API allows."""


def claims_of(scopes: Iterable[str]) -> tuple[str, ...]:
    """The claims that `scopes` bundle, in the order of the catalogue."""
    wanted = {claim for scope in scopes for claim in SCOPE_CLAIMS.get(scope, ())}
    return tuple(name for name in CLAIMS if name in wanted)


def values_of(person: Person, names: Iterable[str]) -> dict[str, Any]:
    """The values of `names` for `person`; without a value, left out (OIDC Core §5.3.2)."""
    found = {name: CLAIMS[name].value(person) for name in names if name in CLAIMS}
    return {name: value for name, value in found.items() if value is not None}


def freshness_of(names: Iterable[str]) -> timedelta | None:
    """How recent the sign-in must be for all of `names`; None: it may be of any age."""
    ages = [CLAIMS[name].max_age for name in names if name in CLAIMS]
    return min((age for age in ages if age is not None), default=None)


def recent_enough(names: Iterable[str], age: timedelta) -> tuple[str, ...]:
    """Those of `names` that may be told `age` after the person signed in."""
    return tuple(
        name for name in names if (longest := CLAIMS[name].max_age) is None or age <= longest
    )
