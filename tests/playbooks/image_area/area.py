"""What the tests of `image-area` work with: its modules, and signed images as a builder publishes them."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.conftest import Keys
from tests.playbooks.container_image import SIGNER
from tests.playbooks.modules import ROLES

FOLDER = ROLES / "image_area_server" / "files" / "image-area"
NAMES = ("signed", "objects", "area", "main")

FILES = {
    "usr/bin/tool": "#!/bin/sh\necho 1\n",
    "usr/lib/one": "the same",
    "usr/lib/other": "the same",
    "usr/lib/a b\\c": "a name that has to be written otherwise",
    "etc/empty": "",
}


class Builder:
    """Where images are built: it signs what tests put into a tree."""

    def __init__(self, folder: Path, keys: Keys, tool: Any) -> None:
        self.folder, self.keys, self.tool = folder, keys, tool
        self.keyring = keys.export(folder / "trusted.gpg", f"={SIGNER}")

    def image(self, version: str, files: Mapping[str, str | bytes] = FILES, name: str = "base") -> Path:
        """Return the folder of a signed image with these files."""
        place = self.folder / name / version
        tree = place / "tree"
        for path, content in files.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            file.chmod(0o755 if "bin/" in path else 0o644)
        (tree / "bin").symlink_to("usr/bin")
        (tree / "opt").mkdir()
        (tree / "opt").chmod(0o555)
        for folder, _, _ in os.walk(tree):
            Path(folder).chmod(0o555 if folder.endswith("/opt") else 0o755)
        return self.sign(place, name, version)

    def sign(self, place: Path, name: str, version: str, listing: str | None = None) -> Path:
        """Write and sign what a builder tells of a tree; `listing` is one that it should not be."""
        text = self.tool.contents.listing(place / "tree") if listing is None else listing
        (place / "tree.mtree").write_text(text)
        (place / "sbom.spdx.json").write_text("{}\n")
        digests = {form: f"sha256:{self.tool.words.sha256(place / file)}"
                   for form, file in (("tree", "tree.mtree"), ("sbom", "sbom.spdx.json"))}  # fmt: skip
        head = {"name": name, "version": version}
        said = {**head, **{form: {"digest": digest} for form, digest in digests.items()}}
        (place / "manifest.json").write_text(json.dumps(said))
        self.keys.sign(place / "manifest.json", f"={SIGNER}")
        current = place.parent / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(version)
        return place


CHANGED = {**FILES, "usr/bin/tool": "#!/bin/sh\necho 2\n"}


def publish(area: Any, builder: Builder, folder: Path) -> str:
    with area.locked():
        return str(area.publish(folder, builder.keyring))


def refusal(program: Any, action: Callable[[], object]) -> str:
    with pytest.raises(program.signed.Refused) as caught:
        action()
    return str(caught.value)


def says(area: Any, name: str = "base") -> str:
    """Return what the tool of the image in use says."""
    return str((area.root / name / "current/tree/usr/bin/tool").read_text()).split()[-1]


def inode(area: Any, path: str) -> int:
    return int((area.root / path).lstat().st_ino)


def left_over(area: Any) -> list[str]:
    return sorted(path.name for path in area.work.iterdir())
