"""Made-up people, departments and client programs, so that a laptop is a whole country.

Nobody here exists: the division code 990001 belongs to no place. Passwords are printed in the
README; a production process refuses to load this module's people.
"""

from dataclasses import dataclass

from certificates.identifier import organisation_check, resident_check

PASSWORD = "yinzheng-sandbox"  # noqa: S105 — printed in the README on purpose


@dataclass(frozen=True, slots=True)
class Department:
    """A public body or a company; `code` is its 18-character unified social credit code."""

    code: str
    name: str
    name_en: str
    seal_code: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in: a citizen with an id number, or an officer with roles."""

    username: str
    name: str
    id_number: str = ""
    department: str = ""
    roles: tuple[str, ...] = ()
    represents: tuple[str, ...] = ()


def _organisation(first_17: str) -> str:
    return first_17 + organisation_check(first_17)


def _resident(first_17: str) -> str:
    return first_17 + resident_check(first_17)


MARKET = Department(
    _organisation("11990000MB1A0001X"),
    "示例市市场监督管理局",
    "Shili Market Regulation Bureau",
    "9900010000001",
)
POLICE = Department(
    _organisation("11990000MB1A00028"),
    "示例市公安局",
    "Shili Public Security Bureau",
    "9900010000002",
)
CHICAGO = Department(
    _organisation("11990000MB1A00036"),
    "City of Chicago BACP",
    "City of Chicago BACP",
    "9900010000003",
)
EDUCATION = Department(_organisation("11990000MB1A00044"), "示例市教育局", "Shili Education Bureau")
BANK = Department(_organisation("91990000MA1B0005X"), "示例银行", "Shili Bank")
RESTAURANT = Department(
    _organisation("91990000MA1B00068"), "示例市老街面馆有限公司", "Old Street Noodles Ltd"
)
DEPARTMENTS = (MARKET, POLICE, CHICAGO, EDUCATION, BANK, RESTAURANT)

CHEN = Person("chen", "陈静怡", _resident("99000119900307002"), represents=(RESTAURANT.code,))
CITIZENS = (
    CHEN,
    Person("lin", "林志强", _resident("99000119850612001")),
    Person("long", "龙龘", _resident("99000119780228003")),
)
OFFICERS = (
    Person("wang", "王敏", department=MARKET.code, roles=("drafter",)),
    Person("li", "李建国", department=MARKET.code, roles=("approver", "keeper")),
    Person("zhao", "赵磊", department=POLICE.code, roles=("drafter",)),
    Person("sun", "孙悦", department=POLICE.code, roles=("approver", "keeper")),
    Person("adams", "Alice Adams", department=CHICAGO.code, roles=("drafter",)),
    Person("baker", "Ben Baker", department=CHICAGO.code, roles=("approver", "keeper")),
)
