"""What `./run check` finds in a test that names what is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUBJECT = "tests/foundation/test_ids.py"
PLANTED = {
    "a name that its module does not have": ("import leading_uuid, uuid7", "import lead, uuid7"),
    "a module that is not there": ("from foundation.ids import", "from foundation.idz import"),
    "a name that nobody defined": ("uuid7(NOW)", "uuid7(THEN)"),
    "an attribute of a value": ("uuid.UUID(uuid7(NOW))", "uuid.UUID(uuid7(NOW)).versoin"),
    "an argument that nobody takes": ("uuid7(NOW)", "uuid7(NOW, then=NOW)"),
}


def test_a_test_whose_names_are_right_passes() -> None:
    assert types_of(ROOT / SUBJECT).returncode == 0


@pytest.mark.parametrize(("right", "wrong"), PLANTED.values(), ids=PLANTED)
def test_a_wrong_name_in_a_test_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    text = (ROOT / SUBJECT).read_text()
    assert right in text
    copy = tmp_path / "copy.py"
    copy.write_text(text.replace(right, wrong))

    found = types_of(copy)

    assert found.returncode == 1, found.stdout
    assert found.stdout.startswith(f"{SUBJECT}:")


def types_of(content: Path) -> subprocess.CompletedProcess[str]:
    """mypy, as the project configures it, over the subject as if it said `content`."""
    mypy = (sys.executable, "-m", "mypy", "--cache-dir", "/dev/null")
    shadow = ("--shadow-file", SUBJECT, str(content), SUBJECT)
    return subprocess.run([*mypy, *shadow], cwd=ROOT, capture_output=True, text=True)
