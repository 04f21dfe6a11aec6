"""Which guest image a run has, and where what test images hold comes from."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Never

import pytest

from lading import process
from lading.errors import LabError
from lading.lab import image
from lading.lab.mirror import Mirror
from lading.lab.workspace import Workspace
from lading.recipe.platforms import Platform, load_platforms
from tests.workshop import Workshop

from .conftest import workspace_in


def test_a_run_that_goes_on_over_midnight_keeps_its_image(
    tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_workspace: Workspace, _platform: Platform, _mirror: Mirror, final: Path) -> None:
        final.mkdir(parents=True)
        (final / "complete").touch()

    monkeypatch.setattr(image, "_build_guest", build)
    platform = load_platforms(workshop.catalogue)["debian13"]
    # Midnight of the day on which the next fortnight begins.
    day = datetime.now(UTC).toordinal() // image.IMAGE_DAYS * image.IMAGE_DAYS
    midnight = datetime.fromordinal(day).replace(tzinfo=UTC)

    def key(workspace: Workspace, started: datetime) -> str:
        begun = replace(workspace, started=started)
        return image.find_guest_image(begun, "debian13", platform, Mirror("http://mirror.example/debian", None)).key

    with workspace_in(tmp_path) as workspace:
        minute = timedelta(minutes=1)
        assert key(workspace, midnight - minute) == key(workspace, midnight - 2 * minute)
        assert key(workspace, midnight - minute) != key(workspace, midnight)
        assert key(workspace, midnight) == key(workspace, midnight + minute)


def test_unstable_comes_without_updates_and_from_a_mirror_that_stands_still_too() -> None:
    mirror = Mirror("http://mirror.example/debian", "http://mirror.example/security")
    assert image._sources("sid", mirror)[1] == ["deb [check-valid-until=no] http://mirror.example/debian sid main"]
    assert image._sources("trixie", mirror)[1] == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/security trixie-security main",
    ]


def built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *setup: str
) -> tuple[Path, subprocess.CompletedProcess[str], list[str]]:
    """Let a stand-in for mmdebstrap run the first hook of a test image; return the tree, the end, and the options."""
    root = tmp_path / "tree"
    for file in ("tmp/mmdebstrap.apt.conf.Ab12", "etc/apt/apt.conf.d/00mmdebstrap", "etc/passwd", "tmp/of-a-package"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    runs: list[list[str]] = []

    def run(argv: list[str], **_: object) -> Never:
        runs.append(argv)
        raise LabError("Nothing is built.")

    monkeypatch.setattr(process, "run", run)
    definition = image.TestImageDefinition("trixie", ("base-files",), setup=setup)
    mirror = Mirror("http://mirror.example/debian", None)
    with workspace_in(tmp_path) as workspace, pytest.raises(LabError, match="Nothing is built"):
        image.find_test_image(workspace, "tiny", definition, mirror)
    (argv,) = runs
    hook = next(option.removeprefix("--extract-hook=") for option in argv if option.startswith("--extract-hook="))
    done = subprocess.run(["sh", "-c", hook, "exec", root], capture_output=True, text=True, check=False)
    return root, done, argv


def test_a_test_image_has_no_path_of_this_machine_even_where_set_up_lines_move_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, done, _ = built_with(tmp_path, monkeypatch, "mkdir current", "mv etc tmp current")
    assert done.returncode == 0, done.stderr
    left = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    assert left == {"current/etc/passwd", "current/tmp/of-a-package"}


def test_mmdebstrap_does_not_clean_up_after_set_up_lines_that_may_have_moved_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run `apt-get clean` with the settings in the tree, and without them with those of this machine."""
    _, _, argv = built_with(tmp_path, monkeypatch)
    assert "--skip=cleanup" in argv


def test_a_set_up_line_that_fails_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, done, _ = built_with(tmp_path, monkeypatch, "mv no-such-file current", "touch after")
    assert done.returncode != 0
    assert not (root / "after").exists()
