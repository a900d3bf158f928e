"""The whole mission once, in the terminal, over the HTTP of a running service.

    sign in → draft → approve → seal → verify by number, by file and by QR
    → the citizen sees who looked → revoke → verify again → check the ledger

The service is a real one with the sandbox people; everything the story does, it does as a visitor
(`server/sandbox/visitors.py`). Two things only are taken from inside, by whoever tells the story:
a fresh secret for the bank's program (secrets are made here and shown once) and the ledger's own
check.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import httpx
from rich.console import Console
from rich.markup import escape

from exchange import to_pem, verify_receipt
from foundation.actor import SYSTEM
from foundation.errors import Refused
from server import migrations
from server.assembly import Installation, open_database, open_master_key, opened
from server.running import processes
from server.running.request_log import RequestLog
from server.sandbox import seeds
from server.sandbox.visitors import Browser, Program, RelyingParty, Surprise, photograph
from server.settings import Settings

BANK = "shili-bank"
TYPE = "food-business-licence"
PURPOSE = "loan-application"
CASE = "LOAN-2026-0417"
OPENING = 10.0  # seconds for the server to begin to answer
SEALING = 30.0  # seconds until an approved licence is sealed

FOOD = {
    "operator_name": seeds.RESTAURANT.name,
    "organisation_code": seeds.RESTAURANT.code,
    "legal_representative": seeds.CHEN.name,
    "registered_address": "示例市老城区观前街141号",
    "business_premises": "示例市老城区太监弄72号",
    "business_form": "catering",
    "business_items": "热食类食品制售；冷食类食品制售；自制饮品制售",
}


def run(settings: Settings, *, once: bool) -> int:
    """Start the service, walk the mission, and with `once` end; 0 when every step went well."""
    if settings.mode != "sandbox":
        raise Refused("the demo needs the sandbox people", next_step="YINZHENG_MODE=sandbox")
    _migrate(settings)
    with opened(settings) as installation:
        seeds.seed(installation)
        return _serve_and_walk(installation, once=once)


def _migrate(settings: Settings) -> None:
    database = open_database(settings, open_master_key(settings))
    migrations.upgrade(database)
    database.close()


def _serve_and_walk(installation: Installation, *, once: bool) -> int:
    """The server runs in this thread, where signals arrive; the story is told in another."""
    told, well = threading.Event(), threading.Event()

    def tell() -> None:
        console = Console(highlight=False, soft_wrap=True)
        try:
            if walk(installation, console):
                well.set()
            if not once:
                console.print(_invitation(installation.settings.issuer))
        finally:
            told.set()

    background = installation.worker()
    background.start()
    threading.Thread(target=tell, name="demo", daemon=True).start()
    try:
        until = told if once else None
        with RequestLog(_level(installation.settings)) as lines:
            app, management = installation.app(lines.note), installation.management()
            processes.serve(app, management, installation.settings, until=until)
    finally:
        background.stop()
    return 0 if well.is_set() else 1


def _level(settings: Settings) -> str:
    """The story stands between no lines of a log, unless somebody wants them."""
    return settings.log_level if "log_level" in settings.model_fields_set else "error"


def walk(installation: Installation, console: Console) -> bool:
    """Every step in order, one verdict line each; stops at the first that goes wrong."""
    origin, database = installation.settings.issuer, installation.database.dialect
    console.print(f"\n  [bold red]印证[/] [bold]Yinzheng[/]  {origin}  [dim]{database}[/]\n")
    story = Story(
        origin,
        lambda client_id: installation.idp.clients.replace_secret(client_id, by=SYSTEM),
        lambda: _check_ledger(installation),
    )
    began = time.monotonic()
    try:
        for number, (name, step) in enumerate(story.steps(), 1):
            if not _tell(console, number, name, step):
                return False
    finally:
        story.close()
    seconds = time.monotonic() - began
    console.print(f"\n  [bold green]mission accomplished[/] in {seconds:.1f} s\n")
    return True


def _check_ledger(installation: Installation) -> tuple[int, Sequence[str]]:
    installation.ledger.integrate_all()
    report = installation.ledger.fsck()
    return report.size, report.problems


def _tell(console: Console, number: int, name: str, step: Callable[[], str]) -> bool:
    began = time.monotonic()
    try:
        sentence, mark, good = step(), "[bold green]✓[/]", True
    except Exception as problem:  # whatever it was, the step has not gone well
        sentence, mark, good = f"{type(problem).__name__}: {problem}", "[bold red]✗[/]", False
    millis = f"[dim]{(time.monotonic() - began) * 1000:.0f} ms[/]"
    line = f"  {mark} [dim]{number:2}[/] [bold]{name:12}[/] {escape(sentence)} {millis}"
    console.print(line)
    return good


def _invitation(origin: str) -> str:
    people = "  ".join(each.username for each in (*seeds.CITIZENS, *seeds.OFFICERS))
    return (
        f"  Look around: [bold]{origin}[/]  ·  verify anything: {origin}/verify\n"
        f"  Sign in as {people}\n  with the password [bold]{seeds.PASSWORD}[/]\n"
    )


def expect(seen: object, wanted: object, what: str) -> None:
    """Raises `Surprise` unless both are equal."""
    if seen != wanted:
        raise Surprise(f"{what} should be {wanted!r} and is {seen!r}")


class Story:
    """What the visitors know so far; each step adds to it and answers its verdict as a sentence."""

    STEPS = (
        ("open", "find_the_service"),
        ("sign in", "sign_in"),
        ("draft", "write_the_draft"),
        ("four eyes", "refuse_two_eyes"),
        ("approve", "approve"),
        ("seal", "wait_for_the_seal"),
        ("by number", "verify_by_number"),
        ("by file", "verify_by_file"),
        ("by QR code", "verify_by_qr"),
        ("receipt", "check_the_receipt"),
        ("who looked", "see_who_looked"),
        ("forge", "forge"),
        ("revoke", "revoke"),
        ("again", "verify_again"),
        ("ledger", "check_the_ledger"),
    )
    bank: Program
    draft: str
    identifier: str
    pdf: bytes
    photo: bytes
    receipt_id: str
    reason: Mapping[str, str]

    def __init__(
        self,
        origin: str,
        new_secret: Callable[[str], str],
        check_ledger: Callable[[], tuple[int, Sequence[str]]],
    ) -> None:
        self.origin = origin
        self._new_secret = new_secret
        self._check_ledger = check_ledger
        self.chen, self.wang, self.li, self.public = (Browser(self.origin) for _ in range(4))

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Name and act of every step, in order."""
        return [(name, getattr(self, act)) for name, act in self.STEPS]

    def find_the_service(self) -> str:
        """Wait up to `OPENING` seconds until the server answers, and compare its issuer. Raises
        `TransportError` when it never does."""
        deadline = time.monotonic() + OPENING
        while True:
            try:
                found = self.public.client.get("/.well-known/openid-configuration").json()
                break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        expect(found["issuer"], self.origin, "the issuer")
        return "the service answers, and says who it is"

    def sign_in(self) -> str:
        """A citizen signs in to a service by code and PKCE; userinfo tells it the name."""
        client = seeds.SERVICES
        scope = "openid profile"
        party = RelyingParty(self.origin, client.client_id, seeds.CALLBACK, scope)
        try:
            signed_in = party.sign_in(self.chen, "chen", seeds.PASSWORD)
            expect(party.userinfo(signed_in.access_token)["name"], seeds.CHEN.name, "the name")
        finally:
            party.close()
        return f"{seeds.CHEN.name}, by code and PKCE; the ID token holds for PyJWT too"

    def write_the_draft(self) -> str:
        """The drafter fills the form in, looks at the preview, and submits the draft."""
        self.wang.sign_in("wang", seeds.PASSWORD)
        page = self.wang.open("/staff/drafts/new", type=TYPE)
        page = page.send("/staff/drafts", {"then": "preview", **FOOD})
        if not page.path.endswith("/preview"):
            raise Surprise(f"the draft was not taken: {page.text[:300]}")
        self.draft = page.path.split("/")[3]
        picture = self.wang.download(f"/staff/drafts/{self.draft}/preview.png")
        page.send(f"/staff/drafts/{self.draft}/submit", {})
        return f"王敏 drafts for {seeds.RESTAURANT.name}, sees the page ({len(picture):,} bytes)"

    def refuse_two_eyes(self) -> str:
        """The review page offers the drafter no approval."""
        page = self.wang.open(f"/staff/review/{self.draft}")
        expect(any("/approve" in form.action for form in page.forms), False, "an approve button")
        return "王敏 finds no way to approve what she drafted"

    def approve(self) -> str:
        """The second officer approves the content whose digest is on the page."""
        self.li.sign_in("li", seeds.PASSWORD)
        page = self.li.open(f"/staff/review/{self.draft}")
        action = f"/staff/review/{self.draft}/approve"
        digest = page.form(action).values["content_digest"]
        answer = page.send(action, {})
        expect(answer.status, 200, "the answer to the approval")
        return f"李建国 approves exactly the content {digest[:16]}…"

    def wait_for_the_seal(self) -> str:
        """Wait up to `SEALING` seconds for the certificate; download and photograph its PDF."""
        register = "/staff/certificates/"
        deadline = time.monotonic() + SEALING
        page = self.li.open(f"/staff/drafts/{self.draft}/preview")
        while not any(link.startswith(register) for link in page.links):
            if time.monotonic() > deadline:
                raise Surprise(f"nothing was sealed within {SEALING:.0f} s")
            time.sleep(0.1)
            page = self.li.open(f"/staff/drafts/{self.draft}/preview")
        self.identifier = page.link(register).removeprefix(register)
        self.pdf = self.li.download(f"{register}{self.identifier}/certificate.pdf")
        self.photo = photograph(self.pdf)
        return f"{self.identifier} (PDF/A-3, {len(self.pdf) // 1000} kB, time-stamped)"

    def verify_by_number(self) -> str:
        """A bank's program asks by the identifier, and is told the fields of its purpose only."""
        self.bank = self._open_the_bank()
        purpose = next(
            each for each in self.bank.purposes() if (each["code"], each["type"]) == (PURPOSE, TYPE)
        )
        basis = purpose["legal_bases"][0]
        self.reason = {"purpose": PURPOSE, "legal_basis": basis, "case_ref": CASE}
        answer = self.bank.verify({"number": self.identifier, **self.reason})
        expect(answer["verdict"], "valid", "the verdict")
        expect(set(answer["fields"]), set(purpose["fields"]), "what the bank is shown")
        self.receipt_id = answer["receipt_id"]
        shown = len(answer["fields"])
        return f"valid: the bank sees the {shown} fields its purpose allows, and no more"

    def verify_by_file(self) -> str:
        """The bank sends the PDF, and the verdict is `valid`."""
        answer = self.bank.verify(self.reason, self.pdf)
        expect(answer["verdict"], "valid", "the verdict")
        return "valid: " + ", ".join(each["name"] for each in answer["checks"]) + " all hold"

    def verify_by_qr(self) -> str:
        """Somebody who is not signed in uploads the photograph of the page."""
        expect(self._tone(), "good", "the verdict page's colour")
        return "valid: a photo of the page is enough, for anybody, without signing in"

    def check_the_receipt(self) -> str:
        """With public anchors only: the root certificate and the ledger's keys."""
        file = self.bank.receipt_file(self.receipt_id)
        root = to_pem(self.public.download("/pki/ca.crt"))
        keys = self.public.download("/ledger/keys").decode().split("\n")
        verified = verify_receipt(file, root, [key for key in keys if key])
        expect(verified.in_log, True, "the entry in the log")
        told = self.bank.read_signed(json.loads(file)["receipt"], "yinzheng-receipt+jwt")
        expect(told, verified.claims, "what PyJWT reads in the receipt")
        return "genuine and in the log, checked offline from the file; PyJWT reads the same"

    def see_who_looked(self) -> str:
        """The citizen's list of looks names the bank, its case number and its legal basis."""
        page = self.chen.open("/me/access")
        for words in (seeds.BANK.name, CASE, self.reason["legal_basis"]):
            if words not in page.text:
                raise Surprise(f"{seeds.CHEN.name} does not see {words}")
        return f"{seeds.CHEN.name} reads: {seeds.BANK.name}, {CASE}, why, and which fields"

    def forge(self) -> str:
        """One flipped bit in the PDF makes the verdict `tampered`."""
        at = len(self.pdf) // 3
        forged = self.pdf[:at] + bytes([self.pdf[at] ^ 1]) + self.pdf[at + 1 :]
        answer = self.bank.verify(self.reason, forged)
        expect(answer["verdict"], "tampered", "the verdict on one flipped bit")
        return "tampered: one flipped bit is enough"

    def revoke(self) -> str:
        """The approver revokes the certificate for a serious violation."""
        path = f"/staff/certificates/{self.identifier}/revoke"
        page = self.li.open(path).send(path, {"reason_code": "serious_violation"})
        expect(page.path, path.removesuffix("/revoke"), "where the officer ends")
        return "李建国 revokes it: serious violation"

    def verify_again(self) -> str:
        """Number, file and photograph now all answer that it is revoked."""
        by_number = self.bank.verify({"number": self.identifier, **self.reason})
        by_file = self.bank.verify(self.reason, self.pdf)
        expect(by_number["verdict"], "revoked", "the verdict by number")
        expect(by_file["verdict"], "revoked", "the verdict by file")
        expect(self._tone(), "bad", "the verdict page's colour")
        return "revoked: by number, by file and by QR code, from that moment on"

    def check_the_ledger(self) -> str:
        """Integrate and check the whole ledger, which finds no problem."""
        size, problems = self._check_ledger()
        expect(list(problems), [], "what the check of the ledger finds")
        return f"{size} entries, every hash and signature computed anew: nothing wrong"

    def close(self) -> None:
        """Close the visitors' connections."""
        for visitor in (self.chen, self.wang, self.li, self.public):
            visitor.close()

    def _open_the_bank(self) -> Program:
        return Program(self.origin, BANK, self._new_secret(BANK))

    def _tone(self) -> str:
        """The colour of the verdict page that a photo of the certificate leads to."""
        picture = {"photo": ("photo.png", self.photo, "image/png")}
        page = self.public.open("/verify").send("/verify/photo", {}, picture)
        return page.tone
