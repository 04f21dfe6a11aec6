"""When the virtual environment is made anew, and when nothing is done."""

from pathlib import Path

import pytest

from tools import environment
from tools.environment import CannotInstall, Environment, installing_part

PROJECT = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "lading"\n'


class Checkout(Environment):
    """A folder with a lock and a project, in which commands are only noted down."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(root)
        self.ran: list[str] = []
        self.failing: str | None = None
        (root / "requirements.lock").write_text(
            "click==8.5.1 \\\n    --hash=sha256:00\nrich==15.0.0 \\\n    --hash=sha256:01\n"
        )
        (root / "pyproject.toml").write_text(PROJECT)
        patch.setattr(environment, "_run", self.run)
        patch.setattr(environment, "_runs", lambda _: True)

    def run(self, argv: list[str]) -> None:
        if self.failing and self.failing in argv:
            raise CannotInstall("no")
        if "venv" in argv:
            self.python.parent.mkdir(parents=True, exist_ok=True)
            self.python.touch()
        self.ran.append("venv" if "venv" in argv else "packages" if "--require-hashes" in argv else "lading")

    def made_again(self) -> list[str]:
        """Make it if it is not ready, and return what was done."""
        self.ran.clear()
        if not self.is_ready():
            self.make()
        return self.ran


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    made = Checkout(tmp_path, monkeypatch)
    assert made.made_again() == ["venv", "packages", "lading"]
    return made


def test_nothing_is_done_twice(checkout: Checkout) -> None:
    assert checkout.made_again() == []


def test_a_new_lock_is_installed_into_what_is_there(checkout: Checkout) -> None:
    (checkout.root / "requirements.lock").write_text("click==8.6.0\n")

    assert checkout.made_again() == ["packages", "lading"]
    assert checkout.made_again() == []


def test_a_new_project_table_installs_lading_alone(checkout: Checkout) -> None:
    (checkout.root / "pyproject.toml").write_text(PROJECT + 'version = "2"\n')

    assert checkout.made_again() == ["lading"]


def test_a_linters_setting_installs_nothing(checkout: Checkout) -> None:
    (checkout.root / "pyproject.toml").write_text(PROJECT + "[tool.ruff]\nline-length = 120\n")

    assert checkout.made_again() == []


def test_what_was_broken_off_is_made_from_the_start(checkout: Checkout) -> None:
    (checkout.root / "requirements.lock").write_text("click==8.6.0\n")
    checkout.failing = "--require-hashes"
    with pytest.raises(CannotInstall):
        checkout.made_again()
    checkout.failing = None

    assert checkout.made_again() == ["venv", "packages", "lading"]


@pytest.mark.parametrize("broken", ["no json", '["a list"]'])
def test_a_broken_stamp_counts_as_none(checkout: Checkout, broken: str) -> None:
    checkout.stamp.write_text(broken)

    assert checkout.made_again() == ["venv", "packages", "lading"]


def test_a_copied_checkout_makes_its_own(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    other = Checkout(copy, monkeypatch)
    other.python.parent.mkdir(parents=True)
    other.python.touch()
    other.stamp.write_text(checkout.stamp.read_text())

    assert other.made_again() == ["venv", "packages", "lading"]


def test_an_interpreter_that_is_gone_is_replaced(checkout: Checkout) -> None:
    checkout.python.unlink()

    assert checkout.made_again()[0] == "venv"


def test_only_what_installing_reads_counts() -> None:
    hatch = "[tool.hatch.build.targets.wheel]\npackages = ['src/lading']\n"

    assert installing_part(PROJECT) == installing_part(PROJECT + "[tool.mypy]\nstrict = true\n")
    assert installing_part(PROJECT) != installing_part(PROJECT + hatch)


def test_a_failing_command_tells_its_last_lines() -> None:
    with pytest.raises(CannotInstall, match=r"(?s)'sh' ended with 4:.*no such package"):
        environment._run(["sh", "-c", "echo 'no such package' >&2; exit 4"])
    assert not environment._runs(["/no/such/python"])
