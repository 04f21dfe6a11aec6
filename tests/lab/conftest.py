"""A laboratory for the tests that boot: one image and one snapshot, shared by all of them."""

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab, opened_lab
from lading.lab.layer import Layer
from lading.lab.snapshot import LAYER
from lading.lab.workspace import KINDS, Workspace, opened_workspace
from lading.narrator import Narrator
from lading.project import cache_root, find_catalogue
from lading.recipe.platforms import Platform, load_platforms

ROOT = Path(__file__).parents[2]


def listening() -> tuple[Narrator, io.StringIO]:
    """Return a narrator and what it says."""
    said = io.StringIO()
    return Narrator(Console(file=said, width=1000)), said


@pytest.fixture(scope="session")
def debian13() -> Platform:
    return load_platforms(find_catalogue(start=ROOT))["debian13"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with opened_workspace() as workspace, opened_lab(workspace) as lab:
        yield lab


@pytest.fixture(scope="session")
def image(lab: Lab, debian13: Platform) -> GuestImage:
    return lab.image("debian13", debian13)


@pytest.fixture
def guest(lab: Lab, image: GuestImage, tmp_path: Path) -> Iterator[Guest]:
    with lab.guest("worker1", image, tmp_path) as guest:
        yield guest


@pytest.fixture
def cache_with_image(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own that has the image and nothing else."""
    cache = tmp_path / "cache"
    (cache / "images").mkdir(parents=True)
    # Hard links where it can be: the disk is only read.
    linked = subprocess.run(["cp", "-al", image.folder, cache / "images"], check=False)
    if linked.returncode:
        subprocess.run(["cp", "-a", "--sparse=always", image.folder, cache / "images"], check=True)
    (cache / "facts").mkdir()
    subprocess.run(["cp", "-a", f"{cache_root()}/facts/.", cache / "facts"], check=True)
    monkeypatch.setenv("LADING_CACHE", str(cache))
    return cache


@contextmanager
def workspace_in(cache: Path, narrator: Narrator | None = None) -> Iterator[Workspace]:
    """Open a workspace in a given cache."""
    before = os.environ.get("LADING_CACHE")
    os.environ["LADING_CACHE"] = str(cache)
    try:
        with opened_workspace(narrator) as workspace:
            yield workspace
    finally:
        if before is None:
            del os.environ["LADING_CACHE"]
        else:
            os.environ["LADING_CACHE"] = before


def forget_layer(cache: Path, layer: Layer) -> None:
    """Remove a test's own layer, on whatever machine: nobody else has a use for it, and it is large."""
    for told in (cache / "snapshots").glob(f"*/{LAYER}"):
        if json.loads(told.read_text())["key"] == layer.key:
            shutil.rmtree(told.parent)


def left_behind(cache: Path) -> list[str]:
    """Return what a run should not leave in a cache: temporary folders, and things that are not whole."""
    left = [str(path) for path in (cache / "tmp").iterdir()]
    left += [str(path) for path in (cache / "images").iterdir() if not (path / "complete").exists()]
    left += [str(path) for path in (cache / "snapshots").iterdir() if not (path / "digests.json").exists()]
    assert set(KINDS) >= {path.name for path in cache.iterdir()}
    return left
