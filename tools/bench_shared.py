"""Measure what a start from a shared file system costs, from a tree and from one file: `make bench ARGS=--shared`.

The guests of `hpc-image-file` are set up by its playbook. `builder1` builds a container image of many small files and
serves it by NFS; `login1` mounts that, and starts from it in turn. The page of the path shows what is written here:
`docs/assets/measured/shared-file-system.csv` and `.json`.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from lading.errors import LabError
from lading.lab.guest import Guest
from lading.project import Catalogue
from lading.proof.bench import LAB_USERS
from lading.site.measurement import Measurement
from tools import bench_figures
from tools.bench_figures import UNPACKS

NAME: Final = "shared-file-system"
PATH: Final = "hpc-image-file"
SERVER: Final = "builder1"
CLIENT: Final = "login1"
USER: Final = LAB_USERS["user"]
FIRST: Final = 3
LATER: Final = 5

SERVED: Final = "/srv/container-images"
POINT: Final = "/mnt/shared"
OPTIONS: Final = "ro,vers=4.2"
PORT: Final = 4711
IMAGE: Final = f"{POINT}/shared/current"

INSTALL_SECONDS: Final = 60
BUILD_SECONDS: Final = 90
"""Ten times as many where guests are emulated."""

DEFINITION: Final[dict[str, str]] = {
    "image.ini": """\
[image]
suite = trixie
packages = base-files base-passwd bash coreutils dash libc-bin python3
without = usr/share/doc usr/share/locale usr/share/man
""",
    # Packages are unpacked and not installed, so nothing is compiled yet: each start would do it, and keep nothing.
    # All files get one date, by which Python could not tell whether what is compiled is of the source beside it.
    "Containerfile": """\
FROM scratch
ADD root.tar /
RUN python3 -m compileall -q --invalidation-mode=unchecked-hash /usr/lib/python3.*
ENV LANG=C.UTF-8
CMD ["python3"]
""",
}

MODULES: Final = (
    "asyncio, concurrent.futures, csv, ctypes, decimal, difflib, email.mime.multipart, ftplib, gzip, html.parser, "
    "http.server, imaplib, ipaddress, logging.handlers, lzma, mailbox, multiprocessing.pool, optparse, pdb, pickle, "
    "plistlib, profile, pydoc, secrets, shelve, smtplib, sqlite3, ssl, statistics, tarfile, timeit, tomllib, "
    "unittest.mock, urllib.request, uuid, wsgiref.simple_server, xml.dom.minidom, xml.etree.ElementTree, xml.sax, "
    "xmlrpc.client, zipfile, zoneinfo"
)
"""Of Python's standard library: with what they import themselves, about 270 files."""


def _starts(command: str) -> dict[str, str]:
    apptainer = "apptainer --silent exec --cleanenv"
    return {form: f"{apptainer} {IMAGE}/{file} {command}" for form, file in (("tree", "tree"), ("sif", "shared.sif"))}


NOTHING, IMPORTS = _starts("true"), _starts(f"python3 -c {shlex.quote(f'import {MODULES}')}")
FORMS: Final = {
    "tree-true": ("true, from the tree", NOTHING["tree"]),
    "sif-true": ("true, from the SIF file", NOTHING["sif"]),
    "tree-python": ("Python, from the tree", IMPORTS["tree"]),
    "sif-python": ("Python, from the SIF file", IMPORTS["sif"]),
}

_VERSION: Final = "dpkg-query --show --showformat=${Version}"
QUESTIONS: Final = {
    "kernel": "uname --kernel-release",
    "Apptainer": "apptainer --version",
    "squashfuse": f"{_VERSION} squashfuse",
    "nfs-utils": f"{_VERSION} nfs-common",
    "mount": f"findmnt --noheadings --output OPTIONS {POINT}",
    "manifest": f"cat {IMAGE}/manifest.json",
    "files": f"grep --count type=file {IMAGE}/tree.mtree",
}

INSTALL: Final = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
apt-get install --quiet --quiet --yes --no-install-recommends"""

FORGETS: Final = f"""
import os, socket
with socket.create_server(("", {PORT})) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            os.sync()
            with open("/proc/sys/vm/drop_caches", "w") as file:
                file.write("3")
            connection.sendall(b"done")
"""
"""Empties the server's caches whenever somebody connects: who starts and measures is on another host."""


def building() -> str:
    """Return the script that builds the image, as the account that may."""
    folder = f"/home/{USER}/shared"
    files = "".join(f"cat >{folder}/{name} <<'END'\n{text}END\n" for name, text in DEFINITION.items())
    return f"""set -e
mkdir -p {folder}
{files}chmod -R a+rX {folder}
runuser -l {USER} -c 'container-image build shared'
"""


def serving() -> str:
    """Return the script that makes a host the file server."""
    return f"""{INSTALL} nfs-kernel-server
mkdir -p /etc/exports.d
echo '{SERVED} {CLIENT}(ro,no_subtree_check)' >/etc/exports.d/shared.exports
exportfs -ra
systemctl is-active nfs-server
systemd-run --quiet --unit=forgets python3 -c {shlex.quote(FORGETS)}
"""


def mounting() -> str:
    """Return the script that mounts what is served, and starts something from the SIF file there."""
    start = f"apptainer exec --cleanenv {IMAGE}/shared.sif true"  # not silent: it says what it has to do before
    return f"""{INSTALL} nfs-common
mkdir -p {POINT}
mount -t nfs4 -o {OPTIONS} {SERVER}:{SERVED} {POINT}
runuser -l {USER} -c {shlex.quote(start)}
"""


def plan() -> str:
    """Return what the guest is told to do."""
    share = {"server": SERVER, "folder": SERVED, "point": POINT, "options": OPTIONS, "port": PORT}
    return bench_figures.plan(USER, FORMS, QUESTIONS, FIRST, LATER, share=share)


def understand(answers: Mapping[str, str]) -> dict[str, Any]:
    """Return what the guest's answers say of where it was measured."""
    manifest = json.loads(answers["manifest"])
    if "vers=4.2" not in answers["mount"].split(","):
        raise ValueError(f"'{answers['mount']}' is no mount by NFS 4.2")
    sizes = {form: manifest[form.partition("-")[0]]["size"] for form in FORMS}
    forms = bench_figures.forms_said(FORMS, sizes)
    tree, sif = (forms[form]["published_mib"] for form in ("tree-true", "sif-true"))
    return {
        "title": "What a start from a shared file system takes",
        "kernel": answers["kernel"],
        "programs": {name: bench_figures.version(answers[name]) for name in ("Apptainer", "squashfuse", "nfs-utils")},
        "image": manifest["oci"]["digest"],
        "forms": forms,
        "notes": [
            f"The tree has {int(answers['files']):,} files of {tree} MiB together; the SIF file is one of {sif} MiB.",
            "Another virtual machine of this kind served them by NFS 4.2.",
            "Before each first run both forgot what they had read, and the file system was mounted anew.",
            "What came from the server are contents of files.",
        ],
    }


def set_up(server: Guest, client: Guest) -> None:
    """Build the image on the one host, and mount it on the other.

    Raises:
        LabError: it failed, or a SIF file would be unpacked at each start: then there is nothing to compare.
    """
    server.ask(building(), BUILD_SECONDS)
    server.ask(serving(), INSTALL_SECONDS)
    refuse_unpacking(client.ask(mounting(), INSTALL_SECONDS).output)


def refuse_unpacking(said: str) -> None:
    """Hold what Apptainer has said of a start from a SIF file against what is to be measured.

    Raises:
        LabError: it unpacks the file.
    """
    if UNPACKS in said:
        raise LabError(
            f"Apptainer on '{CLIENT}' unpacks the whole SIF file at each start, so nothing would be compared.",
            hint=f"It mounts the file where squashfuse is installed; the playbook of '{PATH}' should have done that.",
        )


def measure_shared(catalogue: Catalogue) -> Measurement:
    """Measure between two guests, and write the files.

    Raises:
        LadingError: the guests could not be set up, or the forms not be started.
    """
    with bench_figures.opened(catalogue, PATH) as bench:
        narrator = bench.lab.workspace.narrator
        with narrator.step("Building an image of many files, and sharing it"):
            set_up(bench.guests[SERVER], bench.guests[CLIENT])
        with narrator.step("Starting each form"):
            found = bench_figures.measure(bench.guests[CLIENT], plan())
        place = bench_figures.place_of(bench, CLIENT)
    conditions = bench_figures.conditions_from(understand, found["answers"], place)
    return bench_figures.write(catalogue.docs, NAME, conditions, bench_figures.starts_from(found["starts"], FORMS))


def main() -> int:
    """Measure, write and print; what goes wrong is told in a sentence."""
    return bench_figures.main(measure_shared)
