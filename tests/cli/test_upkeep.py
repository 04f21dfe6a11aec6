"""`lading gc` and `lading doctor`: the cache is tidied without harm to a run that lives, and lacks are named."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.cli.main import main
from lading.errors import ExitCode
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet

DAY = 86400
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str]:
        code = main(list(words))
        return code, capsys.readouterr().out

    return run


def put(cache: Path, name: str, *, days: float) -> Path:
    """Make something in the cache that is that old."""
    folder = cache / name
    folder.mkdir(parents=True)
    (folder / "disk").write_bytes(b"x" * 4096)
    moment = time.time() - days * DAY
    os.utime(folder, (moment, moment))
    return folder


def test_gc_removes_what_is_old_and_keeps_what_is_young(cache: Path, run: Run) -> None:
    old, young = put(cache, "images/old", days=15), put(cache, "images/young", days=13)
    log, proof = put(cache, "runs/log", days=15), put(cache, "proofs/proof", days=100)
    code, out = run("gc")
    assert code == ExitCode.OK
    assert [path.exists() for path in (old, young, log, proof)] == [False, True, False, True]
    assert "images/old (15 days old)" in out
    assert "2 things removed" in out
    assert run("gc")[1].startswith("Nothing to remove")


def test_gc_all_keeps_only_the_records_of_proofs(cache: Path, run: Run) -> None:
    young, proof = put(cache, "snapshots/young", days=0), put(cache, "proofs/proof", days=100)
    _, out = run("gc", "--all", "--json")
    assert [entry["what"] for entry in json.loads(out)] == ["snapshots/young"]
    assert (young.exists(), proof.exists()) == (False, True)


def test_gc_removes_what_a_dead_run_left_and_spares_a_run_that_lives(cache: Path, run: Run) -> None:
    with opened_workspace(quiet()) as workspace:
        dead = put(cache, "tmp/deadbeef", days=0)
        _, out = run("gc")
        assert workspace.tmp.exists()
        assert not dead.exists()
    assert "tmp/deadbeef (its run is over; 0 processes ended)" in out


@pytest.mark.usefixtures("cache")
def test_doctor_names_what_is_there(run: Run) -> None:
    code, out = run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert {"Python", "QEMU", "mmdebstrap", "mirror", "accelerator", "disk", "machine"} <= findings.keys()
    assert findings["accelerator"]["text"].startswith("not tried yet")
    assert code == (ExitCode.LAB if any(one["state"] == "missing" for one in findings.values()) else ExitCode.OK)


@pytest.mark.usefixtures("cache")
def test_doctor_says_what_is_missing_and_ends_in_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.lab.health.PROGRAMS", {"no-such-program": "does nothing"})
    monkeypatch.setattr("lading.lab.health.NEEDED_BYTES", 1 << 60)
    code, out = run("doctor")
    assert code == ExitCode.LAB
    assert "MISSING  no-such-program It does nothing; 'make setup' installs it." in out
    assert out.rstrip().endswith("Proofs can't be made here: no-such-program, disk.")
