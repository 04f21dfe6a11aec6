#!/usr/bin/python3
"""Runs a command of a job in a container, and names the image where that cannot be.

`container-job IMAGE COMMAND...` is `apptainer exec --cleanenv IMAGE COMMAND...` after a look at the image. Apptainer's
own words do not always name it, and a job has one log for all that went on.
"""

import os
import platform
import socket
import sys
from pathlib import Path
from typing import Optional

# Of ELF's e_machine and of SIF's architecture the ones that a grid has.
ELF = {0x3E: "x86_64", 0xB7: "aarch64", 0x15: "ppc64le", 0xF3: "riscv64"}
SIF = {b"02": "x86_64", b"04": "aarch64", b"06": "ppc64le", b"12": "riscv64"}
NO_IMAGE = 66
WRONG_MACHINE = 65
NO_APPTAINER = 69


def inside(tree: Path, path: str) -> Path:
    """Return where a path of a tree lies, its links read as whoever is inside reads them."""
    done, todo = tree, path.strip("/").split("/")
    for _ in range(100):
        if not todo:
            break
        part = todo.pop(0)
        here = done / part
        if not here.is_symlink():
            done = here
            continue
        target = str(here.readlink())
        if target.startswith("/"):
            done = tree
        todo = [word for word in target.split("/") if word not in ("", ".")] + todo
        while todo and todo[0] == "..":
            todo.pop(0)
            done = done.parent if done != tree else tree
    return done


def machine(image: Path) -> Optional[str]:
    """Return what machine an image is for, as `uname -m` calls it; None if that does not show."""
    try:
        if image.is_dir():
            head = inside(image, "bin/sh").read_bytes()[:20]
            number = int.from_bytes(head[18:20], "big" if head[5:6] == b"\2" else "little")
            return ELF.get(number) if head[:4] == b"\x7fELF" else None
        with image.open("rb") as handle:
            head = handle.read(48)
        return SIF.get(head[45:47]) if head[32:41] == b"SIF_MAGIC" else None
    except OSError:
        return None


def complaint(image: str, here: str) -> "tuple[int, str]":
    """Return what keeps an image from being run here, with the exit code that tells it; nothing if all is well."""
    path = Path(image)
    try:
        path.stat()
        readable = os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    except PermissionError:
        readable = False
    except OSError as error:
        return NO_IMAGE, f"cannot be found: {error.strerror}"
    if not readable:
        return NO_IMAGE, "cannot be read by this account"
    found = machine(path)
    if found and found != here:
        return WRONG_MACHINE, f"is for {found}, and this node is {here}"
    return 0, ""


def main() -> int:
    """Run the program."""
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        print("Usage: container-job IMAGE COMMAND...", file=sys.stderr)
        return 2
    image, *words = sys.argv[1:]
    # What comes from elsewhere, such as oras://…, is Apptainer's to look at.
    code, wrong = (0, "") if "://" in image else complaint(image, platform.machine())
    job, node = os.environ.get("SLURM_JOB_ID", "none"), os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    os.environ.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")  # of a job that got no environment at all
    argv = ["apptainer", "exec", "--cleanenv", image, *words]
    if not wrong:
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - it takes the place of this one
        except OSError as error:
            code, wrong = NO_APPTAINER, f"cannot be run: apptainer: {error.strerror}"
    print(f"container-job: the container image '{image}' {wrong}. (job {job}, node {node})", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
