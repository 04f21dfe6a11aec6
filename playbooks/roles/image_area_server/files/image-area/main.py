#!/usr/bin/python3
"""Publish unpacked container images side by side, each file stored once, and switch between them in one step."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from area import Area, mebibytes
from signed import Refused

AREA = Area(Path(os.environ.get("IMAGE_AREA", "/srv/unpacked")))
IMAGES = Path(os.environ.get("CONTAINER_IMAGES", "/srv/container-images"))
DAY = 86400


def publish(arguments: argparse.Namespace) -> None:
    """Take a version from where images are built, and switch to it."""
    # What 'current' means is settled once, before the first file is read.
    folder = (IMAGES / arguments.name / arguments.version).resolve()
    if folder.parent != (IMAGES / arguments.name).resolve() or not folder.is_dir():
        raise Refused(f"'{IMAGES}' has no '{arguments.name}' of version '{arguments.version}'.")
    with AREA.locked():
        print(AREA.publish(folder, arguments.keyring))


def rollback(arguments: argparse.Namespace) -> None:
    """Switch back."""
    with AREA.locked():
        print(f"{arguments.name} {AREA.rollback(arguments.name, arguments.version)} is in use again.")


def tidy(arguments: argparse.Namespace) -> None:
    """Remove what has been out of use for long."""
    with AREA.locked():
        gone = AREA.tidy(arguments.keep, arguments.after * DAY)
    print("\n".join(f"Removed: {each}" for each in gone) or "No version has been out of use for that long.")


def verify(arguments: argparse.Namespace) -> None:
    """Hold versions against what was signed."""
    chosen = AREA.versions(arguments.name) if arguments.all else [arguments.version]
    for version in chosen:
        place = AREA.require(arguments.name, version)
        AREA.verify(place, arguments.keyring, contents=not arguments.quick)
        print(f"{arguments.name} {place.name} is {'complete' if arguments.quick else 'whole'}; its signature is good.")


def status(arguments: argparse.Namespace) -> None:
    """Tell what is there, and what it costs."""
    used = AREA.used()
    stored = used.pop("")
    seen = sum(each["bytes"] for each in used.values())
    current = {name: AREA.current(name) for name in AREA.images()}
    if arguments.json:
        print(json.dumps({"versions": used, "current": current, "seen": seen, "stored": stored["bytes"]}, indent=2))
        return
    for key, each in sorted(used.items(), key=lambda item: _in_use_first(item[0], current)):
        name, _, version = key.partition("/")
        left = AREA.left_at(name, version)
        when = f"until {datetime.fromtimestamp(left, timezone.utc):%Y-%m-%d %H:%M} UTC" if left else "never in use"
        state = "in use" if version == current[name] else when
        print(f"{name} {version}: {state}, {each['files']} files, {mebibytes(each['bytes'])}")
    factor = f", {seen / stored['bytes']:.2f} times as much as is stored" if stored["bytes"] else ""
    print(f"Readers see {mebibytes(seen)}{factor}: {mebibytes(stored['bytes'])} in {stored['files']} files.")


def _in_use_first(key: str, current: dict[str, str | None]) -> tuple[str, bool, str]:
    name, _, version = key.partition("/")
    return name, version != current[name], version


def _number(said: str) -> int:
    number = int(said)
    if number < 0:
        raise argparse.ArgumentTypeError("has to be 0 or more")
    return number


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(prog="image-area", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(action: object, help_: str) -> argparse.ArgumentParser:
        made = commands.add_parser(action.__name__, help=help_, description=help_)  # type: ignore[attr-defined]
        made.set_defaults(do=action)
        return made

    def take_keyring(made: argparse.ArgumentParser) -> None:
        help_ = "the public keys that are trusted, as 'gpg --export' writes them; default: %(default)s"
        made.add_argument("--keyring", type=Path, default=IMAGES / "trusted.gpg", help=help_)

    made = command(publish, "Take a version from where images are built, and switch to it.")
    take_keyring(made)
    made.add_argument("name", help="the image")
    made.add_argument("version", nargs="?", default="current", help="default: the builder's own current one")
    made = command(rollback, "Switch to the version that was in use before.")
    made.add_argument("name", help="the image")
    made.add_argument("version", nargs="?", help="another version that is there")
    made = command(tidy, "Remove versions that have been out of use for long.")
    made.add_argument("--keep", type=_number, default=2, help="versions of each image to keep beside the one in use")
    made.add_argument("--after", type=_number, default=14, metavar="DAYS", help="how long one has to be out of use")
    made = command(verify, "Hold a version against what was signed, byte by byte.")
    take_keyring(made)
    made.add_argument("--quick", action="store_true", help="look at names, kinds, modes and sizes, and read no file")
    made.add_argument("--all", action="store_true", help="all versions of the image")
    made.add_argument("name", help="the image")
    made.add_argument("version", nargs="?", help="default: the one in use")
    made = command(status, "Tell which versions are there, and how much of them is stored once.")
    made.add_argument("--json", action="store_true", help="as JSON, sizes in bytes")
    return whole


def main() -> None:
    """Do what the command line asks; what is refused ends with a sentence and exit code 1."""
    arguments = parser().parse_args()
    os.umask(0o022)
    try:
        arguments.do(arguments)
    except Refused as error:
        sys.exit(f"image-area: {error}")
    except OSError as error:
        said = f"'{error.filename}': {error.strerror}" if error.filename else error.strerror or str(error)
        sys.exit(f"image-area: {said}. Readers see what they saw before.")


if __name__ == "__main__":
    main()
