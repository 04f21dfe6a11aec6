"""What is measured of a shared file system, and how it is counted; measuring itself is `make bench ARGS=--shared`."""

import json
import shlex
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lading.errors import LabError
from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from lading.site.measurement import TRAFFIC, Conditions
from tools import bench_figures, starts_in_guest
from tools.bench_shared import (
    CLIENT,
    DEFINITION,
    FORGETS,
    FORMS,
    IMAGE,
    MODULES,
    NAME,
    PATH,
    POINT,
    QUESTIONS,
    SERVER,
    building,
    mounting,
    plan,
    refuse_unpacking,
    serving,
    understand,
)
from tools.starts_in_guest import Share, traffic

MOUNTSTATS = """\
device proc mounted on /proc with fstype proc
device systemd-1 mounted on /mnt/shared with fstype autofs
device builder1:/srv/container-images mounted on /mnt/shared with fstype nfs4 statvers=1.1
\topts:\tro,vers=4.2,rsize=262144,clientaddr=10.99.0.12
\tage:\t12
\tevents:\t9 8 7 6 5 4 3 2 1 0
\tbytes:\t1000 0 0 0 2097152 0 77 0
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\txprt:\ttcp 0 1 2 0 0 40 40 0 44 0 2 4 5
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 0 0
\t        READ: 16 17 0 3000 2100000 0 5 5 0
\t       WRITE: 0 0 0 0 0 0 0 0 0
\t   READ_PLUS: 20 20 0 3000 2100000 0 5 5 0
\t    SEQUENCE: 500 500 0 3000 2100000 0 5 5 0

device other:/home mounted on /mnt/shared/other with fstype nfs4 statvers=1.1
\tbytes:\t0 0 0 0 999999 0 0 0
\tper-op statistics
\t        READ: 1000 0 0 0 0 0 0 0 0
"""
PLACE = {"measured": date(2026, 11, 21), "platform": "debian13", "accelerator": "tcg", "cpus": 1, "memory_mib": 1024}
MANIFEST = {
    "oci": {"digest": "sha256:" + "12" * 32, "size": 1},
    "tree": {"size": 70 * 1024**2},
    "sif": {"size": 25.25 * 1024**2},
}
ANSWERS = {
    "kernel": "6.12.57+deb13-amd64",
    "Apptainer": "apptainer version 1.4.5-2",
    "squashfuse": "0.6.1-1",
    "nfs-utils": "1:2.8.3-1",
    "mount": "ro,relatime,vers=4.2,rsize=262144",
    "manifest": json.dumps(MANIFEST),
    "files": "1523",
}


def conditions(**answers: str) -> Conditions:
    return bench_figures.conditions_from(understand, {**ANSWERS, **answers}, PLACE)


def test_requests_and_bytes_are_those_of_one_mount_without_signs_of_life() -> None:
    assert traffic(MOUNTSTATS, "/mnt/shared") == (1 + 16 + 20, 2097152)
    assert traffic(MOUNTSTATS, "/mnt/shared/other") == (1000, 999999)


@pytest.mark.parametrize("point", ["/mnt", "/proc", "/mnt/share"])
def test_what_is_no_nfs_mount_is_refused(point: str) -> None:
    with pytest.raises(SystemExit, match=f"'{point}' is no NFS mount"):
        traffic(MOUNTSTATS, point)


class Nobody(starts_in_guest.Account):
    """An account that starts nothing: it and its share note what they should have done."""

    def __init__(self, did: list[str]) -> None:
        self.did = did

    def run(self, argv: Any) -> tuple[float, str]:
        self.did.append(argv[0])
        return 1.0, ""

    def empty(self) -> None:
        self.did.append("empty")


class Nowhere(Share):
    """A share of nobody, of which each look finds ten requests and a MiB more."""

    def __init__(self, did: list[str]) -> None:
        self.did, self.looks = did, 0

    def mount_anew(self) -> None:
        self.did.append("mount")

    def traffic(self) -> tuple[int, int]:
        self.did.append("look")
        self.looks += 1
        return 10 * self.looks, self.looks * 1024**2


def test_each_start_is_between_two_looks_and_each_first_one_after_a_new_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(starts_in_guest, "drop_caches", lambda: did.append("drop"))
    monkeypatch.setattr(starts_in_guest, "stored", lambda: 0)
    found = list(starts_in_guest.measure(Nobody(did), {"a": ["x"]}, 1, 1, Nowhere(did)))
    first, warm, later = ["empty", "mount", "drop", "look", "x", "look"], ["look", "x"], ["look", "x", "look"]
    assert did == first + warm + later
    assert found == [["a", "first", 1, 1.0, 0.0, 10, 1.0], ["a", "next", 1, 1.0, None, 10, 1.0]]


def test_a_start_is_counted_when_no_more_requests_come(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([(5, 100), (7, 100), (7, 150), (7, 150), (99, 999)])
    monkeypatch.setattr(starts_in_guest, "traffic", lambda *_: next(counts))
    monkeypatch.setattr("tools.starts_in_guest.time.sleep", lambda _: None)
    monkeypatch.setattr(Path, "read_text", lambda _: "")
    assert Share("s", "/f", "/p", "ro", 1).traffic() == (7, 150)


def test_a_share_is_mounted_after_its_server_has_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    codes = iter([32, 0, 0])  # the first time it is in use

    def run(argv: list[str], **_: bool) -> subprocess.CompletedProcess[str]:
        did.append(" ".join(argv))
        return subprocess.CompletedProcess(argv, next(codes))

    class Connection:
        def __enter__(self) -> "Connection":
            return self

        def __exit__(self, *_: object) -> None:
            did.append("closed")

        def recv(self, _: int) -> bytes:
            did.append("forgotten")
            return b"d"

    monkeypatch.setattr("tools.starts_in_guest.subprocess.run", run)
    monkeypatch.setattr("tools.starts_in_guest.time.sleep", lambda _: did.append("waited"))
    monkeypatch.setattr("tools.starts_in_guest.socket.create_connection", lambda *_: Connection())
    Share("builder1", "/srv", "/mnt", "ro,vers=4.2", 4711).mount_anew()
    mount = "mount -t nfs4 -o ro,vers=4.2 builder1:/srv /mnt"
    assert did == ["umount /mnt", "waited", "umount /mnt", "forgotten", "closed", mount]


def test_the_guest_is_told_all_that_a_share_is_made_of() -> None:
    said = json.loads(plan())
    share = Share(**said["share"])
    assert vars(share)["_mount"][-1] == POINT
    assert list(said["commands"]) == list(FORMS)
    assert list(said["questions"]) == list(QUESTIONS)
    assert said["commands"]["sif-python"][-3:] == ["python3", "-c", f"import {MODULES}"]
    assert said["commands"]["tree-true"][-2:] == [f"{IMAGE}/tree", "true"]


def test_what_is_imported_is_there_and_is_many_files() -> None:
    asked = f"import {MODULES}; import sys; print(sum(hasattr(m, '__file__') for m in sys.modules.values()))"
    said = subprocess.run(["python3", "-I", "-c", asked], capture_output=True, text=True, check=True).stdout
    assert int(said) > 200


def test_the_scripts_are_shell() -> None:
    for script in (building(), serving(), mounting()):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    compile(FORGETS, "forgets", "exec")


def test_the_definition_arrives_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFINITION, "job", "echo $HOME `date`\n")
    script = building().replace("/home/alice/", f"{tmp_path}/").partition("runuser")[0]
    subprocess.run(["sh"], input=script, text=True, check=True)
    assert {file.name: file.read_text() for file in (tmp_path / "shared").iterdir()} == DEFINITION


def test_the_hosts_are_those_of_the_path() -> None:
    assert {SERVER, CLIENT} <= set(load_recipe(find_catalogue(), PATH).recipe.hosts)


def test_an_image_that_would_be_unpacked_is_not_measured() -> None:
    refuse_unpacking("")
    with pytest.raises(LabError, match="unpacks the whole SIF file"):
        refuse_unpacking("INFO:    Converting SIF file to temporary sandbox...")


def test_the_start_that_is_judged_says_what_it_does() -> None:
    (line,) = (line for line in mounting().splitlines() if "apptainer" in line)
    assert "--silent" not in line
    assert "--quiet" not in line
    assert shlex.split(line)[-1].endswith(f"{IMAGE}/shared.sif true")


def test_the_conditions_tell_how_many_files_and_which_programs() -> None:
    said = conditions()
    assert said.programs == {"Apptainer": "1.4.5", "squashfuse": "0.6.1", "nfs-utils": "2.8.3"}
    assert [form.published_mib for form in said.forms.values()] == [70, 25.2, 70, 25.2]
    assert said.notes[0] == "The tree has 1,523 files of 70.0 MiB together; the SIF file is one of 25.2 MiB."


@pytest.mark.parametrize(
    "answers", [{"mount": "ro,vers=4.1"}, {"files": ""}, {"squashfuse": ""}, {"manifest": '{"oci": {}}'}]
)
def test_an_answer_that_says_nothing_is_the_labs_fault(answers: dict[str, str]) -> None:
    with pytest.raises(LabError, match="cannot be understood"):
        conditions(**answers)


def test_what_is_written_is_what_a_page_reads(tmp_path: Path) -> None:
    found = [
        [form, run, 1, 2.0, 0.0 if run == "first" else None, 3214 if run == "first" else 12, 20.126]
        for run in ("first", "next")
        for form in FORMS
    ]
    starts = bench_figures.starts_from(found, FORMS)
    lines = bench_figures.as_csv(starts).splitlines()
    assert lines[0].endswith(f",disk_mib,{','.join(TRAFFIC)}")
    assert lines[1:3] == ["tree-true,first,1,2.0000,0.00,3214,20.13", "tree-true,next,1,2.0000,,12,20.13"]
    measurement = bench_figures.write(tmp_path / "docs", NAME, conditions(), starts)
    assert measurement.requests("sif-python", "first").median == 3214
    assert measurement.moved_mib("sif-python", "next").median == 20.13
    told = " ".join(bench_figures.summary(measurement).splitlines()[1].split())
    assert told == "true, from the tree 2.00 s 2.00 s 2.00 s 2.00 s 0.0 MiB 3214, 12 next 20.1 MiB"
