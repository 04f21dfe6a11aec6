"""`lading page`: what it prints, and how it ends."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lading.cli.main import main
from lading.errors import ExitCode, PathFailed
from lading.proof.update import Update
from tests.page.test_lint import PAGE
from tests.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]
PLACE = "recipes/demo/rendered/etc/demo.conf"


@pytest.fixture
def run(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a runner of commands on a catalogue with a page and a rendered file: exit code, stdout, stderr."""
    made = {"etc/demo.conf": {"template": "roles/demo/templates/demo.conf.j2"}}
    workshop.path(page_coverage=66, rendered=made)
    workshop.write("docs/paths/compute/demo.md", PAGE)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--catalogue", str(workshop.root), "page", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("words", [["lint"], ["lint", "demo"], ["lint", "demo", "demo"]])
def test_lint_prints_a_line_for_each_page(run: Run, words: list[str]) -> None:
    line = "docs/paths/compute/demo.md: 2 blocks run, 1 not; coverage 66 %, floor 66 %\n"
    assert run(*words) == (ExitCode.OK, line, "")


def test_lint_as_json_lists_every_block(run: Run) -> None:
    code, out, _ = run("lint", "--json")
    (page,) = json.loads(out)
    assert code == ExitCode.OK
    assert (page["path"], page["coverage"], page["floor"]) == ("demo", 66, 66)
    assert page["blocks"] == [
        {"id": "install-1", "line": 7, "last": 9, "kind": "console", "reason": None},
        {"id": "block-1", "line": 11, "last": 13, "kind": "not-run", "reason": "it takes a day"},
        {"id": "install-2", "line": 15, "last": 17, "kind": "file", "reason": None},
    ]


def test_lint_ends_with_2_and_tells_every_problem_of_every_page(workshop: Workshop, run: Run) -> None:
    workshop.write("docs/paths/compute/demo.md", PAGE.replace("# true", "true").replace("path=", "mode="))
    workshop.write("docs/index.md", "```{ .sh not-run='' }\nls\n```\n")
    code, out, err = run("lint")
    assert code == ExitCode.USAGE
    assert out == "docs/paths/compute/demo.md: wrong\n"
    places = ["docs/index.md:1:", "docs/paths/compute/demo.md:7:", "docs/paths/compute/demo.md:8:"]
    assert all(place in err for place in [*places, "docs/paths/compute/demo.md:15:"])
    assert run("lint", "--json")[0] == ExitCode.USAGE


def test_render_check_names_what_is_stale_and_render_mends_it(workshop: Workshop, run: Run) -> None:
    code, out, err = run("render", "--check")
    assert (code, out) == (ExitCode.FAILED, "1 rendered file, 1 stale.\n")
    assert f"{PLACE}: this file is missing, or is only a link." in err
    assert "'lading page render' writes them anew" in err
    assert not (workshop.root / PLACE).exists()
    assert run("render", "demo") == (ExitCode.OK, f"{PLACE}: written\n1 rendered file, 1 changed.\n", "")
    assert run("render", "--check", "--json")[:2] == (
        ExitCode.OK,
        json.dumps([{"file": PLACE, "stale": False}], indent=2) + "\n",
    )
    workshop.write("playbooks/roles/demo/templates/demo.conf.j2", "other\n")
    assert f"{PLACE}: this is not what the template comes to." in run("render", "--check")[2]


@pytest.mark.parametrize("words", [["lint", "dmeo"], ["render", "dmeo"], ["update", "dmeo"]])
def test_an_unknown_path_is_told_with_the_nearest(run: Run, words: list[str]) -> None:
    code, _, err = run(*words)
    assert code == ExitCode.USAGE
    assert "did you mean 'demo'?" in err


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the laboratory; return the platforms on which pages were typed."""
    platforms: list[str] = []

    @contextmanager
    def nothing(*_: Any, **_named: Any) -> Iterator[None]:
        yield None

    def update_page(_lab: object, _catalogue: object, _loaded: object, platform: str) -> Update:
        platforms.append(platform)
        return Update(PAGE.replace("x\n", "y\n"), "-x\n+y")

    monkeypatch.setattr("lading.cli.page.opened_workspace", nothing)
    monkeypatch.setattr("lading.cli.page.opened_lab", nothing)
    monkeypatch.setattr("lading.cli.page.update_page", update_page)
    return platforms


def test_update_writes_what_was_seen_and_shows_the_difference(workshop: Workshop, run: Run, typed: list[str]) -> None:
    page = workshop.root / "docs/paths/compute/demo.md"
    assert run("update", "demo", "--check") == (ExitCode.OK, "-x\n+y\n", "")
    assert page.read_text() == PAGE
    assert run("update", "demo", "--platform", "debian13") == (ExitCode.OK, "-x\n+y\n", "")
    assert page.read_text() == PAGE.replace("x\n", "y\n")
    assert typed == ["debian13", "debian13"]


def test_update_that_fails_leaves_the_page_alone(
    workshop: Workshop, run: Run, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Update:
        raise PathFailed("docs/paths/compute/demo.md:8: it hung.")

    monkeypatch.setattr("lading.cli.page.update_page", fail)
    code, _, err = run("update", "demo")
    assert (code, typed) == (ExitCode.FAILED, [])
    assert "demo.md:8: it hung." in err
    assert (workshop.root / "docs/paths/compute/demo.md").read_text() == PAGE


def test_update_tries_the_addresses_that_a_path_needs_before_it_opens_the_laboratory(
    workshop: Workshop, run: Run, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need = "http://packages.site.example/key.gpg"
    use = {"not_verified": "Its packages could not be reached.", "needs": [need]}
    workshop.path(page_coverage=66, platforms={"debian13": use})
    monkeypatch.setattr("lading.cli.page.first_unreachable", lambda urls: f"{urls[0]} answered 404")
    code, _, err = run("update", "demo")
    assert (code, typed) == (ExitCode.LAB, [])
    assert f"'demo' can't be run on 'debian13': it needs what is not to be had here. {need} answered 404." in err
    monkeypatch.setattr("lading.cli.page.first_unreachable", lambda _: None)
    assert run("update", "demo", "--check")[0] == ExitCode.OK
    assert typed == ["debian13"]


@pytest.mark.parametrize("platform", ["debian12", "debain13"])
def test_update_runs_only_where_the_path_can_be_proven(run: Run, typed: list[str], platform: str) -> None:
    code, _, err = run("update", "demo", "--platform", platform)
    assert (code, typed) == (ExitCode.USAGE, [])
    assert f"can't be run on a platform '{platform}'; did you mean 'debian13'?" in err
