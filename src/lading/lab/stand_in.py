"""The CVMFS stand-in: what paths find at /cvmfs in guests, where no package of CernVM-FS can be had.

It is autofs and squashfuse, and has the traps of the real client: a listing that looks empty, repositories that are
unmounted when idle, a slow first access, and `Transport endpoint is not connected` once the process behind a
repository is dead. It has no proxies, no cache, no catalogues and no `cvmfs_config`, and is never called CVMFS.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lading.lab.guest import Guest, device_of
from lading.lab.image import TestImageDefinition, digest

FILES: Final = Path(__file__).with_name("stand_in_files")
SECONDS: Final = 120
"""For its set-up: two packages are installed, from a mirror that may be slow."""


@dataclass(frozen=True)
class CvmfsStandIn:
    """What a host has below /cvmfs: a tree for each repository.

    `idle` seconds after its last use a repository is unmounted. Each mount takes `first_access` seconds longer than it
    would, as fetching a catalogue does.
    """

    repositories: Mapping[str, TestImageDefinition]
    idle: float = 300
    first_access: float = 0

    @property
    def key(self) -> str:
        """What decides how a host is set up; what the repositories hold comes on disks of their own."""
        return digest(self.script())

    @property
    def drives(self) -> dict[str, TestImageDefinition]:
        """The disks that a guest needs, by the names under which they are plugged: no test image has such a name."""
        return {_drive(number): of for number, of in enumerate(self.repositories.values())}

    def script(self) -> str:
        """Return the shell script that sets a host up."""
        disks = "".join(
            f"{name} {device_of(_drive(number))} {self.first_access:g}\n"
            for number, name in enumerate(self.repositories)
        )
        texts = {"DISKS": disks, "IDLE": f"{self.idle:g}"}
        texts |= {"MAP": _text("cvmfs_map.sh"), "MOUNT": _text("cvmfs_mount.sh")}
        said = "".join(f"{name}={shlex.quote(text)}\n" for name, text in texts.items())
        return said + _text("cvmfs_setup.sh")

    def set_up(self, guest: Guest) -> None:
        """Set a guest up; its disks may come later, whenever it starts.

        Raises:
            LabError: it could not be done.
        """
        guest.ask(self.script(), SECONDS)


def merged(all_of_them: Sequence[CvmfsStandIn]) -> CvmfsStandIn:
    """Return one stand-in with the repositories of all; for times, and for what one holds, the last wins."""
    repositories = {name: of for one in all_of_them for name, of in one.repositories.items()}
    return CvmfsStandIn(repositories, all_of_them[-1].idle, all_of_them[-1].first_access)


def kill_line(repository: str) -> str:
    """Return the shell line that kills the process behind a repository, as a fault or a full memory would.

    It fits the real client as well.

    Example:
        ```python
        from lading.lab.stand_in import kill_line

        print(kill_line("software.site.example"))
        #> pkill --signal KILL --full '^([^ ]*/)?cvmfs2.* /cvmfs/software[.]site[.]example$'
        ```
    """
    pattern = repository.replace(".", "[.]")
    return f"pkill --signal KILL --full '^([^ ]*/)?cvmfs2.* /cvmfs/{pattern}$'"


def _drive(number: int) -> str:
    return f"cvmfs_{number}"


def _text(name: str) -> str:
    return (FILES / name).read_text()
