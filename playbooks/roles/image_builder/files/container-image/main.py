#!/usr/bin/python3
"""One definition, one command: a container image as OCI layout, unpacked tree and SIF file, with a signed manifest."""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from build import build_oci, build_sif, build_tree, package_sources, remove
from contents import listing, packages, sbom
from definition import read_definition, refuse_name
from layout import Layout
from published import forms, move, verify
from words import Refused, as_date, as_json, run

AREA = Path(os.environ.get("CONTAINER_IMAGES", "/srv/container-images"))
PRIVATE = AREA / ".work"
INTERRUPTED = 130
"""The exit code that a shell gives to what SIGINT has ended: 128, and the signal's number."""


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a folder for one build, on the disk it will be published on, and remove what is left of it.

    Raises:
        Refused: the area is missing or another's, or another build runs.
    """
    if not AREA.is_dir() or not os.access(AREA, os.W_OK):
        raise Refused(f"'{AREA}' is no folder that this account can write to. Make it, or build as its owner.")
    PRIVATE.mkdir(exist_ok=True)
    with (PRIVATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Another build runs in '{AREA}'. Wait for its end.") from None
        _sweep()  # what a killed build has left
        made = Path(tempfile.mkdtemp(dir=PRIVATE))
        made.chmod(0o755)
        try:
            yield made
        finally:
            _sweep()


def _sweep() -> None:
    left = [path for path in PRIVATE.iterdir() if path.name != "lock"]
    if left:
        remove(*left)


def build(arguments: argparse.Namespace) -> None:
    """Build all images of a definition, and publish them: all of them, or none."""
    definition = read_definition(arguments.definition)
    sources, epoch = package_sources(definition.suite)
    with work_folder() as work:
        build_oci(definition, sources, epoch, work)
        if arguments.only_digest:
            for image in definition.images:
                digest = Layout(work / image.name / "oci").digest
                print(f"{digest} {image.name}" if len(definition.images) > 1 else digest)
            return
        finished = [
            _finish(work / image.name, image.name, epoch, definition.digest, arguments.sign_with)
            for image in definition.images
        ]
        _publish(finished)


def convert(arguments: argparse.Namespace) -> None:
    """Take a layout that was made elsewhere, with the digest that it has, and publish all forms of it."""
    name = refuse_name(arguments.name)
    layout = Layout(arguments.layout.resolve())
    if arguments.digest not in (None, layout.digest):
        raise Refused(f"'{arguments.layout}' holds {layout.digest}, not {arguments.digest}.")
    try:
        created = datetime.fromisoformat(re.sub(r"\.\d+", "", layout.created).replace("Z", "+00:00"))
    except ValueError:
        raise Refused(f"'{arguments.layout}' was made at '{layout.created}', which is no date.") from None
    with work_folder() as work:
        shutil.copytree(layout.folder, work / name / "oci")
        _publish([_finish(work / name, name, int(created.timestamp()), layout.digest, arguments.sign_with)])


def _finish(work: Path, name: str, epoch: int, origin: str, key: str | None) -> Finished:
    """Make tree, SBOM, SIF and manifest from the layout in an image's folder."""
    layout = Layout(work / "oci")
    layout.refuse_unsafe_layers()
    version = f"{as_date(epoch)[:10]}-{layout.digest.partition(':')[2][:12]}"
    tree = build_tree(work, epoch)
    (work / "sbom.spdx.json").write_text(as_json(sbom(name, version, epoch, packages(tree))))
    squashfs = build_sif(work, name, epoch)
    (work / "tree.mtree").write_text(listing(tree))
    described = forms(work, name)
    described["sif"]["squashfs"] = squashfs
    head = {"name": name, "version": version, "created": as_date(epoch), "definition": origin}
    (work / "manifest.json").write_text(as_json({**head, **described}))
    user = ["--local-user", key] if key else []
    run(["gpg", "--batch", "--quiet", *user, "--armor", "--detach-sign", str(work / "manifest.json")])
    shutil.rmtree(work / "tmp", ignore_errors=True)
    return Finished(work, AREA / name, version)


class Finished(NamedTuple):
    """An image that is whole and signed: where it lies, and where it is to lie."""

    folder: Path
    place: Path
    version: str


def _publish(images: list[Finished]) -> None:
    """Move finished images to their places, and then let each `current` lead there: readers see the old or the new.

    All are moved before the first `current` changes. What remains is the time between one rename and the next: whoever
    reads two images of a definition then, or a host that loses power, may have one old and one new.
    """
    os.sync()
    for image in images:
        target = image.place / image.version
        image.place.mkdir(exist_ok=True)
        move(image.folder, target, PRIVATE / f"replaced-{image.place.name}-{image.version}", AREA / "trusted.gpg")
        (PRIVATE / f"current-{image.place.name}").symlink_to(image.version)
    for image in images:
        (PRIVATE / f"current-{image.place.name}").replace(image.place / "current")
        print(image.place / image.version)


def verify_all(arguments: argparse.Namespace) -> None:
    """Hold published images against their manifests, and those against the keys that are trusted."""
    for folder in arguments.folder:
        said = verify(folder, arguments.keyring)
        print(f"{folder}: {said['name']} {said['version']} is whole, and its signature is good.")


def status(arguments: argparse.Namespace) -> None:
    """Say that all images of a definition are published, whole and of one build, or why they have to be built."""
    definition = read_definition(arguments.definition)
    created = set()
    for image in definition.images:
        current = AREA / image.name / "current"
        said = verify(current, arguments.keyring)
        if said["definition"] != definition.digest:
            raise Refused(f"'{definition.folder}' has changed since {said['version']} was built.")
        created.add(said["created"])
        print(current.resolve())
    if len(created) > 1:
        raise Refused(f"The images of '{definition.folder}' are not of one build: {', '.join(sorted(created))}.")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(prog="container-image", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, help_: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_)
        made.set_defaults(do=action)
        return made

    def take_definition(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "definition", type=Path, help="a folder with a Containerfile and an image.ini, of the image's name"
        )

    def take_keyring(made: argparse.ArgumentParser) -> None:
        help_ = "the public keys that are trusted, as 'gpg --export' writes them; default: %(default)s"
        made.add_argument("--keyring", type=Path, default=AREA / "trusted.gpg", help=help_)

    made = command("build", build, "Build from a definition, and publish.")
    take_definition(made)
    made.add_argument("--sign-with", metavar="KEY", help="the key that signs; default: gpg's own")
    made.add_argument("--only-digest", action="store_true", help="print the OCI image's digest, and publish nothing")
    made = command("convert", convert, "Make the other forms of an OCI layout from elsewhere, and publish.")
    made.add_argument("name", help="how the image is called here")
    made.add_argument("layout", type=Path, help="a folder, as 'skopeo copy … oci:FOLDER' writes it")
    made.add_argument("--digest", help="the digest of its manifest; another one is refused")
    made.add_argument("--sign-with", metavar="KEY", help="the key that signs; default: gpg's own")
    made = command("verify", verify_all, "Verify published images: their signature, and every byte of every form.")
    take_keyring(made)
    made.add_argument("folder", type=Path, nargs="+")
    made = command("status", status, "Tell whether a definition's image is published and whole.")
    take_keyring(made)
    take_definition(made)
    return whole


def main() -> None:
    """Do what the command line asks; what is refused ends with a sentence and exit code 1, an interruption with 130."""
    arguments = parser().parse_args()
    os.umask(0o022)
    try:
        arguments.do(arguments)
    except Refused as error:
        sys.exit(f"container-image: {error}")
    except KeyboardInterrupt:
        print("container-image: It was interrupted. What was published before is as it was.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        said = f"'{error.filename}': {error.strerror}" if error.filename else error.strerror or str(error)
        sys.exit(f"container-image: {said}. What was published before is as it was.")


if __name__ == "__main__":
    main()
