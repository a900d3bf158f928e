"""Which personal data a client can ask for, under which name, and what the person is told it is.

A scope is a bundle of claims (OIDC Core §5.4); the `claims` parameter names single ones (§5.5).
Either way a claim is released only if the client is registered for it and the person agreed.
A new claim is one row of `CLAIMS`.

Some claims only say something about another one: whether an address was verified, when a name was
last changed. Nobody is registered for these or asked about them; they go with what they are about.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from idp.models import Person, Texts


@dataclass(frozen=True, slots=True)
class Claim:
    """One kind of personal data: its wire name, its words, and where its value comes from.

    `max_age`: how long after the sign-in it is told at most, so that a token that works offline for
    weeks does not carry it along (RFC 9470). `about`: the claim that it goes with, "" for one that
    stands by itself.
    """

    name: str
    label: Texts
    value: Callable[[Person], Any]
    max_age: timedelta | None = None
    about: str = ""


def _claim(
    name: str,
    hans: str,
    hant: str,
    english: str,
    value: Callable[[Person], Any],
    max_age: timedelta | None = None,
    about: str = "",
) -> tuple[str, Claim]:
    words = {"zh-Hans": hans, "zh-Hant": hant, "en": english}
    return name, Claim(name, words, value, max_age, about)


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
                "updated_at",
                "资料更新时间",
                "資料更新時間",
                "When these were last changed",
                lambda p: int(p.updated_at.timestamp()) if p.updated_at else None,
                about="name",
            ),
            _claim("email", "电子邮箱", "電子郵件", "Email address", lambda p: p.email or None),
            _claim(
                "email_verified",
                "邮箱是否已验证",
                "電子郵件是否已驗證",
                "Whether the email address was verified",
                lambda p: p.email_verified if p.email else None,
                about="email",
            ),
            _claim(
                "phone_number",
                "手机号码",
                "手機號碼",
                "Phone number",
                lambda p: p.phone_number or None,
            ),
            _claim(
                "phone_number_verified",
                "手机号码是否已验证",
                "手機號碼是否已驗證",
                "Whether the phone number was verified",
                lambda p: p.phone_number_verified if p.phone_number else None,
                about="phone_number",
            ),
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
        "profile": ("name", "preferred_username", "locale", "updated_at"),
        "email": ("email", "email_verified"),
        "phone": ("phone_number", "phone_number_verified"),
        "identity": ("name", "id_number"),
        "organisation": ("organisation", "organisation_name", "roles"),
    }
)
"""Scopes that belong to OpenID Connect; every other scope names something an API allows."""


def bundled(scopes: Iterable[str]) -> frozenset[str]:
    """Every claim that `scopes` release, with those that go with another."""
    return frozenset(claim for scope in scopes for claim in SCOPE_CLAIMS.get(scope, ()))


def asked_as(name: str) -> str:
    """What a client is registered for, and a person is asked about, before `name` is told."""
    return CLAIMS[name].about or name


def in_question(names: Iterable[str]) -> tuple[str, ...]:
    """What must be allowed before `names` are told, in the order of the catalogue."""
    wanted = {asked_as(name) for name in names if name in CLAIMS}
    return tuple(name for name in CLAIMS if name in wanted)


def claims_of(scopes: Iterable[str]) -> tuple[str, ...]:
    """The claims in question when `scopes` are asked for, in the order of the catalogue."""
    return in_question(bundled(scopes))


def released(names: Iterable[str], allowed: Collection[str]) -> tuple[str, ...]:
    """Those of `names` that may be told when `allowed` was answered with yes."""
    wanted = set(names)
    return tuple(name for name in CLAIMS if name in wanted and asked_as(name) in allowed)


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
