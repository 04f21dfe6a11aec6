"""Builds the site, strictly: a warning is an error."""

import sys
from pathlib import Path

from lading import process
from lading.narrator import Narrator
from lading.project import Catalogue


def build_site(catalogue: Catalogue, narrator: Narrator) -> Path:
    """Build the site into `site/` and return that folder.

    Raises:
        LabError: MkDocs is missing, or found something wrong.
    """
    with narrator.step("Building the site"):
        mkdocs = Path(sys.executable).with_name("mkdocs")
        process.run([mkdocs, "build", "--strict", "--quiet", "--site-dir", catalogue.site], cwd=catalogue.root)
    return catalogue.site
