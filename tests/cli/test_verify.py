"""`lading verify` where no guest is needed: what is refused, and what is known already."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.cli.main import main
from lading.errors import ExitCode
from lading.evidence.store import evidence_file, read_evidence
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet
from lading.proof.records import remember
from tests.evidence.proofs import prove
from tests.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of `lading verify` on a catalogue, with a cache of its own."""
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--catalogue", str(workshop.root), "verify", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["dmeo"], ExitCode.USAGE, "'demo'"),
        (["../demo"], ExitCode.USAGE, "'../demo'"),
        (["demo", "--platform", "debian31"], ExitCode.USAGE, "'debian13'"),
        (["demo", "--platform", "debian12"], ExitCode.LAB, "No package there."),
        (["--ci", "demo"], ExitCode.USAGE, "--ci chooses the proofs itself"),
        (["--deadline", "soon"], ExitCode.USAGE, "soon"),
        (["--accel", "xen"], ExitCode.USAGE, "xen"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(run: Run, words: list[str], code: ExitCode, said: str) -> None:
    ended, out, err = run(*words)
    assert ended == code
    assert said in err
    assert err.startswith("lading: error: ")
    assert "Traceback" not in err
    assert out == ""


def test_a_proof_that_this_machine_made_is_not_repeated(workshop: Workshop, run: Run) -> None:
    statement = prove(workshop)
    with opened_workspace(quiet()) as workspace:
        remember(workspace, "demo", "debian13", statement)
    evidence_file(workshop.catalogue, "demo", "debian13").unlink()
    code, out, _ = run("demo")
    assert code == ExitCode.OK
    assert "by this machine; not repeated" in out
    assert "1 known already" in out
    assert "Not verified: demo on debian12. No package there." in out
    assert read_evidence(workshop.catalogue, "demo", "debian13") == statement, "the evidence is back in its place"
    code, out, _ = run("demo", "--json")
    (result,) = json.loads(out)
    assert (result["path"], result["platform"], result["outcome"]) == ("demo", "debian13", "known")


def test_committed_evidence_alone_does_not_count_as_done(
    workshop: Workshop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(workshop)
    # Without a mirror the laboratory can't open: that it was tried is what shows.
    monkeypatch.setattr("lading.lab.mirror._entries", lambda _apt: iter(()))
    code, out, err = run("demo")
    assert "Proving demo on debian13" in err
    assert code == ExitCode.USAGE
    assert "Not proven, the input is wrong: This machine's apt sources name no Debian mirror." in out
    assert "known" not in out


def test_a_proof_that_does_not_fit_the_deadline_is_not_started(run: Run) -> None:
    code, out, err = run("--ci", "--deadline", "1m")
    assert code == ExitCode.OK
    assert "Not reached: needs 480 s, " in out
    assert "1 not reached" in out
    assert "Proving" not in err
