"""The command line: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from rich.console import Console

from lading.cli import main as cli_main
from lading.cli.main import COMMANDS, main
from lading.cli.render import clean, print_table, seconds_text
from lading.errors import ExitCode
from tests.evidence.proofs import DAY, FULL, prove
from tests.workshop import REPOSITORY, Workshop

GOLDEN = Path(__file__).parent / "golden"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on the catalogue, on the day of its proofs: exit code, stdout, stderr."""
    for module in ("list", "evidence"):
        monkeypatch.setattr(f"lading.cli.{module}.today", DAY.date)

    def run(*words: str, catalogue: Path | None = workshop.root) -> tuple[int, str, str]:
        code = main([*(["--catalogue", str(catalogue)] if catalogue else []), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def mixed(workshop: Workshop) -> Workshop:
    """Return a catalogue with a path of each verdict."""
    workshop.path("a-failure", kind="services", advice="not-advised", title="[bold]No markup[/bold]")
    workshop.path("gone-stale", builds_on=["demo"])
    prove(workshop, finished=DAY)
    prove(workshop, "a-failure", outcomes={**FULL, "green": "failed"})
    prove(workshop, "gone-stale", outcomes={"apply": "passed", "green": "passed"})
    workshop.write("playbooks/roles/gone_stale/templates/demo.conf.j2", "other\n")
    return workshop


@pytest.mark.parametrize(
    "name, words",
    [
        ("list", ["list"]),
        ("show", ["show", "gone-stale"]),
        ("evidence-check", ["evidence", "check"]),
    ],
)
@pytest.mark.usefixtures("mixed")
def test_the_text_is_as_it_was_agreed(run: Run, name: str, words: list[str]) -> None:
    _, out, _ = run(*words)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(out)
    assert out == golden.read_text()


@pytest.mark.usefixtures("mixed")
def test_list_as_json_has_the_agreed_fields(run: Run) -> None:
    code, out, _ = run("list", "--json")
    found = {path["id"]: path for path in json.loads(out)}
    assert code == ExitCode.OK
    assert list(found) == ["a-failure", "demo", "gone-stale"]
    assert found["demo"] == {
        "id": "demo",
        "kind": "compute",
        "advice": "recommended",
        "title": "A demonstration",
        "page": "docs/paths/compute/demo.md",
        "platforms": {
            "debian13": {
                "verdict": "proven", "grade": "full", "routes": ["playbook", "by-hand"], "date": "2026-11-21",
                "seconds": 301.2, "reason": None,
            },
            "debian12": {
                "verdict": "not-verified", "grade": None, "routes": [], "date": None, "seconds": None,
                "reason": "No package there.",
            },
        },
    }  # fmt: skip
    assert found["gone-stale"]["platforms"]["debian13"]["verdict"] == "stale"
    assert found["a-failure"]["platforms"]["debian13"]["grade"] is None


def test_show_as_json_adds_the_recipe_and_its_files(run: Run) -> None:
    code, out, _ = run("show", "demo", "--json")
    found = json.loads(out)
    assert code == ExitCode.OK
    assert found["parts"]["checks"] == ["recipes/demo/test_demo.py"]
    assert found["recipe"]["sources"][0]["for"] == "the idea"
    assert found["platforms"]["debian13"]["verdict"] == "not-verified"


@pytest.mark.usefixtures("mixed")
def test_brackets_in_a_title_are_no_markup(run: Run) -> None:
    assert run("show", "a-failure")[1].startswith("[bold]No markup[/bold]\n")


def test_nothing_is_cut_in_a_pipe(workshop: Workshop, run: Run) -> None:
    name = "-".join(["very"] * 30) + "-long"
    workshop.path(name, platforms={"debian13": {"not_verified": "A long reason. " * 20}})
    _, out, _ = run("list")
    line = next(line for line in out.splitlines() if name in line)
    assert line.endswith(("A long reason. " * 20).strip())
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert "\x1b" not in out


def test_a_narrow_terminal_wraps_the_reasons_and_keeps_the_names_whole(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console(width=30, force_terminal=True, color_system=None, highlight=False, markup=False)
    print_table(out, ("PATH", "REASON"), [("apptainer-unprivileged", "because of this and that " * 4)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("apptainer-unprivileged  ")
    assert max(map(len, lines)) <= 30
    assert len(lines) > 8


@pytest.mark.parametrize("words", [["show", "dmo"], ["evidence", "show", "dmo"]])
def test_an_unknown_path_is_told_with_the_nearest_name(run: Run, words: list[str]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err == "lading: error: No path is called 'dmo'; did you mean 'demo'?\n  See 'lading list'.\n"


def test_an_id_that_climbs_out_is_refused(run: Run) -> None:
    code, _, err = run("show", "../demo")
    assert code == ExitCode.USAGE
    assert err.startswith("lading: error: '../demo' cannot be a path's id.\n")


def test_an_unknown_platform_is_told_with_the_nearest_name(run: Run) -> None:
    code, _, err = run("evidence", "show", "demo", "debain13")
    assert code == ExitCode.USAGE
    assert "The path 'demo' has no platform 'debain13'; did you mean 'debian13'?" in err


def test_a_wrong_recipe_is_told_with_its_file_and_line(workshop: Workshop, run: Run) -> None:
    workshop.path(sumary="x")
    code, out, err = run("list")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("lading: error: recipes/demo/recipe.yml:")
    assert "did you mean 'summary'?" in err
    assert "Traceback" not in err


def test_edited_evidence_is_told(workshop: Workshop, run: Run) -> None:
    prove(workshop)
    file = workshop.root / "evidence/demo/debian13.json"
    file.write_text(file.read_text().replace("tcg", "kvm"))
    for words in (["list"], ["evidence", "check"], ["evidence", "show", "demo"]):
        code, _, err = run(*words)
        assert code == ExitCode.USAGE
        assert "evidence/demo/debian13.json: predicate.digest: The file was edited" in err


@pytest.mark.parametrize(
    "outcomes, changed, words, code",
    [
        (FULL, False, ["--strict"], ExitCode.OK),
        (FULL, True, [], ExitCode.OK),
        (FULL, True, ["--strict"], ExitCode.FAILED),
        ({"apply": "failed"}, False, [], ExitCode.FAILED),
    ],
)
def test_evidence_check_ends_with_the_agreed_code(
    workshop: Workshop, run: Run, outcomes: dict[str, object], changed: bool, words: list[str], code: int
) -> None:
    prove(workshop, outcomes=outcomes)  # type: ignore[arg-type]  # parametrize can't tell
    if changed:
        workshop.write("recipes/demo/new", "x")
    ended, out, _ = run("evidence", "check", *words)
    assert ended == code
    assert ("evidence/demo/debian13.json: stale: changed since: recipes/demo/new" in out) == changed
    ended, out, _ = run("evidence", "check", "--json", *words)
    assert ended == code
    assert json.loads(out)[0]["file"] == "evidence/demo/debian13.json"


def test_evidence_show_tells_every_stage_and_what_was_met(workshop: Workshop, run: Run) -> None:
    prove(workshop, kind="outside", submitter="A site", url="https://example.org/")
    code, out, _ = run("evidence", "show", "demo")
    assert code == ExitCode.OK
    assert out.startswith(
        "demo on debian13: proven\n  grade full, 5 min 1 s, elsewhere by A site (https://example.org/)\n"
    )
    assert "packages: apptainer 1.4.5-1" in out
    assert "playbook/red" in out
    assert "playbook/undo" in out
    assert "demo on debian12: not-verified: No package there." in out


def test_evidence_show_as_json_is_the_statement(workshop: Workshop, run: Run) -> None:
    prove(workshop)
    _, out, _ = run("evidence", "show", "demo", "debian13", "--json")
    assert json.loads(out)["debian13"] == json.loads((workshop.root / "evidence/demo/debian13.json").read_text())


def test_a_folder_that_is_no_catalogue_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("list", catalogue=tmp_path)
    assert code == ExitCode.USAGE
    assert "is not a catalogue" in err


def test_an_unknown_command_or_option_is_told_in_the_same_form(run: Run) -> None:
    assert run("lst")[0] == ExitCode.USAGE
    assert run("lst")[2].startswith("lading: error: No command is called 'lst'; did you mean 'list'?\n")
    code, _, err = run("list", "--jsn")
    assert code == ExitCode.USAGE
    assert err.startswith("lading: error: No such option")
    assert "'lading list --help' tells how it is used." in err


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    code, out, err = run(catalogue=None)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("Usage: lading")
    assert "error" not in err.splitlines()[0]


@pytest.mark.parametrize("words", [[], ["list"], ["show"], ["evidence"], ["evidence", "check"], ["evidence", "show"]])
def test_every_help_has_an_example(run: Run, words: list[str]) -> None:
    code, out, _ = run(*words, "--help")
    assert code == ExitCode.OK
    assert f"  {' '.join(['lading', *words])}" in out.partition("Examples:")[2]


def test_every_command_that_exists_can_be_asked_for_help(run: Run) -> None:
    shown = run("--help")[1]
    for name in COMMANDS:
        if (REPOSITORY / f"src/lading/cli/{name}.py").is_file():
            assert f"\n  {name} " in shown
            assert run(name, "--help")[0] == ExitCode.OK


def test_the_version_is_told(run: Run) -> None:
    code, out, _ = run("--version", catalogue=None)
    assert code == ExitCode.OK
    assert out.startswith("lading, version ")


@pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (click.Abort(), 130), (KeyError("x"), 3)])
def test_whatever_goes_wrong_ends_in_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("lading.cli.list.load_all", fail)
    ended, _, err = run("list")
    assert ended == code
    assert err.lstrip("\n").startswith("lading: ")
    assert "Traceback" not in err


def test_a_traceback_is_shown_with_debug_only(run: Run, capsys: pytest.CaptureFixture[str], workshop: Workshop) -> None:
    assert "Traceback" not in run("show", "--", "--debug")[2]
    assert main(["--debug", "--catalogue", str(workshop.root), "show", "dmo"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "\nlading: error: No path is called 'dmo'" in err


def test_terminal_codes_in_files_never_reach_the_terminal(workshop: Workshop, run: Run) -> None:
    # The last two are not stripped by click: a one-byte escape, and a mark that turns the direction of text.
    wild = "red \x1b[31malert \x9b2J \u202e"
    workshop.path(title=wild, summary=wild, platforms={"debian13": {"not_verified": wild}})
    for words in (["list"], ["show", "demo"], ["evidence", "show", "demo"]):
        code, out, _ = run(*words)
        assert code == ExitCode.OK
        assert not {"\x1b", "\x9b", "\u202e"} & set(out)
    workshop.write("recipes/demo/recipe.yml", '"\\x9b31m\\u202e": 1\n')
    assert not {"\x9b", "\u202e"} & set(run("list")[2])
    assert clean("é → “x”\n\ty") == "é → “x”\n\ty"


def test_a_reader_that_has_enough_is_no_error(workshop: Workshop) -> None:
    for number in range(3):
        workshop.path(f"p-{number}", platforms={"debian13": {"not_verified": "x" * 60_000}})
    command = [sys.executable, "-m", "lading.cli.main", "--catalogue", str(workshop.root), "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.read(1)
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == ExitCode.OK


def test_seconds_are_told_in_minutes_where_they_are_many() -> None:
    assert [seconds_text(value) for value in (None, 0.04, 59.94, 59.97, 60, 119.6, 3600)] == [
        "-", "0.0 s", "59.9 s", "1 min 0 s", "1 min 0 s", "2 min 0 s", "60 min 0 s",
    ]  # fmt: skip


def test_listing_does_not_import_what_boots_machines() -> None:
    code = "import sys; import lading.cli.list; print([name for name in sys.modules if name.startswith('lading.lab')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert cli_main.INTERRUPTED == 130
