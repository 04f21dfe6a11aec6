"""Evidence files: what a run writes, what is read back, and what is refused."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lading.errors import ExitCode, UsageError
from lading.evidence.model import STAGES_OF, Grade, Outcome, Route, RouteRun, StageRun, grade_of, self_digest
from lading.evidence.store import evidence_file, read_evidence, write_evidence
from lading.evidence.subject import subject_of
from lading.recipe.load import load_recipe
from tests.evidence.proofs import DAY, FULL, prove, route
from tests.workshop import Workshop

Data = dict[str, Any]


def written(workshop: Workshop) -> Path:
    return workshop.root / "evidence/demo/debian13.json"


def refusal(workshop: Workshop) -> str:
    with pytest.raises(UsageError) as caught:
        read_evidence(workshop.catalogue, "demo", "debian13")
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value)


def edit(workshop: Workshop, change: Callable[[Data], object], *, reseal: bool = False) -> None:
    data = json.loads(written(workshop).read_text())
    change(data)
    if reseal:
        data["predicate"]["digest"] = self_digest(data)
    written(workshop).write_text(json.dumps(data))


def test_what_was_written_is_read_back(workshop: Workshop) -> None:
    statement = prove(workshop)
    assert read_evidence(workshop.catalogue, "demo", "debian13") == statement


def test_the_file_is_an_in_toto_statement_with_the_test_result_predicate(workshop: Workshop) -> None:
    prove(workshop)
    data = json.loads(written(workshop).read_text())
    subject = subject_of(workshop.catalogue, load_recipe(workshop.catalogue, "demo"), "debian13")
    assert data["_type"] == "https://in-toto.io/Statement/v1"
    assert data["subject"] == [{"name": "demo/debian13", "digest": {"sha256": subject.digest}}]
    assert data["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = data["predicate"]
    assert list(predicate) == ["result", "configuration", "passedTests", "failedTests", "lading", "digest"]
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == [
        *(f"playbook/{name}" for name in STAGES_OF["playbook"]),
        *(f"by-hand/{name}" for name in STAGES_OF["by-hand"]),
    ]
    assert {item["name"]: item["digest"]["sha256"] for item in predicate["configuration"]} == {
        entry.name: entry.sha256 for entry in subject.inputs
    }
    run = predicate["lading"]
    assert (run["protocol"], run["grade"], run["producer"]) == (2, "full", {"kind": "workstation"})
    assert (run["finished"], run["seconds"]) == ("2026-11-21T10:00:00Z", 301.2)
    assert run["routes"]["playbook"]["stages"][0] == {
        "name": "red", "outcome": "passed", "seconds": 12.1, "finished": "2026-11-21T10:00:00Z", "detail": "4 checks",
    }  # fmt: skip


def test_a_date_is_written_in_utc_to_the_second(workshop: Workshop) -> None:
    prove(workshop, finished=datetime(2026, 11, 21, 1, 2, 3, 456, tzinfo=timezone(timedelta(hours=2))))
    assert json.loads(written(workshop).read_text())["predicate"]["lading"]["finished"] == "2026-11-20T23:02:03Z"


@pytest.mark.parametrize(
    "outcomes, grade, result",
    [
        (FULL, "full", "PASSED"),
        ({"apply": "passed", "green": "passed"}, "quick", "PASSED"),
        ({**FULL, "reboot": "not-run"}, "quick", "PASSED"),
        ({**FULL, "reboot": "failed"}, None, "FAILED"),
        ({"red": "passed", "apply": "passed"}, None, "FAILED"),
        ({}, None, "FAILED"),
    ],
)
def test_grade_and_result_follow_from_the_stages(
    workshop: Workshop, outcomes: dict[str, Outcome], grade: Grade | None, result: str
) -> None:
    statement = prove(workshop, outcomes=outcomes)
    assert (statement.run.grade, statement.predicate.result) == (grade, result)
    assert json.loads(written(workshop).read_text())["predicate"]["lading"]["grade"] == grade
    assert read_evidence(workshop.catalogue, "demo", "debian13") == statement


def test_no_file_is_no_evidence(workshop: Workshop) -> None:
    assert read_evidence(workshop.catalogue, "demo", "debian13") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["predicate"]["lading"].update(seconds=1.0),
        lambda data: data["predicate"]["lading"].update(finished="2026-11-22T10:00:00Z"),
        lambda data: data["predicate"]["lading"]["resolved"].update(accelerator="kvm"),
        lambda data: data["subject"][0]["digest"].update(sha256="0" * 64),
        lambda data: data["predicate"]["configuration"].pop(),
        lambda data: data["predicate"].update(digest="0" * 64),
        lambda data: data["predicate"].pop("digest"),
    ],
)
def test_edited_evidence_is_refused(workshop: Workshop, change: Callable[[Data], object]) -> None:
    prove(workshop)
    edit(workshop, change)
    assert (
        refusal(workshop)
        == "evidence/demo/debian13.json: predicate.digest: The file was edited: its digest is another."
    )


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda data: data["predicate"].update(result="FAILED"), "the result 'FAILED' is not what the grade says"),
        (lambda data: data["predicate"]["lading"].update(grade="quick"), "the grade 'quick' is not what the stages"),
        (lambda data: data["predicate"]["passedTests"].append("playbook/undo"), "passedTests and failedTests are not"),
        (lambda data: data["predicate"].update(note="x"), "predicate.note: "),
        (lambda data: data["predicate"].pop("result"), "predicate.result: "),
        (lambda data: data["predicate"]["lading"].update(finished="yesterday"), "predicate.lading.finished: "),
        (lambda data: data["predicate"]["lading"].update(finished="2026-11-21T10:00:00"), "lading.finished: "),
        (lambda data: data["predicate"]["lading"].update(seconds=-1), "predicate.lading.seconds: "),
        (lambda data: data["subject"][0].update(name="demo/debian12"), "This is the evidence of 'demo/debian12'."),
        (lambda data: data["subject"].append(data["subject"][0]), "subject: "),
        (lambda data: data.update(_type="x"), "_type: "),
    ],
)  # fmt: skip
def test_evidence_that_contradicts_itself_is_refused_whatever_its_digest(
    workshop: Workshop, change: Callable[[Data], object], said: str
) -> None:
    prove(workshop)
    edit(workshop, change, reseal=True)
    told = refusal(workshop)
    assert told.startswith("evidence/demo/debian13.json: ")
    assert said in told


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "evidence/demo/debian13.json:1: This is not JSON"),
        ('{\n"a": }', "evidence/demo/debian13.json:2: This is not JSON"),
        ("[]", "it should be an object"),
        ('{"a": 1, "a": 2}', "an object has a key twice"),
        ('{"a": NaN}', "'NaN' is no number of JSON"),
        ("[" * 100_000, "This is not evidence"),
        (b"\xff", "debian13.json:1: This is not UTF-8 text."),
        ("{}", "evidence/demo/debian13.json: subject: "),
        ('{"a": ' + "1" * 5000 + "}", "This is not evidence"),
    ],
)
def test_a_file_that_is_no_evidence_is_refused(workshop: Workshop, text: str | bytes, said: str) -> None:
    workshop.write("evidence/demo/debian13.json", text)
    assert said in refusal(workshop)


def test_a_folder_in_the_place_of_evidence_is_refused(workshop: Workshop) -> None:
    written(workshop).mkdir(parents=True)
    assert "cannot be read" in refusal(workshop)


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = prove(workshop)
    before = written(workshop).read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_evidence(workshop.catalogue, "demo", "debian13", statement)
    assert written(workshop).read_bytes() == before
    assert [file.name for file in written(workshop).parent.iterdir()] == ["debian13.json"]


def test_what_is_written_can_be_read_by_everybody(workshop: Workshop) -> None:
    prove(workshop)
    assert evidence_file(workshop.catalogue, "demo", "debian13").stat().st_mode & 0o777 == 0o644


def test_a_submitter_from_outside_is_kept(workshop: Workshop) -> None:
    prove(workshop, kind="outside", submitter="A site", url="https://example.org/")
    found = read_evidence(workshop.catalogue, "demo", "debian13")
    assert found is not None
    assert (found.run.producer.kind, found.run.producer.submitter) == ("outside", "A site")
    assert found.run.finished == DAY


def all_passed(*routes: Route) -> dict[Route, RouteRun]:
    return {name: route(name, dict.fromkeys(STAGES_OF[name], "passed")) for name in routes}


def test_full_is_every_stage_of_every_route_and_every_start() -> None:
    both = all_passed("playbook", "by-hand")
    start = RouteRun(stages=[StageRun(name="apply", outcome="passed")])
    assert grade_of(both, {}) == "full"
    assert grade_of(all_passed("playbook", "by-hand", "puppet"), {"edited": start}) == "full"
    assert grade_of(all_passed("playbook"), {}) == "quick"
    assert grade_of({**both, "puppet": route("puppet", {"apply": "passed"})}, {}) == "quick"
    assert grade_of(both, {"edited": RouteRun(stages=[StageRun(name="apply", outcome="not-run")])}) == "quick"
    assert grade_of(both, {"edited": RouteRun(stages=[StageRun(name="apply", outcome="failed")])}) is None
    assert grade_of(all_passed("by-hand"), {}) is None
