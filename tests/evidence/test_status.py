"""What evidence is worth today, one file at a time and all together."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from lading.errors import ExitCode, UsageError
from lading.evidence.check import check_evidence
from lading.evidence.status import FRESH_DAYS, Status, status
from lading.recipe.load import load_recipe
from tests.evidence.proofs import DAY, FULL, prove
from tests.workshop import Workshop

TODAY = DAY.date()


def known(workshop: Workshop, platform: str = "debian13", today: date = TODAY) -> Status:
    return status(workshop.catalogue, load_recipe(workshop.catalogue, "demo"), platform, today=today)


def test_evidence_of_the_same_inputs_is_proven(workshop: Workshop) -> None:
    statement = prove(workshop)
    assert known(workshop) == Status("proven", None, "full", ("playbook", "by-hand"), TODAY, 301.2, statement)
    assert known(workshop).fresh


def test_no_file_is_never_run(workshop: Workshop) -> None:
    assert known(workshop) == Status("not-verified", "never run")


def test_what_the_recipe_calls_not_verified_stays_so_for_its_reason(workshop: Workshop) -> None:
    assert known(workshop, "debian12") == Status("not-verified", "No package there.")
    prove(workshop, platform="debian12")
    assert known(workshop, "debian12").verdict == "not-verified"


def test_a_changed_input_makes_it_stale_and_is_named(workshop: Workshop) -> None:
    prove(workshop)
    workshop.write("playbooks/roles/demo/templates/demo.conf.j2", "other\n")
    found = known(workshop)
    assert (found.verdict, found.reason) == ("stale", "changed since: playbooks/roles/demo/templates/demo.conf.j2")
    assert (found.grade, found.date, found.fresh) == ("full", TODAY, False)


def test_many_changed_inputs_are_counted(workshop: Workshop) -> None:
    prove(workshop)
    for number in range(5):
        workshop.write(f"recipes/demo/{number}", "x")
    assert known(workshop).reason == "changed since: recipes/demo/0, recipes/demo/1, recipes/demo/2 and 2 more"


def test_a_mode_that_changed_makes_it_stale_too(workshop: Workshop) -> None:
    prove(workshop)
    (workshop.root / "recipes/demo/test_demo.py").chmod(0o755)
    assert known(workshop).reason == "changed since: recipes/demo/test_demo.py"


@pytest.mark.parametrize("days, verdict", [(0, "proven"), (FRESH_DAYS, "proven"), (FRESH_DAYS + 1, "old")])
def test_it_is_old_after_thirty_days(workshop: Workshop, days: int, verdict: str) -> None:
    prove(workshop)
    assert FRESH_DAYS == 30
    found = known(workshop, today=TODAY + timedelta(days=days))
    assert found.verdict == verdict
    assert found.reason == (f"proven {days} days ago" if verdict == "old" else None)


def test_stale_comes_before_old(workshop: Workshop) -> None:
    prove(workshop)
    workshop.write("recipes/demo/new", "x")
    assert known(workshop, today=TODAY + timedelta(days=99)).verdict == "stale"


def test_a_failure_stays_one_whatever_changed_and_names_its_stage(workshop: Workshop) -> None:
    prove(workshop, outcomes={**FULL, "green": "failed"})
    workshop.write("recipes/demo/new", "x")
    found = known(workshop, today=TODAY + timedelta(days=99))
    assert (found.verdict, found.grade) == ("failed", None)
    assert found.reason == "playbook/green: test_demo.py::test_it_is_there failed"


def test_a_run_that_never_came_to_green_has_failed(workshop: Workshop) -> None:
    prove(workshop, outcomes={"red": "passed", "apply": "passed"})
    assert (known(workshop).verdict, known(workshop).reason) == ("failed", "apply and green did not both run")


def test_evidence_from_the_future_is_not_proven(workshop: Workshop) -> None:
    prove(workshop)
    assert known(workshop, today=TODAY - timedelta(days=1)).verdict == "proven"
    found = known(workshop, today=TODAY - timedelta(days=2))
    assert (found.verdict, found.reason) == ("stale", "its date, 2026-11-21, has not come yet")


def test_edited_evidence_is_refused(workshop: Workshop) -> None:
    prove(workshop)
    file = workshop.root / "evidence/demo/debian13.json"
    file.write_text(file.read_text().replace("tcg", "kvm"))
    with pytest.raises(UsageError, match="The file was edited"):
        known(workshop)


class TestCheck:
    def test_nothing_at_all_is_well(self, workshop: Workshop) -> None:
        report = check_evidence(workshop.catalogue, today=TODAY)
        assert (report.findings, report.exit_code(strict=True)) == ((), ExitCode.OK)

    def test_fresh_evidence_is_well(self, workshop: Workshop) -> None:
        prove(workshop)
        report = check_evidence(workshop.catalogue, today=TODAY)
        assert [finding.file for finding in report.having("proven")] == ["evidence/demo/debian13.json"]
        assert report.exit_code(strict=True) == ExitCode.OK

    def test_stale_evidence_is_listed_and_is_a_failure_only_when_strict(self, workshop: Workshop) -> None:
        prove(workshop)
        workshop.write("recipes/demo/new", "x")
        report = check_evidence(workshop.catalogue, today=TODAY)
        assert len(report.having("stale")) == 1
        assert (report.exit_code(), report.exit_code(strict=True)) == (ExitCode.OK, ExitCode.FAILED)

    def test_old_evidence_is_a_failure_only_when_strict(self, workshop: Workshop) -> None:
        prove(workshop)
        report = check_evidence(workshop.catalogue, today=TODAY + timedelta(days=31))
        assert (report.exit_code(), report.exit_code(strict=True)) == (ExitCode.OK, ExitCode.FAILED)

    def test_a_failure_is_a_failure(self, workshop: Workshop) -> None:
        prove(workshop, outcomes={"apply": "failed"})
        assert check_evidence(workshop.catalogue, today=TODAY).exit_code() == ExitCode.FAILED

    def test_malformed_evidence_comes_before_a_failure(self, workshop: Workshop) -> None:
        workshop.path("other")
        prove(workshop, "other", outcomes={"apply": "failed"})
        workshop.write("evidence/demo/debian13.json", "{}")
        report = check_evidence(workshop.catalogue, today=TODAY)
        assert report.exit_code() == ExitCode.USAGE
        assert len(report.malformed) == 1
        assert len(report.having("failed")) == 1

    @pytest.mark.parametrize(
        "name, said",
        [
            ("dmo/debian13.json", "evidence/dmo/debian13.json: no path is called 'dmo'; did you mean 'demo'?"),
            ("demo/debain13.json", "the path 'demo' has no platform 'debain13'; did you mean 'debian13'?"),
            ("debian13.json", "evidence is kept as 'evidence/<path>/<platform>.json'."),
            ("demo/deep/debian13.json", "evidence is kept as"),
            ("demo/debian12.json", "the recipe says that 'debian12' is not verified."),
        ],
    )
    def test_evidence_of_what_does_not_exist_is_malformed(self, workshop: Workshop, name: str, said: str) -> None:
        prove(workshop)
        source = workshop.root / "evidence/demo/debian13.json"
        workshop.write(f"evidence/{name}", source.read_bytes())
        report = check_evidence(workshop.catalogue, today=TODAY)
        assert [said in (finding.malformed or "") for finding in report.malformed] == [True]
        assert report.exit_code() == ExitCode.USAGE

    def test_evidence_from_the_future_is_malformed(self, workshop: Workshop) -> None:
        prove(workshop)
        report = check_evidence(workshop.catalogue, today=TODAY - timedelta(days=2))
        assert "it is dated 2026-11-21, which has not come yet." in (report.malformed[0].malformed or "")

    def test_drafts_of_a_killed_run_and_words_about_evidence_are_left_alone(self, workshop: Workshop) -> None:
        prove(workshop)
        for name in ("README.md", "demo/.x.tmp", "demo/.y.json"):
            workshop.write(f"evidence/{name}", "x")
        assert len(check_evidence(workshop.catalogue, today=TODAY).findings) == 1


def test_the_evidence_of_another_path_in_this_ones_place_is_refused(workshop: Workshop) -> None:
    workshop.path("other")
    prove(workshop, "other")
    source: Path = workshop.root / "evidence/other/debian13.json"
    assert json.loads(source.read_text())
    workshop.write("evidence/demo/debian13.json", source.read_bytes())
    with pytest.raises(UsageError, match="This is the evidence of 'other/debian13'"):
        known(workshop)


def test_what_can_be_proven_where_an_address_answers_is_not_verified_for_its_reason_until_it_was(
    workshop: Workshop,
) -> None:
    needs = {"not_verified": "No package here.", "needs": ["https://packages.site.example/"]}
    workshop.path(platforms={"debian13": needs})
    assert known(workshop) == Status("not-verified", "No package here.")
    prove(workshop)
    assert known(workshop).verdict == "proven"
