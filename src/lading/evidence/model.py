"""The evidence file: an in-toto Statement with the test-result predicate, and our own part of it.

Field names are those of the two specifications; `seal` adds a digest that finds accidents, not malice.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

import lading
from lading.evidence.canonical import canonical_json, sha256_of
from lading.evidence.subject import Subject
from lading.recipe.model import Stage

Outcome = Literal["passed", "failed", "not-run"]
Grade = Literal["full", "quick"]
Result = Literal["PASSED", "FAILED"]
Route = Literal["playbook", "by-hand", "puppet"]

STAGES_OF: Mapping[Route, tuple[Stage, ...]] = {
    "playbook": ("red", "apply", "green", "again", "sabotage", "reboot", "undo"),
    "by-hand": ("apply", "green", "reboot", "undo", "agree"),
    "puppet": ("apply", "green", "again", "sabotage", "reboot", "undo", "agree"),
}
"""The stages of each route: red is measured once for a path; a person types a page once; agree is with the playbook."""

ALWAYS: tuple[Route, ...] = ("playbook", "by-hand")
"""The routes that every path has."""

START_STAGES: tuple[Stage, ...] = ("apply", "green", "undo")
"""The stages on a host that is not clean; a host that is refused has the first alone."""

QUICK: frozenset[Stage] = frozenset({"apply", "green"})
"""What the playbook has to pass for the grade 'quick'."""


class Model(BaseModel):
    """What all parts share: an unknown field is somebody's edit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Digest(Model):
    """A SHA-256, in hexadecimal."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Descriptor(Model):
    """A named thing with its digest; `annotations` hold a file's mode."""

    name: str
    digest: Digest
    annotations: dict[str, str] | None = None


class StageRun(Model):
    """What a stage gave: `detail` says why it failed or was not run, or what it counted. `seconds` of wall clock."""

    name: Stage
    outcome: Outcome
    seconds: Annotated[float, Field(ge=0)] | None = None
    finished: AwareDatetime | None = None
    detail: str = ""


class RouteRun(Model):
    """The stages of one route, in their order."""

    stages: list[StageRun]


class Producer(Model):
    """Who ran the proof: `submitter` and `url` belong to one from outside."""

    kind: Literal["workstation", "ci", "outside"]
    submitter: str | None = None
    url: str | None = None


class Run(Model):
    """Our part of the predicate."""

    protocol: int
    grade: Grade | None
    producer: Producer
    finished: AwareDatetime
    seconds: Annotated[float, Field(ge=0)]
    routes: dict[Route, RouteRun]
    starts: dict[str, RouteRun] = {}
    resolved: dict[str, Any] = {}

    @property
    def every(self) -> dict[str, RouteRun]:
        """All that was run, by a name to show: routes by theirs, hosts that were not clean as `start:NAME`."""
        routes: dict[str, RouteRun] = {str(name): run for name, run in self.routes.items()}
        return routes | {f"start:{name}": start for name, start in self.starts.items()}

    @property
    def failures(self) -> list[tuple[str, StageRun]]:
        """The stages that failed, each with the name of what it belongs to."""
        return [(name, stage) for name, run in self.every.items() for stage in run.stages if stage.outcome == "failed"]


class Predicate(Model):
    """The test-result predicate."""

    model_config = ConfigDict(alias_generator=to_camel)

    result: Result
    configuration: list[Descriptor]
    passed_tests: list[str]
    failed_tests: list[str]
    lading: Run
    digest: str | None = None


class Statement(Model):
    """One proof of one path on one platform."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(default="https://in-toto.io/Statement/v1", alias="_type")
    subject: Annotated[list[Descriptor], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(
        default="https://in-toto.io/attestation/test-result/v0.1", alias="predicateType"
    )
    predicate: Predicate

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Statement":
        """Refuse a result, a grade or lists of tests that the stages do not bear out."""
        said, run = self.predicate, self.predicate.lading
        if said.passed_tests != _tests(run, "passed") or said.failed_tests != _tests(run, "failed"):
            raise ValueError("passedTests and failedTests are not what the stages say")
        if said.result != ("PASSED" if run.grade else "FAILED"):
            raise ValueError(f"the result '{said.result}' is not what the grade says")
        # What another protocol asked for is not known here; its evidence is stale anyway.
        if run.protocol == lading.PROTOCOL and run.grade != grade_of(run.routes, run.starts):
            raise ValueError(f"the grade '{run.grade}' is not what the stages say")
        return self

    @property
    def run(self) -> Run:
        """Our part of the predicate."""
        return self.predicate.lading

    def to_json(self) -> str:
        """Return the text of the evidence file."""
        return json.dumps(self.to_data(), indent=1, ensure_ascii=False) + "\n"

    def to_data(self) -> dict[str, Any]:
        """Return the statement as JSON data; fields that hold nothing are left out, but for a grade of null."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        data["predicate"]["lading"].setdefault("grade", None)
        return data


def new_statement(
    subject: Subject,
    routes: Mapping[Route, RouteRun],
    *,
    starts: Mapping[str, RouteRun] | None = None,
    producer: Producer,
    finished: datetime,
    seconds: float,
    resolved: Mapping[str, Any],
) -> Statement:
    """Return the sealed statement of a run; result, grade and lists of tests follow from the stages.

    `finished` has a time zone; it is written in UTC, to the second. `starts` are hosts that were not clean.
    """
    run = Run(
        protocol=lading.PROTOCOL,
        grade=grade_of(routes, starts or {}),
        producer=producer,
        finished=finished.astimezone(UTC).replace(microsecond=0),
        seconds=round(seconds, 1),
        routes=dict(routes),
        starts=dict(starts or {}),
        resolved=dict(resolved),
    )
    predicate = Predicate(
        result="PASSED" if run.grade else "FAILED",
        configuration=[
            Descriptor(name=entry.name, digest=Digest(sha256=entry.sha256), annotations={"mode": entry.mode})
            for entry in subject.inputs
        ],
        passed_tests=_tests(run, "passed"),
        failed_tests=_tests(run, "failed"),
        lading=run,
    )
    about = Descriptor(name=subject.name, digest=Digest(sha256=subject.digest))
    return seal(Statement(subject=[about], predicate=predicate))


def grade_of(routes: Mapping[Route, RouteRun], starts: Mapping[str, RouteRun]) -> Grade | None:
    """Return what the stages amount to; nothing if any failed, or if the playbook never came to green."""
    runs = [*routes.values(), *starts.values()]
    outcomes = {stage.outcome for run in runs for stage in run.stages}
    passed = {name: {stage.name for stage in run.stages if stage.outcome == "passed"} for name, run in routes.items()}
    if "failed" in outcomes or not passed.get("playbook", set()) >= QUICK:
        return None
    whole = all(passed.get(name, set()) >= set(STAGES_OF[name]) for name in {*ALWAYS, *routes})
    return "full" if whole and outcomes == {"passed"} else "quick"


def _tests(run: Run, outcome: Outcome) -> list[str]:
    return [
        f"{name}/{stage.name}" for name, part in run.every.items() for stage in part.stages if stage.outcome == outcome
    ]


def seal(statement: Statement) -> Statement:
    """Return the statement with its own digest in it."""
    predicate = statement.predicate.model_copy(update={"digest": self_digest(statement.to_data())})
    return statement.model_copy(update={"predicate": predicate})


def self_digest(data: Mapping[str, Any]) -> str:
    """Return the digest of a statement's JSON data, made without the field that holds it."""
    predicate = {key: value for key, value in data["predicate"].items() if key != "digest"}
    return sha256_of(canonical_json({**data, "predicate": predicate}))
