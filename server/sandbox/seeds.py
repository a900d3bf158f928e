"""Made-up people, departments and client programs, so that a laptop is a whole country.

Nobody here exists: the division code 990001 belongs to no place. Passwords are printed in the
README; a production process refuses to load this module's people.
"""

from contextlib import suppress
from dataclasses import dataclass

from foundation.actor import SYSTEM, Actor, ActorKind
from foundation.codes import organisation_check, resident_check
from foundation.database import Tx
from foundation.errors import Conflict, Refused
from idp import Client
from server.assembly import Installation

PASSWORD = "yinzheng-sandbox"  # noqa: S105 — printed in the README on purpose


@dataclass(frozen=True, slots=True)
class Department:
    """A public body or a company; `code` is its 18-character unified social credit code."""

    code: str
    name: str
    name_en: str
    seal_code: str = ""


@dataclass(frozen=True, slots=True)
class SandboxPerson:
    """Somebody who can sign in: a citizen with an id number, or an officer with roles."""

    username: str
    name: str
    id_number: str = ""
    department: str = ""
    roles: tuple[str, ...] = ()
    represents: tuple[str, ...] = ()
    locale: str = "zh-Hans"


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

CHEN = SandboxPerson(
    "chen", "陈静怡", _resident("99000119900307002"), represents=(RESTAURANT.code,)
)
CITIZENS = (
    CHEN,
    SandboxPerson("lin", "林志强", _resident("99000119850612001")),
    SandboxPerson("long", "龙龘", _resident("99000119780228003")),
)
OFFICERS = (
    SandboxPerson("wang", "王敏", department=MARKET.code, roles=("drafter",)),
    SandboxPerson("li", "李建国", department=MARKET.code, roles=("approver", "keeper")),
    SandboxPerson("zhao", "赵磊", department=POLICE.code, roles=("drafter",)),
    SandboxPerson("sun", "孙悦", department=POLICE.code, roles=("approver", "keeper")),
    SandboxPerson("adams", "Alice Adams", department=CHICAGO.code, roles=("drafter",), locale="en"),
    SandboxPerson(
        "baker",
        "Ben Baker",
        department=CHICAGO.code,
        roles=("approver", "keeper"),
        locale="en",
    ),
)

_TEXTS = {
    "shili-services": ("示例政务服务网", "示例政務服務網", "Shili Citizen Services"),
    "shili-bank": ("示例银行信贷系统", "示例銀行信貸系統", "Shili Bank, loans"),
    "shili-education": ("示例市入学报名", "示例市入學報名", "Shili school enrolment"),
    "shili-inspection": ("示例市食品监督检查", "示例市食品監督檢查", "Shili food inspection"),
}
_REASONS = {
    "shili-services": ("登录后办理各项业务", "登入後辦理各項業務", "Use public services signed in"),
    "shili-bank": ("核验贷款申请人的证照", "核驗貸款申請人的證照", "Check licences for loans"),
    "shili-education": (
        "核验入学家庭的居住证",
        "核驗入學家庭的居住證",
        "Check permits at enrolment",
    ),
    "shili-inspection": ("检查食品经营者的证照", "檢查食品經營者的證照", "Check food businesses"),
}
CALLBACK = "http://127.0.0.1:8765/callback"  # a program on the developer's own machine

# Who may ask what about which type: (department, certificate type, purpose).
GRANTS = (
    (BANK.code, "food-business-licence", "loan-application"),
    (BANK.code, "residence-permit", "loan-application"),
    (BANK.code, "chicago-business-licence", "loan-application"),
    (EDUCATION.code, "residence-permit", "school-enrolment"),
    (MARKET.code, "food-business-licence", "food-inspection"),
    (MARKET.code, "food-business-licence", "market-supervision"),
    (POLICE.code, "residence-permit", "household-transfer"),
    (POLICE.code, "residence-permit", "vehicle-registration"),
    (CHICAGO.code, "chicago-business-licence", "market-supervision"),
    (CHICAGO.code, "chicago-business-licence", "food-inspection"),
)


_OPERATOR = frozenset({"operator"})
_APPLICANT = Actor(ActorKind.PERSON, "sandbox-applicant", name="Sandbox", roles=_OPERATOR)
_APPROVER = Actor(ActorKind.PERSON, "sandbox-approver", name="Sandbox", roles=_OPERATOR)


def _texts(of: dict[str, tuple[str, str, str]], client_id: str) -> dict[str, str]:
    return dict(zip(("zh-Hans", "zh-Hant", "en"), of[client_id], strict=True))


def _verifier(client_id: str, department: Department) -> Client:
    """A program of a department that checks licences for itself; its secret is made on demand."""
    return Client(
        client_id=client_id,
        name=_texts(_TEXTS, client_id),
        purpose=_texts(_REASONS, client_id),
        organisation=department.code,
        organisation_name=department.name,
        profile="standard",
        token_endpoint_auth_method="client_secret_basic",  # noqa: S106 — the name of a method
        grant_types=("client_credentials",),
        scopes=("certificates.verify",),
    )


SERVICES = Client(
    client_id="shili-services",
    name=_texts(_TEXTS, "shili-services"),
    purpose=_texts(_REASONS, "shili-services"),
    organisation=MARKET.code,
    organisation_name=MARKET.name,
    profile="public",
    token_endpoint_auth_method="none",  # noqa: S106 — a public client has no secret
    redirect_uris=(CALLBACK,),
    grant_types=("authorization_code", "refresh_token"),
    scopes=("openid", "profile", "offline_access"),
    claims=("name", "preferred_username", "locale"),
)
CLIENTS = (
    SERVICES,
    _verifier("shili-bank", BANK),
    _verifier("shili-education", EDUCATION),
    _verifier("shili-inspection", MARKET),
)


def seed(installation: Installation) -> None:
    """Load everything above; what is there already stays. Any number of processes may do this.

    Raises `Refused` in production.
    """
    if installation.settings.mode != "sandbox":
        raise Refused("sandbox people are never loaded into production")
    for person in (*CITIZENS, *OFFICERS):
        if installation.idp.people.find(person.username) is None:
            with suppress(Conflict):  # another process was first
                _add(installation, person)
    for issuer in DEPARTMENTS:
        if issuer.seal_code and not installation.seals.for_owner(issuer.code):
            with suppress(Conflict):
                _register_seal(installation, issuer)
    registered = {each.client.client_id for each in installation.idp.clients.all()}
    for client in CLIENTS:
        if client.client_id not in registered:
            with suppress(Conflict):
                installation.idp.clients.add(client, by=SYSTEM)
    with suppress(Conflict), installation.database.write() as tx:
        _approve_purposes(tx, installation)


def _approve_purposes(tx: Tx, installation: Installation) -> None:
    """What is not held is applied for by one made-up operator and approved by another.

    Raises `Conflict` when another process was first; then nothing of it stays.
    """
    now, applications = installation.clock(), installation.applications
    held = {
        (form.organisation, type_name, form.code)
        for form in (each.form for each in applications.all(tx, "approved"))
        for type_name in form.types
    }
    for organisation, type_name, code in GRANTS:
        if (organisation, type_name, code) not in held:
            form = installation.purposes.form_of(organisation, type_name, code)
            applied = applications.apply(tx, form, by=_APPLICANT, now=now)
            applications.approve(tx, applied, by=_APPROVER, now=now)


def _department(code: str) -> Department | None:
    return next((each for each in DEPARTMENTS if each.code == code), None)


def _add(installation: Installation, person: SandboxPerson) -> None:
    office = _department(person.department)
    installation.idp.people.add(
        person.username,
        person.name,
        PASSWORD,
        by=SYSTEM,
        id_number=person.id_number,
        represents=person.represents,
        organisation=person.department,
        organisation_name=office.name if office else "",
        roles=person.roles,
        locale=person.locale,
    )


def _register_seal(installation: Installation, department: Department) -> None:
    with installation.database.write() as tx:
        installation.seals.register(
            tx,
            owner=department.code,
            owner_name=department.name,
            name=department.name,
            code=department.seal_code,
            by=SYSTEM,
            now=installation.clock(),
        )
