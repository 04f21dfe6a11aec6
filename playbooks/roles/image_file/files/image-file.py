#!/usr/bin/python3
"""Container images as single files: taken over if signature and digest are good, and run if they still are."""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

AREA = Path(os.environ.get("IMAGE_FILES", "/srv/image-files"))
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
VERSION = re.compile(r"\d{4}-\d\d-\d\d-[0-9a-f]{12}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BLOCK = 1 << 20
# What gpgv says of a signature: https://github.com/gpg/gnupg/blob/gnupg-2.4.7/doc/DETAILS
REASONS = {
    "BADSIG": "it was changed after it was signed",
    "NO_PUBKEY": "the key is not in the keyring",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "REVKEYSIG": "the key was revoked",
    "NODATA": "there is none in the file",
}


class Refused(Exception):
    """What has arrived, or lies there, is not right; the message names it."""


def read(file: Path, target: Path | None = None) -> str:
    """Return the digest of a file; what was read is written to `target`, so that nothing else can be kept.

    Raises:
        Refused: it is no file of its own, such as a link to one, or there is no room for the copy.
    """
    digest = hashlib.sha256()
    try:
        with ExitStack() as opened:
            source = opened.enter_context(open(file, "rb", opener=of_its_own))
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise Refused(f"'{file}' is no file.")
            copy = opened.enter_context(target.open("xb")) if target else None
            while block := source.read(BLOCK):
                digest.update(block)
                if copy:
                    copy.write(block)
            if copy:
                copy.flush()
                os.fsync(copy.fileno())
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise Refused(f"'{file}' cannot be {'copied' if target else 'read'}: {why}.") from None
    return f"sha256:{digest.hexdigest()}"


def of_its_own(file: str, flags: int) -> int:
    """Open a file that is no link; a pipe lets nobody wait."""
    return os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def signed(folder: Path, keyring: Path) -> dict[str, Any]:
    """Return the manifest in a folder, if a key of the keyring has signed it that is neither expired nor revoked.

    Raises:
        Refused: none has, or what was signed is no manifest of an image.
    """
    manifest = folder / "manifest.json"
    for needed in (keyring, manifest, folder / "manifest.json.asc"):
        if not needed.is_file():
            raise Refused(f"'{needed}' is missing.")
        if not os.access(needed, os.R_OK):
            raise Refused(f"'{needed}' cannot be read: Permission denied.")
    command = ["gpgv", "--status-fd", "1", "--keyring", str(keyring.resolve()), "--", f"{manifest}.asc", str(manifest)]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except FileNotFoundError:
        raise Refused("'gpgv' is not installed.") from None
    lines = [line.split(" ", 2) for line in done.stdout.split("\n") if line.startswith("[GNUPG:] ")]
    words = {line[1]: line[-1] for line in lines}
    if done.returncode != 0 or not {"GOODSIG", "VALIDSIG"} <= set(words):
        reasons = (f"{why} ({words[word]})" for word, why in REASONS.items() if word in words)
        raise Refused(f"The signature of '{manifest}' is refused: {next(reasons, ' '.join(done.stderr.split()))}.")
    try:
        said = json.loads(manifest.read_text(encoding="utf-8"))
        for pattern, value in ((NAME, said["name"]), (VERSION, said["version"]), (DIGEST, said["sif"]["digest"])):
            if not pattern.fullmatch(value):
                raise ValueError
        said["created"] + ""
    except (LookupError, TypeError, ValueError, RecursionError):
        raise Refused(f"'{manifest}' is signed, and is no manifest of an image.") from None
    return dict(said)


def verified(folder: Path, keyring: Path) -> dict[str, Any]:
    """Return the manifest in a folder whose signature is good and whose SIF file is the one that it tells of.

    Raises:
        Refused: it is not.
    """
    said = signed(folder, keyring)
    refuse_other(folder, said["sif"]["digest"], read(folder / f"{said['name']}.sif"), "the manifest")
    return said


def known(look: Callable[[Path, Path], dict[str, Any]], folder: Path, keyring: Path) -> dict[str, Any]:
    """Return what `signed` or `verified` says of a folder; nothing if it refuses it."""
    try:
        return look(folder, keyring)
    except Refused:
        return {}


def refuse_other(folder: Path, expected: str, found: str, who: str) -> None:
    """Refuse a digest that is not the expected one."""
    if found != expected:
        raise Refused(f"'{folder}': the digest of the SIF file is {found}, and {who} says {expected}.")


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder of the area that nobody else can look into; what a killed run has left there is removed first.

    Raises:
        Refused: another run holds it.
    """
    incoming = AREA / ".incoming"
    incoming.mkdir(mode=0o700, exist_ok=True)
    with (incoming / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Another image arrives in '{AREA}'. Wait for it.") from None
        for left in incoming.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        made = Path(tempfile.mkdtemp(dir=incoming))
        try:
            (made / "image").mkdir()
            yield made / "image"
        finally:
            shutil.rmtree(made, ignore_errors=True)


def accept(arguments: argparse.Namespace) -> None:
    """Take over an image that has arrived, if it is what was signed and what was expected."""
    said = signed(arguments.folder, arguments.keyring)  # refuse before much is copied; what counts comes below
    with private_folder() as work:
        for name in ("manifest.json", "manifest.json.asc"):
            read(arguments.folder / name, work / name)
        said = signed(work, arguments.keyring)
        found = read(arguments.folder / f"{said['name']}.sif", work / f"{said['name']}.sif")
        refuse_other(arguments.folder, said["sif"]["digest"], found, "the manifest")
        refuse_other(arguments.folder, arguments.sha256 or found, found, "what was expected")
        place = AREA / said["name"]
        there = known(signed, place / "current", arguments.keyring).get("created", "")  # any may replace a damaged one
        if there > said["created"] and not arguments.older:
            raise Refused(
                f"'{arguments.folder}' is of {said['created']}, and what '{place}/current' leads to is newer. "
                f"If that is meant, add --older."
            )
        publish(work, place / said["version"], known(verified, place / said["version"], arguments.keyring) == said)


def publish(work: Path, version: Path, same: bool) -> None:
    """Move a verified image to its place, and then let `current` lead there: jobs see the old one or the new one.

    The `same` one is left where it is, since jobs may be reading it; what is damaged makes room.
    """
    final = version if same else work
    for file in final.iterdir():
        file.chmod(0o444)
    final.chmod(0o755)
    version.parent.mkdir(mode=0o755, exist_ok=True)
    if not same:
        if version.exists():
            version.rename(work.with_name("damaged"))
        work.rename(version)
    switch = work.with_name("current")
    switch.symlink_to(version.name)
    switch.replace(version.parent / "current")
    os.sync()
    print(version)


def verify(arguments: argparse.Namespace) -> None:
    """Hold images against their manifests, and those against the keys that are trusted; look at all of them."""
    wrong = [said for image in arguments.image if (said := problem(image, arguments.keyring, arguments.sha256))]
    if wrong:
        raise Refused("\nimage-file: ".join(wrong))


def problem(image: str, keyring: Path, expected: str | None) -> str:
    """Return what is wrong with an image, or print that it is whole."""
    try:
        folder = place_of(image)
        said = verified(folder.resolve(), keyring)  # `current` may lead elsewhere a moment later
        refuse_other(folder, expected or said["sif"]["digest"], said["sif"]["digest"], "what was expected")
    except Refused as error:
        return str(error)
    print(f"{folder}: {said['name']} {said['version']} is whole, and its signature is good.")
    return ""


def run(arguments: argparse.Namespace) -> NoReturn:
    """Verify an image, and run it if it is whole."""
    folder = place_of(arguments.image).resolve()
    said = verified(folder, arguments.keyring)
    command = ["apptainer", "--silent", "run", "--cleanenv", str(folder / f"{said['name']}.sif"), *arguments.argument]
    try:
        os.execvp(command[0], command)  # noqa: S606 - the image's program takes the place of this one
    except FileNotFoundError:
        raise Refused("'apptainer' is not installed.") from None


def place_of(image: str) -> Path:
    """Return the folder of an image that is told by its name, or by the folder itself.

    Raises:
        Refused: it is neither.
    """
    found = AREA / image / "current" if NAME.fullmatch(image) else Path(image)
    if not found.is_dir():
        if NAME.fullmatch(image) and found.parent.is_dir():
            raise Refused(f"'{found}' leads to no image. Accept a folder in '{found.parent}' again, or another.")
        there = sorted(path.parent.name for path in AREA.glob("*/current") if path.is_dir())
        raise Refused(f"There is no image '{image}'. In '{AREA}' there are: {', '.join(there) or 'none'}.")
    return found


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(prog="image-file", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, help_: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_)
        keys = "the public keys that are trusted, as 'gpg --export' writes them; default: %(default)s"
        made.add_argument("--keyring", type=Path, default=AREA / "trusted.gpg", help=keys)
        made.set_defaults(do=action)
        return made

    digest = {"metavar": "DIGEST", "type": as_digest, "help": "the digest that the SIF file must have"}
    made = command("accept", accept, "Verify an image that has arrived, and take it over.")
    made.add_argument("folder", type=Path, help="it holds NAME.sif, manifest.json and manifest.json.asc")
    made.add_argument("--sha256", **digest)  # type: ignore[arg-type]  # the stubs want each keyword by itself
    made.add_argument("--older", action="store_true", help="take it although a newer one is there")
    made = command("verify", verify, "Verify images: their signature, and every byte.")
    made.add_argument("image", nargs="+", help="the name of one that was accepted, or a folder")
    made.add_argument("--sha256", **digest)  # type: ignore[arg-type]  # as above, each by itself
    made = command("run", run, "Verify an image, and run it if it is whole.")
    made.add_argument("image", help="the name of one that was accepted, or a folder")
    made.add_argument("argument", nargs=argparse.REMAINDER, help="for the program in the image")
    return whole


def as_digest(said: str) -> str:
    """Return a digest with its algorithm before it; sha256sum prints it without.

    Raises:
        ArgumentTypeError: it is none.
    """
    digest = f"sha256:{said.lower().removeprefix('sha256:')}"
    if not DIGEST.fullmatch(digest):
        raise argparse.ArgumentTypeError(f"'{said}' is no SHA-256, which has 64 hexadecimal digits")
    return digest


def main() -> None:
    """Do what the command line asks; what is refused ends with a sentence and exit code 1."""
    arguments = parser().parse_args()
    os.umask(0o022)
    try:
        arguments.do(arguments)
    except Refused as error:
        sys.exit(f"image-file: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        said = f"'{error.filename}': {error.strerror}" if error.filename else error.strerror or str(error)
        sys.exit(f"image-file: {said}. What was accepted before is as it was.")


if __name__ == "__main__":
    main()
