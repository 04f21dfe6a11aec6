"""Disks built from Debian packages on this machine: a guest's root file system, and the test images of recipes.

`mmdebstrap` runs in a user namespace, so no root is needed; its hooks write the disk from inside that namespace, where
the files' owners are right.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lading import process
from lading.errors import LabError
from lading.lab.mirror import Mirror
from lading.lab.proxy import GUEST_ADDRESS, GUEST_PORT
from lading.lab.workspace import Workspace
from lading.recipe.platforms import Platform

FILES = Path(__file__).with_name("guest_files")
DISK_SIZE = "8G"
BUILD_TIMEOUT = 1200
# A new image each fortnight: one without the latest updates proves little about what a site installs today.
IMAGE_DAYS = 14
# A minimal worker: what systemd, ssh and Ansible need, and polkit since grid nodes have it. No more, so that a path
# that forgot a dependency is found out.
PACKAGES = (
    "ca-certificates", "dbus", "initramfs-tools", "iproute2", "kmod", "openssh-server", "polkitd", "procps",
    "python3", "python3-apt", "systemd", "systemd-sysv", "udev", "zstd",
)  # fmt: skip
USERS = ("alice", "bob", "pilot01")
# What apt and mmdebstrap put into the tree for themselves goes before a recipe's set-up lines may move it: the second
# names a folder of this machine.
TREE_ALONE = """\
set -e
cd "$1"
rm -rf var/lib/apt/lists var/cache/apt tmp/mmdebstrap.* etc/apt/apt.conf.d/00mmdebstrap"""
PACKING = Path(__file__).with_name("stand_in_files") / "squashfs.sh"

DiskForm = Literal["ext4", "squashfs"]
"""What a disk with a test image is: mounted by the guest's kernel, or served by the CVMFS stand-in."""


@dataclass(frozen=True)
class GuestImage:
    """A platform's disk with the kernel and initial RAM disk it boots with, and the key pairs that go with it."""

    key: str
    folder: Path

    @property
    def identity(self) -> str:
        """The key with a mark of this very build: a disk that was built again is another disk."""
        return f"{self.key}-{digest(self.host_key)[:8]}"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def ssh_key(self) -> Path:
        return self.folder / "user_key"

    @property
    def host_key(self) -> str:
        """The guest's public host key, to be pinned."""
        return (self.folder / "host_key.pub").read_text().strip()


def digest(value: object) -> str:
    """Return a short key for anything that JSON can hold.

    Example:
        ```python
        from lading.lab.image import digest

        assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        ```
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def find_guest_image(workspace: Workspace, name: str, platform: Platform, mirror: Mirror) -> GuestImage:
    """Return the platform's guest image, built first if this machine has none.

    Raises:
        UsageError: the platform has no image.
        LabError: the image could not be built.
    """
    if platform.image is None or platform.suite is None:
        raise LabError(f"No image of '{name}' can be had here.", hint="'lading list' names the platforms that can.")
    hooks = {path.name: path.read_text() for path in sorted(FILES.iterdir())}
    period = workspace.started.toordinal() // IMAGE_DAYS  # one image for a whole run, midnight or not
    key = f"{name}-{digest([platform.model_dump(), PACKAGES, USERS, hooks, DISK_SIZE, period])}"
    final = workspace.folder("images") / key
    with workspace.lock(f"image-{key}"):
        if not (final / "complete").exists():
            with workspace.narrator.step(f"Building the guest image of {platform.title}"):
                _build_guest(workspace, platform, mirror, final)
    return GuestImage(key, final)


def _build_guest(workspace: Workspace, platform: Platform, mirror: Mirror, final: Path) -> None:
    made = workspace.tmp / final.name
    made.mkdir()
    for key in ("user_key", "host_key"):
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lading-lab", "-f", made / key])
    environment = {
        "USER_KEY_PUB": (made / "user_key.pub").read_text(),
        "HOST_KEY": (made / "host_key").read_text(),
        "HOST_KEY_PUB": (made / "host_key.pub").read_text(),
        "SOURCES": guest_sources(platform, mirror),
        "CHANNEL": (FILES / "channel.sh").read_text(),
        "CHANNEL_SERVICE": (FILES / "lading-channel.service").read_text(),
        "USERS": " ".join(USERS),
        "PROXY": f"http://{GUEST_ADDRESS}:{GUEST_PORT}",
        "SIZE": DISK_SIZE,
    }
    packages = (*PACKAGES, platform.kernel_package or "")
    hooks = [(FILES / "customize.sh").read_text(), (FILES / "disk.sh").read_text()]
    outputs = ["disk.raw", "vmlinuz", "initrd", "packages.txt"]
    _mmdebstrap(workspace, made, _sources(platform.suite, mirror), packages, "minbase", hooks, environment, outputs)
    (made / "complete").touch()
    workspace.arrive(made, final)


def guest_sources(platform: Platform, mirror: Mirror) -> str:
    """Return the guest's apt sources in deb822 form: this machine's own mirror, for the guest's release."""
    signed = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    suites = f"{platform.suite} {platform.suite}-updates"
    text = f"Types: deb\nURIs: {mirror.for_guest(mirror.main)}\nSuites: {suites}\nComponents: main\n{signed}"
    if mirror.security:
        security = mirror.for_guest(mirror.security)
        text += f"\nTypes: deb\nURIs: {security}\nSuites: {platform.suite}-security\nComponents: main\n{signed}"
    return text


@dataclass(frozen=True)
class TestImageDefinition:
    """What a recipe says of a test image (`images:`): a tree of Debian packages, then shell lines run in its root.

    The variant is mmdebstrap's; `extract` unpacks the packages and what they depend on, and runs none of their scripts.
    """

    suite: str
    packages: tuple[str, ...]
    variant: str = "extract"
    setup: tuple[str, ...] = ()


def find_test_image(
    workspace: Workspace, name: str, definition: TestImageDefinition, mirror: Mirror, form: DiskForm = "ext4"
) -> Path:
    """Return a read-only disk that holds the image's root tree, built first if this machine has none.

    Raises:
        LabError: it could not be built.
    """
    decides = [definition.suite, definition.packages, definition.variant, definition.setup]
    if form == "squashfs":
        decides += [form, PACKING.read_text()]
    key = f"{name}-{digest(decides)}"
    final = workspace.folder("test-images") / key
    with workspace.lock(f"test-image-{key}"):
        if not (final / "disk.raw").exists():
            if form == "squashfs" and not shutil.which("mksquashfs"):
                raise LabError(
                    "'mksquashfs' is not installed; it packs what the CVMFS stand-in serves.",
                    hint="Install Debian's package squashfs-tools, or run 'make setup'.",
                )
            with workspace.narrator.step(f"Building the test image '{name}'"):
                _build_test_image(workspace, definition, mirror, final, form)
    return final / "disk.raw"


def _build_test_image(
    workspace: Workspace, definition: TestImageDefinition, mirror: Mirror, final: Path, form: DiskForm
) -> None:
    made = workspace.tmp / final.name
    made.mkdir()
    hooks = [
        "\n".join([TREE_ALONE, *definition.setup]),
        (FILES / "disk.sh" if form == "ext4" else PACKING).read_text(),
    ]
    sources = _sources(definition.suite, mirror)
    _mmdebstrap(
        workspace, made, sources, definition.packages, definition.variant, hooks, {"SIZE": "512M"}, ["disk.raw"]
    )
    workspace.arrive(made, final)


def _sources(suite: str | None, mirror: Mirror) -> tuple[str, list[str]]:
    assert suite is not None
    if suite in ("sid", "unstable"):
        # A mirror that stands still has lists of unstable that are past their date within a week; a test image may
        # hold what was in unstable then.
        return suite, [f"deb [check-valid-until=no] {mirror.main} {suite} main"]
    sources = [f"deb {mirror.main} {part} main" for part in (suite, f"{suite}-updates")]
    if mirror.security:
        sources.append(f"deb {mirror.security} {suite}-security main")
    return suite, sources


def _mmdebstrap(
    workspace: Workspace,
    made: Path,
    sources: tuple[str, list[str]],
    packages: Sequence[str],
    variant: str,
    hooks: Sequence[str],
    environment: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """Build a tree and run the hooks in it; they get their texts by environment and write `outputs` by open files.

    The namespace's root is another user out here, who can't even enter a private folder: so no path is handed to it,
    only `OUT_<NAME>=/dev/fd/N`.

    mmdebstrap's own cleanup is skipped. It comes when the hooks have written what they write, and its `apt-get clean`
    would clean this machine's cache if they had moved the settings that it has in the tree's `tmp`.
    """
    stage = "extract" if variant == "extract" else "customize"  # the extract variant runs no later hooks
    with ExitStack() as stack:
        descriptors = []
        for name in outputs:
            file = stack.enter_context((made / name).open("w+b"))
            # Opening /dev/fd/N checks the file's own mode; the folder around it stays private.
            (made / name).chmod(0o666)
            # High numbers: mmdebstrap hands its own pipes to dash, which knows only descriptors of one digit.
            descriptor = fcntl.fcntl(file, fcntl.F_DUPFD, 50)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            environment = {**environment, f"OUT_{name.partition('.')[0].upper()}": f"/dev/fd/{descriptor}"}
        argv = ["mmdebstrap", "--mode=unshare", f"--variant={variant}", "--skip=cleanup",
                f"--include={','.join(packages)}", '--aptopt=Acquire::Languages "none"',
                '--aptopt=APT::Install-Recommends "false"',
                *(f"--{stage}-hook={hook}" for hook in hooks), sources[0], "/dev/null", *sources[1]]  # fmt: skip
        log = made / "build.log"
        done = process.run(
            argv,
            env={**_build_environment(workspace), **environment, "TMPDIR": str(workspace.build)},
            log=log,
            timeout=BUILD_TIMEOUT,
            check=False,
            pass_fds=descriptors,
        )
    for name in outputs:
        (made / name).chmod(0o600)
    if done.rc != 0 or any((made / name).stat().st_size == 0 for name in outputs):
        _fail(sources[0], log.read_text(errors="replace"))


def _build_environment(workspace: Workspace) -> dict[str, str]:
    """Return a scrubbed environment, since a recipe's set-up lines run in it, with what apt needs to reach a mirror."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {**process.scrubbed_environment(workspace.tmp / "home"), **proxies}


def _fail(suite: str, log: str) -> None:
    telling = [line for line in log.splitlines() if line.startswith(("E:", "Err", "mke2fs", "do_write"))]
    told = "; ".join(line[:200] for line in telling[-3:]) or "its log tells nothing"
    raise LabError(f"mmdebstrap could not build an image of '{suite}': {told}.", hint=f"The log's end:\n{log[-1500:]}")
