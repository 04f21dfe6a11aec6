"""From a definition to the three forms: packages to an OCI layout, that to a tree, the tree to a SIF file."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

from definition import Definition
from words import Refused, as_date, as_json, read_json, run, sha256

LISTS = Path("/var/lib/apt/lists")
SIF_ARCHITECTURES = {"x86_64": "2", "aarch64": "4"}

# Runs on the unpacked packages before they are packed. What is left depends on nothing but them: not on this host's
# name and its resolvers, which mmdebstrap takes along, nor on apt's settings and lists.
HOOK = r"""
set -eu
cd "$1"
mkdir -p var/lib/dpkg/status.d
for deb in var/cache/apt/archives/*.deb; do
    { dpkg-deb --field "$deb"; echo "SHA256: $(sha256sum <"$deb" | cut -d ' ' -f 1)"; } \
        >"var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
done
if [ ! -e etc/passwd ] && [ -e usr/share/base-passwd/passwd.master ]; then
    cp usr/share/base-passwd/passwd.master etc/passwd
    cp usr/share/base-passwd/group.master etc/group
fi
rm -rf etc/hostname etc/resolv.conf etc/apt/apt.conf.d/99mmdebstrap var/lib/apt/* var/cache/apt/*
leave_out() {
    for path; do
        # Links of the image are followed from here, and must not lead to files of this host.
        case "$(realpath "$(dirname "$path")")/" in
            "$(realpath .)"/*) rm -rf "$path" ;;
            *) echo "'$path' cannot be left out: it leads out of the image." >&2 && exit 1 ;;
        esac
    done
}
"""


@contextmanager
def told(title: str) -> Iterator[None]:
    """Say how long something took."""
    started = time.monotonic()
    yield
    print(f"{title}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def surroundings(work: Path, epoch: int) -> dict[str, str]:
    """Return the environment of every program: nothing of the caller's that could show in an image."""
    own = work / "tmp"
    own.mkdir(exist_ok=True)
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(own),
        "TMPDIR": str(own),
        "XDG_RUNTIME_DIR": str(own),
        "APPTAINER_CACHEDIR": str(own / "cache"),
        "APPTAINER_CONFIGDIR": str(own / "settings"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def package_sources(suite: str) -> tuple[list[str], int]:
    """Return this host's apt sources of a suite and its updates, and when the newest of their lists was made.

    That date, in seconds since 1970, is the date of everything in the image.

    Raises:
        Refused: apt knows no packages of that suite.
    """
    belongs = re.compile(re.escape(suite) + r"(-[a-z]+)?")
    form = "$(CODENAME) deb [signed-by=$(SIGNED_BY)] $(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = run(["apt-get", "indextargets", "--format", form, "Identifier: Packages"]).splitlines()
    named = [target.split(" ", 1) for target in targets]
    sources = sorted(source for codename, source in named if belongs.fullmatch(codename))
    newest = 0
    for release in LISTS.glob("*Release"):
        fields = dict(re.findall(r"^(Codename|Date): (.*)$", release.read_text(errors="replace"), re.MULTILINE))
        if belongs.fullmatch(fields.get("Codename", "")) and "Date" in fields:
            newest = max(newest, int(parsedate_to_datetime(fields["Date"]).timestamp()))
    if not sources or not newest:
        raise Refused(f"apt knows no packages of '{suite}' here. Add a source of it, run 'apt-get update', try again.")
    return sources, newest


def build_oci(definition: Definition, sources: list[str], epoch: int, work: Path) -> None:
    """Make the layout `oci` in the work folder: what the packages hold, and what the Containerfile makes of it."""
    context, hook, settings, deb_lines = work / "context", work / "hook", work / "apt.conf", work / "sources"
    shutil.copytree(definition.folder, context)
    hook.write_text(HOOK + "".join(f"leave_out ./{path}\n" for path in definition.without))
    deb_lines.write_text("\n".join(sources) + "\n")
    # The lists that this host has, so that two builds know the same packages, and its way to reach them.
    proxy = run(["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"])
    settings.write_text(f'Dir::State::Lists "{LISTS}/";\n{proxy}')
    environment = surroundings(work, epoch)
    with told("Unpacking the packages"):
        run(
            [
                *("mmdebstrap", "--mode=unshare", "--variant=extract", "--format=tar"),
                *("--skip=update,cleanup/apt,output/dev", f"--aptopt={settings}"),
                *(f"--include={','.join(definition.packages)}", f'--extract-hook=sh {hook} "$1"'),
                *(definition.suite, str(context / "root.tar"), str(deb_lines)),
            ],
            environment,
        )
    # A storage of its own: nothing stays behind, and nothing that the user has there gets into the image.
    storage = ["--storage-driver=vfs", "--root", str(work / "storage"), "--runroot", str(work / "run")]
    try:
        with told("Building the OCI image"):
            run(
                [
                    *("buildah", *storage, "build", "--quiet", "--format=oci", "--layers=false", "--no-cache"),
                    *("--network=host", "--isolation=chroot", "--identity-label=false", f"--timestamp={epoch}"),
                    *("--tag", f"oci:{work / 'oci'}:{definition.name}"),
                    *("--file", str(context / "Containerfile"), str(context)),
                ],
                environment,
            )
    finally:
        remove(work / "storage", work / "run")


def remove(*folders: Path) -> None:
    """Remove folders that hold files of subordinate users, which only their user namespace can remove."""
    command = ["buildah", "unshare", "rm", "-rf", *map(str, folders)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def build_tree(work: Path, epoch: int) -> Path:
    """Unpack the layout with Apptainer, and make equal what it writes differently each time."""
    tree = work / "tree"
    with told("Unpacking the image"):
        run(["apptainer", "--quiet", "build", "--sandbox", str(tree), "oci:oci"], surroundings(work, epoch), work)
    labels = tree / ".singularity.d/labels.json"
    if tree.resolve() not in labels.resolve().parents:
        raise Refused("The image has a link in place of '.singularity.d/labels.json', which leads out of it.")
    labels.write_text(as_json({**read_json(labels), "org.label-schema.build-date": as_date(epoch)}))
    for folder, folders, files in os.walk(tree, topdown=False):
        for path in (Path(folder, name) for name in [*folders, *files]):
            _make_common(path, epoch)
    _make_common(tree, epoch)
    return tree


def _make_common(path: Path, epoch: int) -> None:
    """Give a path of the tree its date, let everybody read it, its owner replace it, and nobody gain rights by it."""
    if not path.is_symlink():
        mode = stat.S_IMODE(path.stat().st_mode)
        runs = path.is_dir() or mode & 0o111
        path.chmod((mode | 0o200 | (0o555 if runs else 0o444)) & ~0o6000)
    os.utime(path, (epoch, epoch), follow_symlinks=False)


def build_sif(work: Path, name: str, epoch: int) -> str:
    """Pack the tree and its SBOM into a SIF file; return the digest of the squashfs in it, the same each time.

    The SIF itself differs from build to build: Apptainer writes an id and the time into its head, until 1.5.0
    `--reproducible` brings a way not to.

    Raises:
        Refused: the architecture is not known to this script.
    """
    squashfs, sif = work / "tmp/squashfs", work / f"{name}.sif"
    machine = os.uname().machine
    if machine not in SIF_ARCHITECTURES:
        raise Refused(f"SIF files of '{machine}' are not made here; known are {', '.join(SIF_ARCHITECTURES)}.")
    partition = ["--parttype=2", "--partfs=1", f"--partarch={SIF_ARCHITECTURES[machine]}", "--groupid=1"]
    environment = surroundings(work, epoch)
    with told("Packing the SIF file"):
        packing = ["-noappend", "-quiet", "-no-progress", "-all-root", "-comp", "zstd", "-Xcompression-level", "3"]
        run(["mksquashfs", str(work / "tree"), str(squashfs), *packing], environment)
        change = ["apptainer", "sif"]
        run([*change, "new", str(sif)], environment)
        run([*change, "add", "--datatype=4", *partition, str(sif), str(squashfs)], environment)
        run(
            [*change, "add", "--datatype=9", "--sbomformat=spdx-json", str(sif), str(work / "sbom.spdx.json")],
            environment,
        )
    return f"sha256:{sha256(squashfs)}"
