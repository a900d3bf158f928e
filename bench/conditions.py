"""Under which conditions a figure was made: it means nothing without them."""

import json
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.harness import ROOT

PACKAGES = ("cryptography", "fastapi", "orjson", "pyhanko", "sqlalchemy", "typst", "uvicorn")


def conditions(seconds: float) -> dict[str, Any]:
    """Machine, versions, and how long each side of a row was measured."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in PACKAGES},
        "seconds": seconds,
        "rival": rival(),
        "load": round(os.getloadavg()[1], 1),
    }


def rival() -> str:
    """oidc-provider and its runtime; "" when it is not installed."""
    manifest = ROOT / "bench/rivals/oidc-provider/node_modules/oidc-provider/package.json"
    if not manifest.exists():
        return ""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    known = json.loads(manifest.read_text())["version"]
    return f"oidc-provider {known} on Node {node.stdout.strip().removeprefix('v')}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
