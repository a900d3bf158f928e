"""`verify`: a certificate or a receipt, at a terminal.

    verify --number JY23205060012345            by number, asking this service's register
    verify licence.pdf                          by file
    verify --qr "YZ1:…"                         by what a QR code says
    verify --receipt receipt.json --trust-anchor root.pem --ledger-key "name+…"    offline

Without `--purpose` it is a public check, which shows what anybody with the paper in hand may see.
Exit codes: 0 good, 3 verified but bad, 4 could not decide (for a receipt: genuine, not yet in the
log), 5 refused. A receipt is checked against the anchors given, else against this service's own.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from exchange import purpose_commands, rules
from exchange.errors import ReceiptInvalid
from exchange.http import to_json
from exchange.models import PUBLIC_CHECK, Verdict, VerificationRequest
from exchange.purpose_commands import OpenPurposeServices
from exchange.receipts.checking import VerifiedReceipt, verify_receipt
from exchange.verification.service import Verifications
from foundation.actor import Actor, ActorKind

OpenVerifications = Callable[[], AbstractContextManager[Verifications]]

TERMINAL = Actor(ActorKind.SYSTEM, "terminal", name="operator at the terminal")
GENUINE, FALSE, NOT_YET = 0, 3, 4


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command prints, and the exit code it ends with."""

    exit_code: int
    report: dict[str, Any]
    lines: Sequence[str]


def add_verify(app: typer.Typer, open_verifications: OpenVerifications) -> None:
    """Add `verify` to the command line."""

    @app.command("verify", help=__doc__)
    def verify(
        file: Annotated[Path | None, typer.Argument(help="a sealed file")] = None,
        number: Annotated[str, typer.Option(help="licence number or identifier")] = "",
        qr: Annotated[str, typer.Option(help="the text of a QR code")] = "",
        receipt: Annotated[Path | None, typer.Option(help="a receipt file")] = None,
        trust_anchor: Annotated[Path | None, typer.Option(help="root certificate, PEM")] = None,
        ledger_key: Annotated[list[str] | None, typer.Option(help="verifier key")] = None,
        purpose: Annotated[str, typer.Option()] = PUBLIC_CHECK,
        legal_basis: Annotated[str, typer.Option()] = "",
        case_ref: Annotated[str, typer.Option("--case")] = "",
        json: Annotated[bool, typer.Option("--json")] = False,
    ) -> None:
        if receipt is not None:
            outcome = check_receipt(receipt, trust_anchor, ledger_key or (), open_verifications)
        else:
            request = VerificationRequest(
                number=number,
                document=file.read_bytes() if file else b"",
                qr_text=qr,
                purpose=purpose,
                legal_basis=legal_basis,
                case_ref=case_ref,
            )
            with open_verifications() as verifications:
                outcome = check_certificate(verifications, request)
        if json:
            typer.echo(orjson.dumps(outcome.report, option=orjson.OPT_INDENT_2))
        else:
            typer.echo("\n".join(outcome.lines))
        raise typer.Exit(outcome.exit_code)


def add_purposes(app: typer.Typer, open_services: OpenPurposeServices) -> None:
    """Add `purposes …` to the command line."""
    app.add_typer(purpose_commands.build(open_services), name="purposes")


def check_certificate(
    verifications: Verifications, request: VerificationRequest, actor: Actor = TERMINAL
) -> CommandResult:
    """Verify by number, file or QR text, under the same rules as the API."""
    verdict = verifications.verify_now(actor, request)
    report = dict(to_json(verifications, verdict))
    return CommandResult(rules.exit_code(verdict.verdict), report, list(_lines(verdict)))


def check_receipt(
    path: Path,
    trust_anchor: Path | None,
    ledger_keys: Sequence[str],
    open_verifications: OpenVerifications,
) -> CommandResult:
    """Check a receipt file; with both anchors given, nothing but the files is read."""
    if trust_anchor is not None and ledger_keys:
        return judge_receipt(path.read_bytes(), trust_anchor.read_bytes(), ledger_keys)
    with open_verifications() as verifications:
        own_root, own_keys = verifications.anchors()
    anchor = trust_anchor.read_text() if trust_anchor else own_root
    return judge_receipt(path.read_bytes(), anchor, ledger_keys or own_keys)


def judge_receipt(
    file: bytes, trust_anchor: str | bytes, ledger_keys: Sequence[str]
) -> CommandResult:
    """The pure part: bytes and anchors in, outcome out."""
    try:
        verified = verify_receipt(file, trust_anchor, ledger_keys)
    except ReceiptInvalid as problem:
        report = {"genuine": False, "code": problem.code, "detail": problem.detail}
        return CommandResult(FALSE, report, [f"not genuine: {problem.detail} ({problem.code})"])
    report = {
        "genuine": True,
        "in_log": verified.in_log,
        "claims": dict(verified.claims),
        "entries": [
            {
                "opened": dict(entry.opened),
                "index": entry.proof.index if entry.proof else None,
                "facts": dict(entry.facts),
            }
            for entry in verified.entries
        ],
    }
    return CommandResult(
        GENUINE if verified.in_log else NOT_YET, report, list(_receipt_lines(verified))
    )


def _lines(verdict: Verdict) -> Sequence[str]:
    lines = [f"{verdict.verdict}  {verdict.type or '-'}  {verdict.authority_name or '-'}"]
    lines += [
        f"  {check.name:10} {check.result:8} {check.code:22} {check.detail}"
        for check in verdict.checks
    ]
    lines += [f"  {name}: {value}" for name, value in verdict.fields.items()]
    lines.append(f"receipt {verdict.receipt_id}")
    if verdict.next_step:
        lines.append(f"next: {verdict.next_step}")
    return lines


def _receipt_lines(verified: VerifiedReceipt) -> Sequence[str]:
    claims = verified.claims
    asker = claims.get("asker", {})
    lines = [f"genuine: signed by {verified.signer}"]
    lines.append(f"asked by {asker.get('organisation_name') or asker.get('id') or '-'}")
    for entry in verified.entries:
        where = (
            f"number {entry.proof.index} of {entry.proof.checkpoint.origin}"
            if (entry.proof)
            else "not yet in the log: fetch the file again in a minute"
        )
        lines.append(f"{entry.facts.get('verdict')} at {entry.facts.get('at')}, {where}")
        lines += [f"  {name}: {value}" for name, value in sorted(entry.opened.items())]
    return lines
