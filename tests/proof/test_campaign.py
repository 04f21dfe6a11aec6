"""What a proof means for the committed evidence, and how results add up to an exit code."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lading.errors import ExitCode, LabError
from lading.evidence.model import Statement
from lading.lab.deadline import Deadline
from lading.narrator import quiet
from lading.proof import campaign
from lading.proof.campaign import Kind, Manner, Result, exit_code, run_jobs
from lading.proof.plan import Job, named_jobs
from lading.proof.prover import Proof
from tests.evidence.proofs import DAY, FULL, prove
from tests.workshop import Workshop

TODAY = DAY.date()


@pytest.fixture
def job(workshop: Workshop) -> Job:
    (job,), _ = named_jobs(workshop.catalogue, ["demo"], None, "full", TODAY)
    return job


def result(workshop: Workshop, job: Job, found: Statement) -> Result:
    """Hold what a run in CI found against what is committed."""
    return campaign._compare(workshop.catalogue, job, Proof(found, Path("logs"), "how to see it"), TODAY)


def found(workshop: Workshop, **outcomes: str) -> Statement:
    """Return what a run would have found, without leaving it as evidence."""
    statement = prove(workshop, outcomes={**FULL, **outcomes})  # type: ignore[dict-item] # outcomes by keyword
    (workshop.catalogue.evidence / "demo" / "debian13.json").unlink()
    return statement


def test_a_claim_that_does_not_hold_is_not_reproduced(workshop: Workshop, job: Job) -> None:
    failing = found(workshop, green="failed")
    prove(workshop)
    judged = result(workshop, job, failing)
    assert judged.kind == "not-reproduced"
    assert judged.message.startswith("The committed evidence says full; here: playbook/green: ")
    assert judged.hint == "how to see it"


def test_a_claim_of_more_than_was_found_is_not_reproduced(workshop: Workshop, job: Job) -> None:
    less = found(workshop, reboot="not-run")
    prove(workshop)
    assert result(workshop, job, less).kind == "not-reproduced"


def test_a_full_proof_bears_out_a_quick_claim(workshop: Workshop, job: Job) -> None:
    passing = found(workshop)
    prove(workshop, outcomes={"apply": "passed", "green": "passed"})
    assert result(workshop, job, passing).kind == "proven"


def test_an_old_claim_must_hold_too(workshop: Workshop, job: Job) -> None:
    failing = found(workshop, green="failed")
    prove(workshop, finished=DAY - timedelta(days=40))
    assert result(workshop, job, failing).kind == "not-reproduced"


def test_a_claim_that_holds_is_proven(workshop: Workshop, job: Job) -> None:
    passing = found(workshop)
    prove(workshop)
    judged = result(workshop, job, passing)
    assert (judged.kind, judged.message) == ("proven", "The committed evidence holds.")


def test_where_nothing_is_claimed_the_run_alone_counts(workshop: Workshop, job: Job) -> None:
    assert result(workshop, job, found(workshop, green="failed")).kind == "failed"
    judged = result(workshop, job, found(workshop))
    assert judged.kind == "proven"
    assert judged.message.startswith("The committed evidence is not-verified")


@pytest.mark.parametrize(
    "kinds, code",
    [
        ([], ExitCode.OK),
        (["proven", "known", "not-reached"], ExitCode.OK),
        (["proven", "lab-error"], ExitCode.LAB),
        (["bad-input", "lab-error"], ExitCode.USAGE),
        (["bad-input", "failed"], ExitCode.FAILED),
        (["lab-error", "failed"], ExitCode.FAILED),
        (["not-reproduced", "proven"], ExitCode.FAILED),
    ],
)
def test_a_bad_verdict_outranks_a_broken_lab(job: Job, kinds: list[Kind], code: ExitCode) -> None:
    assert exit_code([Result(job, kind) for kind in kinds]) == code


def test_a_lab_that_breaks_for_one_job_does_not_hide_the_next(
    workshop: Workshop, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_catalogue: object, job: Job, *_: object) -> Result:
        if job.why == "first":
            raise LabError("The mirror is down.", hint="Wait.")
        return Result(job, "proven")

    monkeypatch.setattr(campaign, "_run_job", broken)
    jobs = [replace(job, why="first"), replace(job, why="second")]
    results = list(run_jobs(workshop.catalogue, jobs, Manner(), quiet(), TODAY))
    assert [(one.kind, one.message, one.hint) for one in results] == [
        ("lab-error", "The mirror is down.", "Wait."),
        ("proven", "", None),
    ]


def test_after_the_deadline_short_proofs_still_run(
    workshop: Workshop, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "_run_job", lambda _catalogue, job, *_: Result(job, "proven"))
    jobs = [replace(job, seconds=600.0), replace(job, seconds=10.0)]
    results = list(run_jobs(workshop.catalogue, jobs, Manner(deadline=Deadline.after(60)), quiet(), TODAY))
    assert [one.kind for one in results] == ["not-reached", "proven"]
