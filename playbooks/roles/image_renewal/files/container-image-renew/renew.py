"""The life cycle of published container images: what is outdated, build again, what changed, and back."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from build import package_sources, surroundings
from contents import packages
from main import AREA, INTERRUPTED, work_folder
from settings import Image, bases_first, read_images
from versions import Place, Version, changes, megabytes, read_version
from words import Refused, as_json, run

SETTINGS = Path("/etc/container-images/renewal.ini")
KEYRING = AREA / "trusted.gpg"
USERS = Path(os.environ["RUNTIME_DIRECTORY"], "users") if "RUNTIME_DIRECTORY" in os.environ else None
"""systemd makes this folder for one run of the unit, and removes it after that."""
OUTDATED = 10
"""The exit code that says so; 1 is for errors."""
LARGEST = 10
"""So many packages are named of an image that is too large."""
TRIAL = "600"
"""Seconds that an image's own command may take when it is tried."""


@dataclass(frozen=True)
class Outdated:
    """Why an image would be built again; `held` is the refused version that this would give once more."""

    image: str
    version: str | None
    definition: bool
    packages: dict[str, list[str]]
    held: str | None = None

    def __bool__(self) -> bool:
        return self.version is None or self.definition or bool(self.packages)

    def __str__(self) -> str:
        lines = [f"{name} {old} -> {new}" for name, (old, new) in self.packages.items()]
        lines += ["the definition has changed"] if self.definition else []
        lines += ["not published yet"] if self.version is None else []
        lines += [f"held back: this would be {self.held} again, which was refused"] if self.held else []
        return "\n".join(f"{self.image}: {line}" for line in lines)


def offered(suite: str, names: list[str]) -> dict[str, str]:
    """Return the version of each package that a build would take now, by the lists that this host has.

    apt is asked as mmdebstrap asks it: the suite and its updates alone, nothing installed, no pins of the host.
    """
    sources, _ = package_sources(suite)
    with tempfile.TemporaryDirectory() as made:
        listed = Path(made, "sources.list")
        listed.write_text("\n".join(sources) + "\n")
        settings = {
            "Dir::Etc::sourcelist": listed,
            "Dir::Etc::sourceparts": "/dev/null",
            "APT::Default-Release": "",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::status": "/dev/null",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
        }
        options = [f"--option={key}={value}" for key, value in settings.items()]
        said = run(["apt-cache", *options, "policy", *names], {**os.environ, "LC_ALL": "C"})
    return dict(re.findall(r"^([^\s:]+):\n  Installed: .*\n  Candidate: (.*)$", said, re.MULTILINE))


def outdated(image: Image) -> Outdated:
    """Hold what is published against the definition and against apt's lists; nothing is built for it."""
    place, definition = Place(AREA / image.name), image.definition
    if place.current is None:
        return Outdated(image.name, None, definition=False, packages={})
    current, *refused = (read_version(place.folder / name, KEYRING) for name in [place.current, *place.refused])
    names = sorted({name for version in (current, *refused) for name in version.offered})
    candidates = offered(definition.suite, names) if names else {}

    def why(version: Version, held: str | None = None) -> Outdated:
        newer = {
            name: [version.packages[name], candidates.get(name, "gone")]
            for name in sorted(version.offered)
            if candidates.get(name, "gone") != version.packages[name]
        }
        return Outdated(image.name, version.name, version.definition != definition.digest, newer, held)

    again = next((version.name for version in refused if not why(version)), None)
    return why(current, again) if why(current) else why(current)


def show_outdated(arguments: argparse.Namespace) -> int:
    """Say which packages of which images are outdated."""
    images, found = read_images(arguments.settings, arguments.name), []
    for image in images:
        with _others_go_on(image):
            found.append(outdated(image))
    if arguments.json:
        print(as_json([asdict(each) for each in found]), end="")
    else:
        print("".join(f"{each}\n" for each in found if each), end="")
    if len(found) < len(images):
        return 1
    return OUTDATED if any(found) else 0


@contextmanager
def _others_go_on(image: Image) -> Iterator[None]:
    """Tell what is wrong with an image, which is no reason to leave the others as they are."""
    try:
        yield
    except (Refused, OSError) as error:
        print(f"container-image-renew: {image.name}: {_sentence(error)}", file=sys.stderr, flush=True)


def show_changes(arguments: argparse.Namespace) -> int:
    """Say what differs between two versions of an image."""
    place = Place(AREA / arguments.name)
    new, old = arguments.new or place.current or "current", arguments.old or place.former or "before"
    for name in (old, new):
        if name not in place.versions:
            raise Refused(f"'{place.folder}' has no version '{name}'; it has {_listed(place)}.")
    found = changes(read_version(place.folder / old, KEYRING), read_version(place.folder / new, KEYRING))
    print(as_json(found.as_data()) if arguments.json else f"{found}\n", end="")
    return 0


def _listed(place: Place) -> str:
    return ", ".join(place.versions) or "none"


def renew_all(arguments: argparse.Namespace) -> int:
    """Renew one image after the other, each after those that it builds on."""
    images, good = read_images(arguments.settings, arguments.name), 0
    with work_folder() as work:
        for image in bases_first(images, AREA):
            with _others_go_on(image):
                renew(image, work)
                good += 1
    return 0 if good == len(images) else 1


def renew(image: Image, work: Path) -> None:
    """Build an image that is outdated, hold the result against its budget, try it, publish it; then tidy up.

    Raises:
        Refused: it could not be built, or is not good; what was published is as it was.
    """
    place, why = Place(AREA / image.name), outdated(image)
    print(why or f"{image.name}: nothing is outdated", flush=True)
    if why and not why.held:
        built = build(image, work)
        new = read_version(built, KEYRING)
        refuse_over_budget(image, new, built / "tree")
        try_out(built / "tree", work)
        if place.current:
            print(changes(read_version(place.folder / place.current, KEYRING), new), flush=True)
        place.publish(built, work, KEYRING)
        print(f"{place.folder / new.name} is published", flush=True)
    tidy(image, place, work)


def tidy(image: Image, place: Place, work: Path) -> None:
    """Remove versions that are too old and that nobody runs in; without root's word on that, none."""
    if not USERS or not USERS.exists():
        return
    users = json.loads(USERS.read_text(encoding="utf-8")).get(image.name, {})
    for version in place.superfluous(image.keep):
        if version in users:
            print(f"{place.folder / version} stays for now: {users[version]} runs in it", flush=True)
        else:
            (place.folder / version).rename(work / f"old-{image.name}-{version}")
            print(f"{place.folder / version} is removed", flush=True)


def note_users(arguments: argparse.Namespace) -> int:
    """Write down which versions are in use; the unit does it as root before it renews."""
    found = {image.name: Place(AREA / image.name).users() for image in read_images(arguments.settings, [])}
    print(as_json(found), end="")
    if USERS:
        # The folder is the builder's, and a link there is not to be followed.
        with os.fdopen(os.open(USERS, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w") as file:
            file.write(as_json(found))
    return 0


def build(image: Image, work: Path) -> Path:
    """Build and sign a version where no reader looks, on the disk that it will be published on."""
    stage = work / "stage"
    stage.mkdir(exist_ok=True)
    said = run(
        ["container-image", "build", str(image.definition.folder)], {**os.environ, "CONTAINER_IMAGES": str(stage)}
    )
    return Path(said.splitlines()[-1])


def refuse_over_budget(image: Image, version: Version, tree: Path) -> None:
    """Refuse an image whose unpacked files are too large, and name the packages that are, as Debian reckons them."""
    if version.size <= image.budget:
        return
    sizes = {each["Package"]: int(each.get("Installed-Size", 0)) * 1024 for each in packages(tree)}
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:LARGEST]
    named = ", ".join(f"{name} {megabytes(sizes[name])}" for name in largest)
    raise Refused(
        f"{version.name} has {megabytes(version.size)}, and the budget is {megabytes(image.budget)}. "
        f"It is not published. Its largest packages: {named}."
    )


def try_out(tree: Path, work: Path) -> None:
    """Refuse an image whose own command does not end with 0."""
    line = f'exec timeout {TRIAL} apptainer --silent run --cleanenv --contain "$1" </dev/null'
    (work / "tmp").mkdir(exist_ok=True)
    try:
        run(["sh", "-c", line, "apptainer", str(tree)], surroundings(work, 0), work)
    except Refused as error:
        said = str(error).partition("\n")[2]
        raise Refused(f"the image's own command failed when it was tried; it is not published: {said}") from None


def roll_back(arguments: argparse.Namespace) -> int:
    """Lead back to the former version, and remember the one that was left."""
    (image,) = read_images(arguments.settings, [arguments.name])
    place = Place(AREA / image.name)
    with work_folder() as work:
        bad, good = place.current, place.former
        if bad is None or good is None:
            raise Refused(f"There is no version before '{bad}' to go back to; '{place.folder}' has {_listed(place)}.")
        read_version(place.folder / good, KEYRING)
        place.refuse(bad, work)
        place.switch(good, work)
    print(f"{image.name}: {bad} -> {good}; {bad} is not published again, what follows it is")
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"'{error.filename}': {error.strerror}" if error.filename else error.strerror or str(error)
    return str(error)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(prog="container-image-renew", description=__doc__)
    whole.add_argument("--settings", type=Path, default=SETTINGS, help="default: %(default)s")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, help_: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_)
        made.set_defaults(do=action)
        return made

    help_ = f"Say what is outdated, and build nothing. The exit code is {OUTDATED} if anything is."
    made = command("outdated", show_outdated, help_)
    made.add_argument("name", nargs="*", help="default: all")
    made.add_argument("--json", action="store_true")
    made = command("changes", show_changes, "Say what differs between two versions: the former and the current one.")
    made.add_argument("name")
    made.add_argument("old", nargs="?")
    made.add_argument("new", nargs="?")
    made.add_argument("--json", action="store_true")
    made = command("run", renew_all, "Build what is outdated, try it, publish it, and remove what is too old.")
    made.add_argument("name", nargs="*", help="default: all")
    command(
        "users", note_users, "Say which versions are in use on this host; as root, since others' processes count too."
    )
    made = command("rollback", roll_back, "Lead back to the former version, and do not publish this one again.")
    made.add_argument("name")
    return whole


def main() -> int:
    """Do what the command line asks; what is refused ends with a sentence and exit code 1, an interruption with 130."""
    os.environ.pop("PYTHONPATH", None)  # this program's own, not that of those which it starts
    arguments = parser().parse_args()
    os.umask(0o022)
    try:
        code: int = arguments.do(arguments)
        return code
    except (Refused, OSError) as error:
        print(f"container-image-renew: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("container-image-renew: It was interrupted. What was published is as it was.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
