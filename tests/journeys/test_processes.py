"""The program as it is started: `./run demo`, and the processes of docker-compose.yml."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from server.sandbox.demo import Story
from tests.simulators.office import HERE, Office, free_port
from tests.simulators.postgresql import Cluster

STEPS = len(Story.STEPS)


def demo(folder: Path, path: str) -> "subprocess.CompletedProcess[str]":
    """`./run demo --once` with a PATH of one's own, on free ports."""
    environment = {
        "PATH": path,
        "YINZHENG_DATA_DIR": str(folder),
        "YINZHENG_PORT": str(free_port()),
        "YINZHENG_MANAGEMENT_PORT": "0",
    }
    command = [sys.executable, str(HERE / "run"), "demo", "--once"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nonexistent"], ids=["whole", "reduced"])
def test_the_demo_walks_the_mission_and_ends_with_0(tmp_path: Path, path: str) -> None:
    """Reduced: no PostgreSQL, no browser, no HSM, no shell tool is found."""
    done = demo(tmp_path, path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^  ✓ ", done.stdout, re.MULTILINE)) == STEPS
    assert "✗" not in done.stdout
    assert "mission accomplished" in done.stdout


def test_the_demo_says_which_step_went_wrong_and_ends_with_1(tmp_path: Path) -> None:
    """The house is there, but at another address than it says it is."""
    environment = {
        **os.environ,
        "YINZHENG_DATA_DIR": str(tmp_path),
        "YINZHENG_PORT": str(free_port()),
        "YINZHENG_PUBLIC_URL": f"http://localhost:{free_port()}",
        "YINZHENG_MANAGEMENT_PORT": "0",
    }
    command = [sys.executable, "-m", "server", "demo", "--once"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert "✗  1 open" in done.stdout


@pytest.mark.postgres
def test_the_compose_processes_run_against_postgresql(compose: Office, tmp_path: Path) -> None:
    """migrate once, then web and worker apart, with the environment of docker-compose.yml."""
    assert compose.cli("migrate") == "the schema is current\n"
    worker_port = free_port()
    compose.start("worker", YINZHENG_MANAGEMENT_PORT=str(worker_port))
    compose.wait_until_ready(worker_port)
    compose.start("serve")
    compose.wait_until_ready()

    story = Story(compose.origin, compose.new_secret, compose.fsck)
    verdicts = [step() for _, step in story.steps()]
    story.close()

    assert len(verdicts) == STEPS
    assert '"schema":"ok"' in compose.cli("health")


@pytest.mark.postgres
def test_nothing_starts_on_a_schema_that_was_not_migrated(compose: Office) -> None:
    for word in ("serve", "worker"):
        process = compose.start(word)
        assert process.wait(timeout=60) == 5
    assert "next: python -m server migrate" in compose.said()


@pytest.fixture
def compose(cluster: Cluster, tmp_path: Path) -> Iterator[Office]:
    """An office with the settings that the compose file gives its containers."""
    declared = yaml.safe_load((HERE / "docker-compose.yml").read_text())
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    make_secrets(secrets)
    (tmp_path / "logs").mkdir()
    url = cluster.url(f"compose_{os.getpid()}_{free_port()}")
    office = Office(tmp_path / "logs", url)
    environment = substituted(declared["services"]["web"]["environment"], office.origin, secrets)
    office.settings |= environment | {
        "YINZHENG_DATABASE_URL": url,
        "YINZHENG_DATA_DIR": "/dev/null/nothing-can-be-written-here",
        "YINZHENG_HOST": "127.0.0.1",
    }
    yield office
    office.stop()


def make_secrets(folder: Path) -> None:
    """With the very commands that the head of the compose file gives."""
    head = (HERE / "docker-compose.yml").read_text()
    (commands,) = re.findall(r"^#   (\(umask 077; .*\))$", head, re.MULTILINE)
    subprocess.run(["sh", "-c", commands], cwd=folder.parent, check=True)


def substituted(environment: Mapping[str, str], origin: str, secrets: Path) -> dict[str, str]:
    """`${NAME:-default}` as compose reads it, and /run/secrets where they are here."""
    given = {"YINZHENG_PUBLIC_URL": origin}

    def value(match: "re.Match[str]") -> str:
        return given.get(match.group(1), match.group(2))

    filled = {k: re.sub(r"\$\{(\w+):-([^}]*)\}", value, v) for k, v in environment.items()}
    return {k: v.replace("/run/secrets", str(secrets)) for k, v in filled.items()}
