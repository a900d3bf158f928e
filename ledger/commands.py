"""`ledger fsck`, `checkpoint`, `keys`, `proof`, `verify-proof`, `monitor`: the auditor's terminal.

Exit codes: 0 good, 3 checked and bad, 4 could not decide. `verify-proof` and `monitor` need no
database when a key is given: they are for people outside.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import httpx
import orjson
import typer

from ledger.errors import EvidenceInvalid, LogAltered, LogForked, LogRewound
from ledger.monitor import audit, follow
from ledger.notes import VerifierKey
from ledger.proofs import Proof, verify_proof
from ledger.service import Ledger

BAD: Final = 3
UNDECIDED: Final = 4

OpenLedger = Callable[[], AbstractContextManager[Ledger]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
KeyOption = Annotated[
    list[str] | None, typer.Option("--key", help="a trusted verifier key (vkey); may be repeated")
]


def build(open_ledger: OpenLedger) -> typer.Typer:
    """The commands over the ledger that `open_ledger` opens and closes."""
    app = typer.Typer(help="The append-only record: check it, prove from it.", no_args_is_help=True)

    @app.command()
    def fsck(
        witnessed: Annotated[
            list[Path] | None,
            typer.Option("--witnessed", help="a checkpoint kept elsewhere; may be repeated"),
        ] = None,
        json: AsJson = False,
    ) -> None:
        """Recompute everything from the entries and compare it with what is stored and signed."""
        notes = [path.read_text(encoding="utf-8") for path in witnessed or []]
        with open_ledger() as ledger:
            report = ledger.fsck(notes)
        _print(
            {
                "ok": report.ok,
                "size": report.size,
                "checkpoints": report.checkpoints,
                "erased": report.erased,
                "problems": list(report.problems),
            },
            json,
        )
        if not report.ok:
            raise typer.Exit(BAD)

    @app.command()
    def checkpoint(json: AsJson = False) -> None:
        """The latest signed checkpoint."""
        with open_ledger() as ledger:
            note = ledger.checkpoint()
        _print_text("checkpoint", note, json)

    @app.command()
    def keys(json: AsJson = False) -> None:
        """The keys that sign checkpoints, newest first, as C2SP verifier keys."""
        with open_ledger() as ledger:
            vkeys = [str(key) for key in ledger.verifier_keys()]
        if json:
            typer.echo(orjson.dumps({"keys": vkeys}))
        else:
            typer.echo("\n".join(vkeys))

    @app.command()
    def proof(entry_id: str, json: AsJson = False) -> None:
        """A proof file for one entry that stands alone; write it to `NAME.tlog-proof`."""
        with open_ledger() as ledger:
            text = ledger.proof(entry_id, with_entry=True)
        if text is None:
            _undecided("there is no integrated entry with this id")
        _print_text("proof", text, json)

    @app.command("verify-proof")
    def verify_proof_file(
        file: Annotated[Path, typer.Argument(help="a .tlog-proof file")],
        entry: Annotated[
            Path | None, typer.Option("--entry", help="the entry, if the file does not carry it")
        ] = None,
        key: KeyOption = None,
        json: AsJson = False,
    ) -> None:
        """Check a proof file, offline with `--key`, else with this installation's own keys."""
        try:
            proof = Proof.parse(file.read_text(encoding="utf-8"))
            leaf = entry.read_bytes() if entry else proof.extra
            if not leaf:
                _undecided("the file does not carry the entry: say --entry FILE")
            verified = verify_proof(leaf, str(proof), _trusted(key, open_ledger))
        except OSError as problem:
            _undecided(f"cannot read {problem.filename}")
        except (EvidenceInvalid, UnicodeDecodeError) as problem:
            _bad(problem, json)
        head = verified.checkpoint
        facts = {"ok": True, "index": verified.index, "origin": head.origin, "size": head.size}
        _print({**facts, "entry": leaf.decode()}, json)

    @app.command()
    def monitor(
        url: Annotated[str, typer.Argument(help="where the log is: https://…/ledger")],
        state: Annotated[Path, typer.Option("--state", help="keeps the last checkpoint")],
        key: KeyOption = None,
        other: Annotated[
            list[Path] | None,
            typer.Option("--other", help="a checkpoint that somebody else saw; may be repeated"),
        ] = None,
        entries: Annotated[
            bool, typer.Option(help="read every new entry, or only the proof of growth")
        ] = True,
        json: AsJson = False,
    ) -> None:
        """Check that the log at URL continues the checkpoint in the state file, and remember."""
        previous = state.read_text(encoding="utf-8") if state.exists() else ""
        others = [path.read_text(encoding="utf-8") for path in other or []]
        trusted, read = _trusted(key, open_ledger), _reader(url)
        try:
            if entries:
                audited = audit(read, trusted, previous, others=others)
                note, checked = audited.note, audited.entries
            else:
                note, checked = follow(read, trusted, previous, others=others), 0
        except (LogRewound, LogForked, LogAltered) as problem:
            _bad(problem, json)
        except (EvidenceInvalid, httpx.HTTPError) as problem:
            _undecided(f"the log could not be followed: {problem}")
        beside = state.with_name(f"{state.name}.new")
        beside.write_text(note, encoding="utf-8")
        beside.replace(state)
        if json:
            _print({"ok": True, "entries": checked, "checkpoint": note}, json)
        else:
            typer.echo(note, nl=False)

    return app


def _trusted(vkeys: list[str] | None, open_ledger: OpenLedger) -> list[VerifierKey]:
    if vkeys:
        try:
            return [VerifierKey.parse(vkey) for vkey in vkeys]
        except EvidenceInvalid as problem:
            raise typer.BadParameter(problem.detail, param_hint="--key") from None
    with open_ledger() as ledger:
        return ledger.verifier_keys()


def _reader(url: str) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        answer = httpx.get(f"{url.rstrip('/')}/{path}", timeout=30)
        return answer.raise_for_status().content

    return read


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(facts))
        return
    for name, fact in facts.items():
        lines = fact if isinstance(fact, list) else [fact]
        for line in lines:
            typer.echo(f"{name}: {line}")


def _print_text(name: str, text: str, as_json: bool) -> None:
    """A text that is a file of its own, or the same as the one member of an object."""
    typer.echo(orjson.dumps({name: text}) if as_json else text, nl=as_json)


def _bad(problem: Exception, as_json: bool) -> NoReturn:
    code = getattr(problem, "code", "evidence_invalid")
    _print({"ok": False, "code": code, "detail": str(problem)}, as_json)
    raise typer.Exit(BAD)


def _undecided(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(UNDECIDED)
