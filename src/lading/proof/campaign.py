"""Runs proofs one after another and keeps what came of each; no result of one hides another's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from lading.errors import ExitCode, LabError, LadingError
from lading.evidence.model import Grade, Statement
from lading.evidence.status import status
from lading.evidence.store import read_evidence, write_evidence
from lading.evidence.subject import subject_of
from lading.lab.deadline import Deadline
from lading.lab.lab import Asked, opened_lab
from lading.lab.upstream import upstreams_of
from lading.lab.workspace import opened_workspace
from lading.narrator import Narrator
from lading.project import Catalogue
from lading.proof.bases import BaseUnproven, require_proven
from lading.proof.plan import Job, needs_of
from lading.proof.prover import Proof, prove
from lading.proof.records import recall, remember
from lading.recipe.bases import bases_in_order

Kind = Literal["proven", "failed", "known", "not-reproduced", "lab-error", "bad-input", "not-reached"]
EXIT: dict[Kind, ExitCode] = {
    "proven": ExitCode.OK,
    "known": ExitCode.OK,
    "not-reached": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "not-reproduced": ExitCode.FAILED,
    "lab-error": ExitCode.LAB,
    "bad-input": ExitCode.USAGE,
}


@dataclass(frozen=True)
class Result:
    """What came of one job; `proof` is there if its stages ran now, `statement` if anything was ever proven."""

    job: Job
    kind: Kind
    message: str = ""
    hint: str | None = None
    proof: Proof | None = None
    statement: Statement | None = None


@dataclass(frozen=True)
class Manner:
    """How proofs are made: `ci` compares with the committed evidence instead of writing it."""

    asked: Asked = "auto"
    force: bool = False
    keep: bool = False
    ci: bool = False
    deadline: Deadline | None = None


def exit_code(results: Sequence[Result]) -> ExitCode:
    """Return 1 if any verdict is bad, else 2 if any input is, else 3 if the lab broke anywhere, else 0."""
    codes = {EXIT[result.kind] for result in results}
    return next((code for code in (ExitCode.FAILED, ExitCode.USAGE, ExitCode.LAB) if code in codes), ExitCode.OK)


def run_jobs(
    catalogue: Catalogue, jobs: Sequence[Job], manner: Manner, narrator: Narrator, today: date
) -> Iterator[Result]:
    """Yield the result of each job as it comes. A lab that broke for one job is opened anew for the next."""
    ended: dict[tuple[str, str], Kind] = {}
    for job in jobs:
        result = _result_of(catalogue, job, manner, narrator, today, ended)
        ended[job.loaded.id, job.platform] = result.kind
        yield result


def _result_of(
    catalogue: Catalogue,
    job: Job,
    manner: Manner,
    narrator: Narrator,
    today: date,
    ended: Mapping[tuple[str, str], Kind],
) -> Result:
    """Return what comes of a job; `ended` is what came of those before it."""
    if manner.deadline is not None and job.seconds > manner.deadline.left():
        return Result(job, "not-reached", f"needs {job.seconds:.0f} s, {manner.deadline.left():.0f} s are left")
    for base in bases_in_order(catalogue, job.loaded.id):
        # In CI the committed evidence still says otherwise.
        if ended.get((base, job.platform)) in ("failed", "not-reproduced"):
            return Result(job, "bad-input", f"'{job.loaded.id}' builds on '{base}', which has just failed.")
    try:
        return _run_job(catalogue, job, manner, narrator, today)
    except BaseUnproven as error:
        if ended.get((error.base, job.platform)) == "not-reached":
            return Result(job, "not-reached", f"builds on '{error.base}', which was not reached either")
        if ended.get((error.base, job.platform)) == "lab-error":
            return Result(job, "lab-error", f"It builds on '{error.base}', of which there is no verdict.")
        return Result(job, "bad-input", error.message, error.hint)
    except LadingError as error:
        return Result(job, "lab-error" if isinstance(error, LabError) else "bad-input", error.message, error.hint)


def _run_job(catalogue: Catalogue, job: Job, manner: Manner, narrator: Narrator, today: date) -> Result:
    with opened_workspace(narrator) as workspace:
        digest = subject_of(catalogue, job.loaded, job.platform).digest
        known = recall(workspace, job.loaded.id, job.platform, digest, job.grade)
        if known and not (manner.force or manner.ci or manner.keep):
            if read_evidence(catalogue, job.loaded.id, job.platform) != known:
                write_evidence(catalogue, job.loaded.id, job.platform, known)
            return Result(job, "known", "This machine has proven exactly these inputs before.", statement=known)
        require_proven(workspace, catalogue, job.loaded, job.platform, job.grade, today)
        narrator.say(f"Proving {job.name} ({job.grade}): {job.why}.")
        upstreams = upstreams_of(needs_of(catalogue, job.loaded, job.platform))
        with opened_lab(workspace, manner.asked, upstreams) as lab:
            proof = prove(lab, catalogue, job.loaded, job.platform, grade=job.grade, keep=manner.keep)
        remember(workspace, job.loaded.id, job.platform, proof.statement)
        if manner.ci:
            return _compare(catalogue, job, proof, today)
        write_evidence(catalogue, job.loaded.id, job.platform, proof.statement)
        return _result(job, proof)


def _result(job: Job, proof: Proof) -> Result:
    if proof.passed:
        return Result(job, "proven", proof=proof, statement=proof.statement)
    return Result(job, "failed", _failure(proof), proof.hint, proof, proof.statement)


def _compare(catalogue: Catalogue, job: Job, proof: Proof, today: date) -> Result:
    """Hold a proof against the committed claim: only a claim about the same inputs can fail to be reproduced."""
    claim = status(catalogue, job.loaded, job.platform, today=today)
    if claim.verdict in ("proven", "old") and (
        not proof.passed or _rank(proof.statement.run.grade) < _rank(claim.grade)
    ):
        said = f"The committed evidence says {claim.grade}; here: {_failure(proof)}"
        return Result(job, "not-reproduced", said, proof.hint, proof, proof.statement)
    if claim.verdict in ("stale", "not-verified", "failed") and proof.passed:
        said = f"The committed evidence is {claim.verdict}: commit what 'lading verify' writes."
        return Result(job, "proven", said, proof=proof, statement=proof.statement)
    judged = _result(job, proof)
    return replace(judged, message="The committed evidence holds.") if proof.passed else judged


def _rank(grade: Grade | None) -> int:
    """Return how much a grade says: a full proof bears out a quick claim too."""
    return {None: 0, "quick": 1, "full": 2}[grade]


def _failure(proof: Proof) -> str:
    """Return every failed stage with what was wrong, one a line."""
    failures = [f"{name}/{stage.name}: {stage.detail}" for name, stage in proof.statement.run.failures]
    return "\n".join(failures) or "every stage passed"
