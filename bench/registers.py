"""Filled registers: the same licences at 10^3, 10^5 and 10^6, each size grown from the one before.

A register is a folder with a database and its master key. Its ledger entries have their numbers, as
a worker would have given them. A client of an asking department is registered; its secret lies
beside the database.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import Asked
from bench.harness import scratch
from bench.services import TYPE, BenchServices, Office
from certificates.identifier import organisation_check
from foundation.actor import SYSTEM
from idp import Client

ISSUER = "https://bench.yinzheng.test"
ASKER = "11990000MB1A00036" + organisation_check("11990000MB1A00036")
PURPOSE = "food-inspection"
BASIS = "《中华人民共和国食品安全法》第一百一十条"
SECRET = "client.secret"
FILES = ("rooms.db", "master.key", SECRET)


@contextmanager
def registers(asked: Asked) -> Iterator[dict[int, Path]]:
    """A private copy of a register for each of `asked.rows`, so that a run changes no kept one."""
    with scratch() as name:
        folder = Path(name)
        kept = asked.registers or folder / "kept"
        yield {
            size: _copy(source, folder / str(size))
            for size, source in filled(kept, asked.rows).items()
        }


def filled(folder: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """Registers of all `sizes` in `folder`; those that are there are not made again."""
    made: dict[int, Path] = {}
    before: Path | None = None
    size_before = 0
    for size in sorted(sizes):
        target = folder / f"register-{size}"
        if not target.exists():
            building = folder / f"building-{size}"
            shutil.rmtree(building, ignore_errors=True)
            if before is None:
                _open_office(building)
            else:
                _copy(before, building)
            _grow(building, size_before, size)
            building.rename(target)
        made[size] = before = target
        size_before = size
    return made


def _open_office(folder: Path) -> None:
    folder.mkdir(parents=True)
    services = BenchServices(folder, ISSUER)
    Office.open(services)
    (folder / SECRET).write_text(register_asker(services))
    services.close()


def _grow(folder: Path, start: int, size: int) -> None:
    began = time.monotonic()
    services = BenchServices(folder, ISSUER)
    Office.found(services).fill(size, start)
    while services.ledger.integrate(4096):
        pass
    services.close()
    spent = time.monotonic() - began
    print(f"  filled a register of {size:,} licences in {spent:.0f} s", file=sys.stderr)


def register_asker(services: BenchServices) -> str:
    """A client of the asking department; answers its secret."""
    names = dict.fromkeys(("zh-Hans", "zh-Hant", "en"), "Bench")
    client = Client(
        client_id="bench",
        profile="standard",
        token_endpoint_auth_method="client_secret_basic",
        name=names,
        purpose=names,
        organisation=ASKER,
        organisation_name="示例市食品安全局",
        grant_types=("client_credentials",),
        scopes=("certificates.verify",),
        resources=(services.idp.api_audience,),
    )
    with services.database.write() as tx:
        services.purposes.grant(tx, ASKER, TYPE, PURPOSE)
        return services.idp.clients.register(tx, client, by=SYSTEM).client_secret


def _copy(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for name in FILES:
        shutil.copy2(source / name, target / name)
    return target
