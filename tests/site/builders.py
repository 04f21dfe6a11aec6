"""Both programs that build the site."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("data", "docs", "evidence", "playbooks", "recipes", "src")
BUILDERS = {"mkdocs": ["build", "--strict"], "zensical": ["build", "--strict", "--clean"]}


def build(builder: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder."""
    words = [str(Path(sys.executable).with_name(builder)), *BUILDERS[builder]]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)


def build_well(builder: str, folder: Path) -> Path:
    """Build the site of a folder, which has to succeed; return where it is."""
    done = build(builder, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def copy_repository(folder: Path) -> None:
    """Copy what this repository's site is made from."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [*ROOT.glob("*.md"), ROOT / "glossary.yml", ROOT / "mkdocs.yml"]:
        shutil.copy(file, folder)
    subprocess.run(["git", "init", "--quiet", folder], check=True)


def dress(folder: Path) -> None:
    """Give the pages of a folder this site's settings and looks, but for what needs its own pages and modules."""
    pages = sorted(file.relative_to(folder / "docs").as_posix() for file in (folder / "docs").rglob("*.md"))
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    settings |= {"plugins": [], "nav": pages}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    shutil.copytree(ROOT / "docs/assets", folder / "docs/assets")
