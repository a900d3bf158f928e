"""Seals and credentials: PDF B-T and B-LT against pyHanko, SD-JWT VC against the bare signature.

Everyone seals the same file, a licence page of our own renderer, over the same in-process
time-stamp authority with P-256 keys; ours reads back what it made, and checks the approval of two
people. After the row each side's last file must be intact and certified in the eyes of pyHanko.

An SD-JWT VC of 12 claims is compared with the P-256 operation inside it.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench import Asked, Row, inprocess
from bench.harness import Measured, RowFailed, not_measured, scratch
from bench.registers import ISSUER
from bench.rival_pyhanko import PyHanko, validate
from bench.services import BenchServices, Office
from certificates.bulk.store import STEP
from certificates.issuing.rendering import IssuedParts
from keys.custody.signing_policy import PendingUses
from keys.encoding.jose import VerificationKey
from signing.formats import sd_jwt_vc
from signing.models import Level

STOCK, TUNED, ALONE = "pyHanko", "pyHanko tuned", "one by one"
LT, STOCK_LT, TUNED_LT = "yinzheng B-LT", "pyHanko B-LT", "pyHanko tuned B-LT"
SEAL = "seal a PDF we rendered, B-T, P-256, in batches"
SEAL_ALONE = "the same one by one, each use of the key committed before it signs"
SEAL_LT = "the same in batches at B-LT, with certificates and revocation lists"
SEALS = STEP  # in one turn: as many as a batch worker commits at once
ES256 = ec.ECDSA(hashes.SHA256())
CREDENTIAL_USE = "bench.credentials"
CLAIMS = {f"claim_{at:02d}": f"示例市第{at}号面馆有限公司" for at in range(12)}
REPEATS = 20  # operations in one turn of the credential rows: CPU clocks are coarse


def run(asked: Asked) -> list[Row]:
    """The rows of `asked.words`, about `asked.seconds` for each contender."""
    rows: list[Row] = []
    with scratch() as name:
        services = BenchServices(Path(name), ISSUER)
        try:
            bench = _Bench(Office.open(services))
            if "seal" in asked.words:
                rows += [*bench.seal_pdf(asked.seconds), *_credentials(services, asked.seconds)]
            if "verify-pdf" in asked.words:
                rows.append(bench.verify_pdf(asked.seconds))
        finally:
            services.close()
    return rows


class _Bench:
    """One approved page, and how each side seals it."""

    def __init__(self, office: Office) -> None:
        self._services, self._seal = office.services, office.seal
        kind, now = office.services.kind(), datetime.now(UTC)
        self._order = office.order(kind, 1, now)
        self._box = kind.layout.seal_box
        issued = IssuedParts(secrets.token_urlsafe(3000), "YZ1:" + secrets.token_hex(240).upper())
        self._pdf = office.services.certificates.renderer.pdf(
            kind, self._order.content, now, issued
        )
        keys = office.services.keys
        root, lists = keys.authority.certificate("root"), keys.revocation_lists("tsa")
        self._rival = PyHanko(keys.timestamps, self._seal.picture, self._box, root, lists)
        self._roots = [root, self._rival.root]

    def seal_pdf(self, seconds: float) -> list[Measured]:
        """B-T, visible, no changes allowed."""
        last: dict[str, bytes] = {}

        def remember(name: str, seal: Callable[[], bytes]) -> Callable[[], object]:
            def turn() -> None:
                for _ in range(SEALS):
                    last[name] = seal()

            return turn

        def batch(name: str, level: Level) -> inprocess.Prepare:
            return lambda: lambda: last.__setitem__(name, self._batch(level))

        contenders: dict[str, inprocess.Prepare] = {
            "yinzheng": batch("yinzheng", "B-T"),
            LT: batch(LT, "B-LT"),
            ALONE: lambda: remember(ALONE, self._ours),
            STOCK: lambda: remember(STOCK, self._rival.stock(self._pdf)),
            TUNED: lambda: remember(TUNED, self._rival.tuned(self._pdf)),
            STOCK_LT: lambda: remember(STOCK_LT, self._rival.stock_with_evidence(self._pdf)),
            TUNED_LT: lambda: remember(TUNED_LT, self._rival.tuned_with_evidence(self._pdf)),
        }
        spent = inprocess.in_turns(contenders, seconds)
        try:
            for name, pdf in last.items():
                _must_be_certified(name, pdf, self._roots)
                if (b"/DSS" in pdf) != name.endswith("B-LT"):
                    raise RowFailed(f"{name} carries the wrong evidence")
        except RowFailed as problem:
            return [not_measured(SEAL, "≥ 50×", str(problem))]
        scale = 1e3 / SEALS
        return [
            inprocess.row(SEAL, "≥ 50× (hard 140×)", spent, STOCK, scale=scale),
            inprocess.row(
                "the same against tuned pyHanko", "≥ 30× (hard 90×)", spent, TUNED, scale=scale
            ),
            inprocess.row(SEAL_ALONE, "not owed", spent, STOCK, ours=ALONE, scale=scale),
            inprocess.row(SEAL_LT, "not owed", spent, STOCK_LT, ours=LT, scale=scale),
            inprocess.row(
                "the same against tuned pyHanko, B-LT",
                "not owed",
                spent,
                TUNED_LT,
                ours=LT,
                scale=scale,
            ),
        ]

    def verify_pdf(self, seconds: float) -> Measured:
        """Is it sealed, by whom, when, unchanged, under which seal? Against pyHanko's answer to
        the first four."""
        sealed = self._ours()
        if self._services.signing.validate_pdf(sealed).indication != "valid":
            raise RowFailed("our own seal is not valid")
        contenders: dict[str, inprocess.Prepare] = {
            "yinzheng": lambda: lambda: self._services.signing.validate_pdf(sealed),
            STOCK: lambda: lambda: validate(sealed, self._roots),
        }
        spent = inprocess.in_turns(contenders, seconds)
        return inprocess.row("validate a sealed PDF, B-T", "not owed", spent, STOCK)

    def _batch(self, level: Level) -> bytes:
        """As a batch worker seals: the uses of the key are recorded in one commit, with the last
        of the documents."""
        pending_uses = [PendingUses() for _ in range(SEALS)]
        sealed = [self._ours(pending_uses, level) for pending_uses in pending_uses]
        with self._services.database.write() as tx:
            self._services.keys.keep(tx, pending_uses)
        return sealed[-1]

    def _ours(self, pending_uses: PendingUses | None = None, level: Level = "B-T") -> bytes:
        order = self._order
        return self._services.signing.seal_pdf(
            self._seal,
            self._pdf,
            order.approval,
            content_digest=order.content.digest,
            now=datetime.now(UTC),
            box=self._box,
            level=level,
            pending_uses=pending_uses,
        ).data


def _must_be_certified(name: str, pdf: bytes, roots: list[bytes]) -> None:
    status = validate(pdf, roots)
    good = status.intact and status.valid and status.trusted and status.docmdp_ok
    if not good or status.timestamp_validity is None or not status.timestamp_validity.trusted:
        raise RowFailed(f"{name}: {status.summary()}")


# --- credentials --------------------------------------------------------------------------------


def _credentials(services: BenchServices, seconds: float) -> list[Measured]:
    services.keys.ensure(CREDENTIAL_USE)
    key = ec.generate_private_key(ec.SECP256R1())
    message = secrets.token_bytes(1200)
    signature = key.sign(message, ES256)
    public = key.public_key()
    trusted = services.keys.trusted(CREDENTIAL_USE)
    texts = iter(_issue(services) for _ in range(1 << 30))

    def verify() -> Callable[[], object]:
        fresh = [next(texts) for _ in range(REPEATS)]  # never one that was seen before
        return lambda: [_disclosed(text, trusted) for text in fresh]

    issued = inprocess.in_turns(
        {
            "yinzheng": lambda: _repeat(lambda: _issue(services)),
            "raw P-256 sign": lambda: _repeat(lambda: key.sign(message, ES256)),
        },
        seconds,
    )
    verified = inprocess.in_turns(
        {
            "yinzheng": verify,
            "raw P-256 verify": lambda: _repeat(lambda: public.verify(signature, message, ES256)),
        },
        seconds,
    )
    unit, scale = "CPU µs", 1e6 / REPEATS
    return [
        inprocess.row(
            "SD-JWT VC, 12 claims: issue", "≤ 6× raw sign (hard 4.5)", issued,
            "raw P-256 sign", floor=True, unit=unit, scale=scale,
        ),
        inprocess.row(
            "SD-JWT VC, 12 claims: verify", "≤ 3× raw verify (hard 2.2)", verified,
            "raw P-256 verify", floor=True, unit=unit, scale=scale,
        ),
    ]  # fmt: skip


def _repeat(work: Callable[[], object]) -> Callable[[], object]:
    return lambda: [work() for _ in range(REPEATS)]


def _issue(services: BenchServices) -> str:
    now = datetime.now(UTC)
    return sd_jwt_vc.issue(
        services.keys,
        CREDENTIAL_USE,
        vct="https://bench.yinzheng.test/vct",
        claims=CLAIMS,
        disclosable=tuple(CLAIMS),
        iss=ISSUER,
        iat=now,
        exp=now + timedelta(days=365),
        status={"status_list": {"idx": 4711, "uri": f"{ISSUER}/status-lists/1"}},
    )


def _disclosed(text: str, trusted: Callable[[Any], VerificationKey | None]) -> frozenset[str]:
    answer = sd_jwt_vc.verify(text, key_for=trusted, now=datetime.now(UTC))
    if len(answer.disclosed) != len(CLAIMS):
        raise RowFailed("a claim was lost")
    return answer.disclosed
