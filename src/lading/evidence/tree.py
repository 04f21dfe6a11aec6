"""The files of the catalogue that count: those that git tracks or would track, as a commit of them would hold them."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lading import process
from lading.errors import LabError, UsageError
from lading.evidence.canonical import sha256_of

LINK: Final = "120000"
EXECUTABLE: Final = "100755"
PLAIN: Final = "100644"


@dataclass(frozen=True)
class Entry:
    """A file as git keeps it: of its permissions, only whether it can be executed."""

    name: str
    mode: str
    sha256: str


class Tree:
    """The catalogue's files: what git tracks, and what is new and not ignored.

    New files count, so that a proof of work in progress is about that work. Once it is committed, a clean clone has
    the same files and therefore the same subjects. The content is the working tree's. A file is read once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names = _listed_by_git(root)
        self._entries: dict[str, Entry] = {}

    def below(self, *places: Path) -> list[Entry]:
        """Return the entries at and under some places (absolute, or relative to the catalogue), sorted by name."""
        wanted = {place.relative_to(self.root) if place.is_absolute() else place for place in places}
        return [self._entry(name) for name in self._names if wanted & {Path(name), *Path(name).parents}]

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = entry_of(self.root / name, name)
        return self._entries[name]


def entry_of(file: Path, name: str) -> Entry:
    """Return a file's entry; a link's content is where it points to."""
    found = file.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Entry(name, LINK, sha256_of(os.fsencode(file.readlink())))
    mode = EXECUTABLE if found.st_mode & stat.S_IXUSR else PLAIN
    return Entry(name, mode, sha256_of(file.read_bytes()))


def _listed_by_git(root: Path) -> list[str]:
    words: list[str | Path] = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    # In a hook git sets variables that would point it at another checkout.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = process.run(words, env=env, check=False)
    except LabError:
        raise UsageError(
            "The program 'git' is not installed; it says which files are inputs of a proof.",
            hint="Install it: apt-get install git",
        ) from None
    if done.rc != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise UsageError(
            f"git can't list the files of '{root}': {last}.", hint="A catalogue is a git checkout: 'git clone' one."
        )
    names = sorted({name for name in done.stdout.split("\0") if name})
    if bad := [name for name in names if "\ufffd" in name]:
        raise UsageError(f"The file name '{bad[0]}' is not UTF-8.", hint="Rename the file.")
    # A deleted file is still listed, and so is a checkout inside this one: as a folder.
    return [name for name in names if (root / name).is_symlink() or (root / name).is_file()]
