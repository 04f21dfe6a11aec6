"""Which guest image a run has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
