"""The compose file and the Dockerfile say what the operations page promises."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COMPOSE = Path("docker-compose.yml")


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def test_the_compose_file_follows_the_compose_schema() -> None:
    command = [Path(sys.executable).parent / "check-jsonschema"]
    arguments = ["--builtin-schema", "vendor.compose-spec", COMPOSE]

    outcome = subprocess.run([*command, *arguments], capture_output=True, text=True)

    assert outcome.returncode == 0, outcome.stdout


def test_the_schema_check_catches_a_wrong_compose_file(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("read_only: true", "read_only: [perhaps]"))
    command = [Path(sys.executable).parent / "check-jsonschema"]

    outcome = subprocess.run(
        [*command, "--builtin-schema", "vendor.compose-spec", wrong], capture_output=True
    )

    assert outcome.returncode != 0


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_our_containers_have_no_root_no_writable_disk_and_no_privileges(
    services: dict, name: str
) -> None:
    service = services[name]

    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_the_web_waits_for_the_schema_and_says_whether_it_is_healthy(services: dict) -> None:
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == (
            "service_completed_successfully"
        )
        assert services[name]["healthcheck"]["test"][-1] == "health"
    assert services["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"


def test_no_secret_stands_in_the_compose_file(services: dict) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE"), (name, value)


def test_every_setting_of_the_compose_file_is_one_of_ours(services: dict) -> None:
    from server.settings import PREFIX, Settings

    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for service in services.values():
        ours = {name for name in service.get("environment", {}) if name.startswith(PREFIX)}
        assert ours <= known


def test_the_image_copies_every_package_that_is_shipped() -> None:
    dockerfile = Path("Dockerfile").read_text()
    for package in Path().glob("*/__init__.py"):
        if package.parent.name not in {"tests", "bench"}:
            assert f"COPY {package.parent} {package.parent}" in dockerfile
