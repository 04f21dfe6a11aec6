"""From a definition to the three forms: packages to an OCI layout, that to a tree, the tree to a SIF file."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

from definition import Definition, Image
from words import Refused, as_date, as_json, read_json, run, sha256

LISTS = Path("/var/lib/apt/lists")
SIF_ARCHITECTURES = {"x86_64": "2", "aarch64": "4"}

# Runs on the unpacked packages before they are packed. What is left depends on nothing but them: not on this host's
# name and its resolvers, which mmdebstrap takes along, nor on apt's settings and lists.
HOOK = r"""
set -eu
cd "$1"
mkdir -p var/lib/dpkg/status.d
sha256sum var/cache/apt/archives/*.deb | while read -r sum deb; do
    name=${deb##*/}
    { dpkg-deb --field "$deb"; echo "SHA256: $sum"; } >"var/lib/dpkg/status.d/${name%%_*}"
done
if [ ! -e etc/passwd ] && [ -e usr/share/base-passwd/passwd.master ]; then
    cp usr/share/base-passwd/passwd.master etc/passwd
    cp usr/share/base-passwd/group.master etc/group
fi
rm -rf etc/hostname etc/resolv.conf etc/apt/apt.conf.d/99mmdebstrap var/lib/apt/* var/cache/apt/*
# What an image has from the one that it builds on is not packed again.
shift
for below; do
    tar --list --quoting-style=literal --file "$below" | grep -v '/$' | tr '\n' '\0' | xargs -0 rm -f --
done
leave_out() {
    for path; do
        [ -e "$path" ] || [ -L "$path" ] || continue  # not every image of a definition has it
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
    form = "\x1e$(CODENAME)\x1f$(REPO_URI)\x1f$(RELEASE) $(COMPONENT)\x1f$(SIGNED_BY)"
    targets = run(["apt-get", "indextargets", "--format", form, "Identifier: Packages"]).split("\x1e")[1:]
    named = [target.rstrip("\n").split("\x1f") for target in targets]
    ours = [rest for codename, *rest in named if belongs.fullmatch(codename)]
    sources = sorted(_source(*rest) for rest in ours)
    newest = 0
    for release in LISTS.glob("*Release"):
        fields = dict(re.findall(r"^(Codename|Date): (.*)$", release.read_text(errors="replace"), re.MULTILINE))
        if belongs.fullmatch(fields.get("Codename", "")) and "Date" in fields:
            newest = max(newest, int(parsedate_to_datetime(fields["Date"]).timestamp()))
    if not sources or not newest:
        raise Refused(f"apt knows no packages of '{suite}' here. Add a source of it, run 'apt-get update', try again.")
    return sources, newest


def _source(address: str, parts: str, keys: str) -> str:
    """Return a line of sources.list; `keys` is what apt says of those which may sign this source."""
    if "BEGIN PGP" in keys:
        raise Refused(
            f"apt's source '{address}' has its key inside, in the field 'Signed-By'. Write the key to a file, name "
            "that file in the field, and try again."
        )
    # Of a source without that field apt gives back the question. Any key that this host trusts may sign it.
    signed = "" if keys in ("", "$(SIGNED_BY)") else f"[signed-by={keys}] "
    return f"deb {signed}{address} {parts}"


def build_oci(definition: Definition, sources: list[str], epoch: int, work: Path) -> None:
    """Make the layout `NAME/oci` of each image: what the packages hold, and what the Containerfile makes of it."""
    context = work / "context"
    shutil.copytree(definition.folder, context)
    (work / "hook").write_text(HOOK + "".join(f"leave_out ./{path}\n" for path in definition.without))
    (work / "sources").write_text("\n".join(sources) + "\n")
    # The lists that this host has, so that two builds know the same packages, and its way to reach them.
    proxy = run(["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"])
    (work / "apt.conf").write_text(f'Dir::State::Lists "{LISTS}/";\n{proxy}')
    environment = surroundings(work, epoch)
    for image in definition.images:
        if image.archive:
            with told(f"Unpacking the packages{definition.of(image)}"):
                _unpack(definition.suite, image, work, environment)
    # A storage of its own: nothing stays behind, and nothing that the user has there gets into the image.
    storage = ["--storage-driver=vfs", "--root", str(work / "storage"), "--runroot", str(work / "run")]
    try:
        for image in definition.images:
            (work / image.name).mkdir()
            stage = ["--target", image.stage] if image.stage else []
            with told(f"Building the OCI image{definition.of(image)}"):
                run(
                    [
                        *("buildah", *storage, "build", "--quiet", "--format=oci", "--layers=false", "--no-cache"),
                        *("--network=host", "--isolation=chroot", "--identity-label=false", f"--timestamp={epoch}"),
                        # For a Containerfile that declares it: compilers then take it for the date.
                        f"--build-arg=SOURCE_DATE_EPOCH={epoch}",
                        *(*stage, "--tag", f"oci:{work / image.name / 'oci'}:{image.name}"),
                        *("--file", str(context / "Containerfile"), str(context)),
                    ],
                    environment,
                )
    finally:
        remove(work / "storage", work / "run")


def _unpack(suite: str, image: Image, work: Path, environment: dict[str, str]) -> None:
    """Make the archive of an image's packages, of which the hook leaves out those of the images below."""
    context = work / "context"
    below = " ".join(shlex.quote(str(context / archive)) for archive in image.below)
    run(
        [
            *("mmdebstrap", "--mode=unshare", "--variant=extract", "--format=tar"),
            *("--skip=update,cleanup/apt,output/dev", f"--aptopt={work / 'apt.conf'}"),
            *(f"--include={','.join(image.packages)}", f'--extract-hook=sh {work / "hook"} "$1" {below}'.rstrip()),
            *(suite, str(context / str(image.archive)), str(work / "sources")),
        ],
        environment,
    )


def remove(*paths: Path) -> None:
    """Remove what a build has left; files of subordinate users are in it, which only their user namespace can remove.

    What stays all the same is told, and is no reason to fail.
    """
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # first, since the other way takes some room on the disk
        else:
            path.unlink(missing_ok=True)
    left = [str(path) for path in paths if os.path.lexists(path)]
    if left:
        with suppress(OSError), tempfile.TemporaryDirectory(dir=paths[0].parent) as home:
            # Not the caller's home and XDG_RUNTIME_DIR, which may be another's, such as root's after 'runuser'.
            environment = {**os.environ, "HOME": home, "XDG_RUNTIME_DIR": home}
            command = ["buildah", "unshare", "rm", "-rf", *left]
            subprocess.run(command, check=False, capture_output=True, env=environment)
    for stays in filter(os.path.lexists, left):
        print(f"container-image: '{stays}' could not be removed; remove it as root.", file=sys.stderr, flush=True)


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
            _make_common(path, int(path.stat().st_mtime) if _is_compiled(path) else epoch)
    _make_common(tree, epoch)
    return tree


def _is_compiled(source: Path) -> bool:
    """Say whether a compiled file beside a Python source names the source's time, and counts only as long as it does.

    Then that time has to stay, or Python would compile again at every start. It is in the image, so it is the same
    each time. Forms: https://peps.python.org/pep-0552/, and before that the time came four bytes earlier.
    """
    if source.suffix != ".py" or source.is_symlink() or not source.is_file():
        return False
    time = (int(source.stat().st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    cached = source.parent / "__pycache__"
    beside = [source.with_suffix(".pyc"), source.with_suffix(".pyo")]
    found = [*([] if cached.is_symlink() else cached.glob(f"{glob.escape(source.stem)}.*.pyc")), *beside]
    heads = [_head(file) for file in found if file.is_file() and not file.is_symlink()]
    return any(time in (head[4:8], head[8:12]) for head in heads)


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(12)
    except PermissionError:  # it is one that nobody can use yet
        return b""


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
        # By SOURCE_DATE_EPOCH it would make younger files as old as the image, sources that keep their time too.
        undated = {name: value for name, value in environment.items() if name != "SOURCE_DATE_EPOCH"}
        run(["mksquashfs", str(work / "tree"), str(squashfs), *packing, "-mkfs-time", str(epoch)], undated)
        change = ["apptainer", "sif"]
        run([*change, "new", str(sif)], environment)
        run([*change, "add", "--datatype=4", *partition, str(sif), str(squashfs)], environment)
        run(
            [*change, "add", "--datatype=9", "--sbomformat=spdx-json", str(sif), str(work / "sbom.spdx.json")],
            environment,
        )
    return f"sha256:{sha256(squashfs)}"
